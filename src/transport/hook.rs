//! What is done to every request on its way out: fields that all of them carry, user code around
//! them, and their signature.

use std::sync::Arc;
use std::time::Instant;

use super::LOG;
use super::rpc_hook::{RpcHook, RpcRequest, RpcResponse};
use super::shared::{RemotingConfig, Shared};
use super::{Completion, Next, Outcome, Request};
use crate::error::Error;
use crate::logging;
use crate::panics::caught;
#[cfg(feature = "acl")]
use crate::protocol::acl::Credentials;
use crate::protocol::{ExtFields, FieldSink, Fields};

/// Everything that is done to every request of a client.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hooks {
    /// Fields that every request carries besides its own; no value is empty.
    pub(crate) fixed: Vec<(&'static str, String)>,
    pub(crate) user: Vec<Arc<dyn RpcHook>>,
    #[cfg(feature = "acl")]
    pub(crate) credentials: Option<Credentials>,
}

impl Hooks {
    /// Whether requests must be built as a whole before they are encoded.
    pub(super) fn need_command(&self) -> bool {
        #[cfg(feature = "acl")]
        if self.credentials.is_some() {
            return true;
        }
        !self.user.is_empty()
    }

    /// Gives `run` the request with the fixed fields, still in borrowed parts.
    pub(super) fn with_fixed<T>(
        &self,
        request: &Request<'_>,
        run: impl FnOnce(&Request<'_>) -> T,
    ) -> T {
        if self.fixed.is_empty() {
            return run(request);
        }
        let fields = WithFixed {
            own: request.fields,
            fixed: &self.fixed,
        };
        run(&Request {
            fields: &fields,
            ..*request
        })
    }
}

/// A request's own fields, and then the fixed ones.
struct WithFixed<'a> {
    own: &'a dyn Fields,
    fixed: &'a [(&'static str, String)],
}

impl Fields for WithFixed<'_> {
    fn visit(&self, sink: &mut dyn FieldSink) {
        self.own.visit(sink);
        for (name, value) in self.fixed {
            sink.text(name, value);
        }
    }
}

/// A request as the hooks have left it.
pub(super) struct Hooked(RpcRequest);

impl Hooked {
    /// Runs everything that comes before a request.
    ///
    /// # Errors
    /// `Invalid` if a hook says so; the hooks before it have then heard of it.
    pub(super) fn prepare(
        config: &RemotingConfig,
        address: &Arc<str>,
        request: &Request<'_>,
        oneway: bool,
    ) -> Result<Hooked, Error> {
        let hooks = &config.hooks;
        let mut fields = ExtFields::new();
        hooks.with_fixed(request, |request| request.fields.visit(&mut fields));
        let mut hooked = Hooked(RpcRequest {
            address: Arc::clone(address),
            code: request.code,
            is_oneway: oneway,
            fields,
            remark: request.remark.map(str::to_owned),
            body: request.body.cloned(),
        });
        hooked.run_before(&hooks.user)?;
        #[cfg(feature = "acl")]
        if let Some(credentials) = &hooks.credentials {
            let RpcRequest { fields, body, .. } = &mut hooked.0;
            let body = body.as_ref().map_or(&[][..], |body| body.as_slice());
            credentials.sign(fields, body);
        }
        Ok(hooked)
    }

    /// The same for the wire.
    pub(super) fn request(&self) -> Request<'_> {
        let hooked = &self.0;
        Request {
            code: hooked.code,
            fields: &hooked.fields,
            remark: hooked.remark.as_deref(),
            body: hooked.body.as_ref(),
        }
    }

    /// Runs everything that comes after a request which has an answer.
    pub(super) fn after(&self, hooks: &[Arc<dyn RpcHook>], outcome: &Outcome) {
        for hook in hooks {
            let run = || hook.after(&self.0, outcome.as_ref().map(RpcResponse));
            if caught(run).is_err() {
                let (name, address) = (hook.name(), &self.0.address);
                logging::error!(
                    target: LOG,
                    "rpc hook {name} panicked after a request to {address}; going on"
                );
            }
        }
    }

    fn run_before(&mut self, hooks: &[Arc<dyn RpcHook>]) -> Result<(), Error> {
        for (i, hook) in hooks.iter().enumerate() {
            let run = || hook.before(&mut self.0);
            let error = match caught(run) {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => {
                    let text = format!("rpc hook {} refused the request: {error}", hook.name());
                    Error::invalid(text).caused_by(error)
                }
                Err(_) => Error::invalid(format!(
                    "rpc hook {} panicked; the request was not sent",
                    hook.name()
                )),
            };
            if !self.0.is_oneway {
                self.after(&hooks[..i], &Err(error.clone()));
            }
            return Err(error);
        }
        Ok(())
    }
}

/// An asynchronous request whose outcome hooks see before it goes on.
pub(super) struct Observed {
    pub(super) shared: Arc<Shared>,
    pub(super) hooked: Hooked,
    pub(super) completion: Box<dyn Completion>,
}

impl Completion for Observed {
    fn complete(self: Box<Self>, outcome: Outcome, at: Instant) -> Next {
        Next::Callback(Box::new(move || self.go_on(outcome, at)))
    }
}

impl Observed {
    /// On a callback worker.
    fn go_on(self, outcome: Outcome, at: Instant) {
        let hooks = &self.shared.config.hooks.user;
        self.hooked.after(hooks, &outcome);
        match self.completion.complete(outcome, at) {
            Next::Callback(job) => job.run(),
            Next::Retry(job) => self.shared.workers.retries.submit(job),
            Next::Done => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as StdError;
    use std::time::Duration;

    use crate::sync::Mutex;

    use super::*;
    use crate::error::ErrorKind;
    use crate::protocol::{Command, HeaderFormat, Language};

    /// Notes what happens, and does as it is told.
    struct Noting {
        id: &'static str,
        log: Arc<Mutex<Vec<String>>>,
        then: Then,
    }

    #[derive(Debug, Clone, Copy)]
    enum Then {
        Nothing,
        Add,
        ChangeBody,
        Refuse,
        Panic,
    }

    impl RpcHook for Noting {
        fn before(&self, request: &mut RpcRequest) -> Result<(), Box<dyn StdError + Send + Sync>> {
            let address = request.address();
            self.log
                .lock()
                .push(format!("{} before {address}", self.id));
            match self.then {
                Then::Nothing => {}
                Then::Add => request.set_field("own", "changed"),
                Then::ChangeBody => request.set_body([request.body(), b"!"].concat()),
                Then::Refuse => return Err("no".into()),
                Then::Panic => panic!("a test's own panic"),
            }
            Ok(())
        }

        fn after(&self, _: &RpcRequest, outcome: Result<RpcResponse<'_>, &Error>) {
            let ok = outcome.is_ok();
            self.log.lock().push(format!("{} after {ok}", self.id));
            assert!(!matches!(self.then, Then::Add), "a test's own panic");
        }
    }

    type Log = Arc<Mutex<Vec<String>>>;

    fn config(thens: &[Then]) -> (RemotingConfig, Log) {
        let log = Log::default();
        let hook = |(i, then): (usize, &Then)| -> Arc<dyn RpcHook> {
            Arc::new(Noting {
                id: ["a", "b", "c"][i],
                log: log.clone(),
                then: *then,
            })
        };
        let config = RemotingConfig {
            connect_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
            header_format: HeaderFormat::Json,
            language: Language::RUST,
            version: 1,
            tls: None,
            hooks: Hooks {
                fixed: vec![("nsd", "true".into())],
                user: thens.iter().enumerate().map(hook).collect(),
                #[cfg(feature = "acl")]
                credentials: None,
            },
        };
        (config, log)
    }

    fn prepare(config: &RemotingConfig, body: Option<&Arc<Vec<u8>>>) -> Result<Hooked, Error> {
        let own: ExtFields = [("own", "value")].into_iter().collect();
        let request = Request {
            body,
            ..Request::new(310, &own)
        };
        Hooked::prepare(config, &"h:1".into(), &request, false)
    }

    #[test]
    fn hooks_run_in_order_and_see_and_change_the_request() {
        let (config, log) = config(&[Then::Nothing, Then::Add]);
        let body = Arc::new(b"body".to_vec());
        let hooked = prepare(&config, Some(&body)).unwrap();
        let request = hooked.request();
        assert!(Arc::ptr_eq(request.body.unwrap(), &body), "no second copy");
        assert_eq!(hooked.0.body(), *body);
        let expected = [("own", "changed"), ("nsd", "true")].into_iter().collect();
        assert_eq!(hooked.0.fields, expected);
        // The panic of one hook does not keep the others from running.
        let answer = Ok(Command::request(0));
        hooked.after(&config.hooks.user, &answer);
        let all = [
            "a before h:1",
            "b before h:1",
            "a after true",
            "b after true",
        ];
        assert_eq!(*log.lock(), all);
    }

    #[test]
    fn a_shared_hook_is_the_hook_itself_and_prints_as_its_name() {
        let (config, log) = config(&[Then::Refuse]);
        let shared = Arc::new(config.hooks.user[0].clone());
        let as_hook: Arc<dyn RpcHook> = shared.clone();
        let (config, _) = self::config(&[]);
        let mut request = prepare(&config, None).unwrap().0;
        assert!(as_hook.before(&mut request).is_err());
        as_hook.after(&request, Err(&Error::invalid("no")));
        assert_eq!(*log.lock(), ["a before h:1", "a after false"]);
        let name = format!("{as_hook:?}");
        assert!(name.ends_with("::Noting"), "{name}");
    }

    #[test]
    fn a_changed_body_is_the_one_that_is_sent() {
        let (config, _) = config(&[Then::ChangeBody]);
        let body = Arc::new(b"body".to_vec());
        let hooked = prepare(&config, Some(&body)).unwrap();
        assert_eq!(**hooked.request().body.unwrap(), *b"body!");
        let hooked = prepare(&config, None).unwrap();
        assert_eq!(**hooked.request().body.unwrap(), *b"!");
        assert_eq!(*body, b"body");
    }

    #[test]
    fn a_hook_that_fails_keeps_the_request_from_being_sent() {
        for (then, why) in [
            (Then::Refuse, "Noting refused the request: no"),
            (Then::Panic, "Noting panicked; the request was not sent"),
        ] {
            let (config, log) = config(&[Then::Nothing, then, Then::Nothing]);
            let error = prepare(&config, None).err().expect("an error");
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(
                *log.lock(),
                ["a before h:1", "b before h:1", "a after false"]
            );
        }
    }

    #[test]
    fn without_hooks_the_fixed_fields_come_behind_the_own_ones() {
        let (mut config, _) = config(&[]);
        assert!(!config.hooks.need_command());
        let own: ExtFields = [("own", "value")].into_iter().collect();
        let visited = |config: &RemotingConfig| {
            let mut ext = ExtFields::new();
            let request = Request::new(310, &own);
            config
                .hooks
                .with_fixed(&request, |request| request.fields.visit(&mut ext));
            let fields = ext.iter().map(|(n, v)| format!("{n}={v}"));
            fields.collect::<Vec<_>>()
        };
        assert_eq!(visited(&config), ["own=value", "nsd=true"]);
        config.hooks.fixed.clear();
        assert_eq!(visited(&config), ["own=value"]);
    }
}
