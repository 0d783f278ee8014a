//! The processing of every outgoing request: common fields, hooks, and the signature.

use std::sync::Arc;

use super::rpc_hook::{RpcHook, RpcRequest, RpcResponse};
use super::{LOG, Outcome, Request};
use crate::error::Error;
use crate::logging;
use crate::panics::caught;
use crate::protocol::ExtFields;
#[cfg(feature = "acl")]
use crate::protocol::acl::Credentials;

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

    /// The request with the fixed fields, still in borrowed parts.
    pub(super) fn with_fixed<'a>(&'a self, request: &Request<'a>) -> Request<'a> {
        Request {
            fixed: &self.fixed,
            ..*request
        }
    }
}

/// A request as the hooks have left it.
pub(super) struct Hooked {
    request: RpcRequest,
    parked: bool,
}

impl Hooked {
    /// Runs everything that comes before a request.
    ///
    /// # Errors
    /// `Invalid` if a hook refuses; earlier hooks have then seen the end.
    pub(super) fn prepare(
        hooks: &Hooks,
        address: &Arc<str>,
        request: &Request<'_>,
        oneway: bool,
    ) -> Result<Hooked, Error> {
        let mut fields = ExtFields::new();
        hooks.with_fixed(request).visit(&mut fields);
        let mut hooked = Hooked {
            request: RpcRequest {
                address: Arc::clone(address),
                code: request.code,
                is_oneway: oneway,
                fields,
                remark: request.remark.map(str::to_owned),
                body: request.body.cloned(),
            },
            parked: request.parked,
        };
        hooked.run_before(&hooks.user)?;
        #[cfg(feature = "acl")]
        if let Some(credentials) = &hooks.credentials {
            let RpcRequest { fields, body, .. } = &mut hooked.request;
            let body = body.as_ref().map_or(&[][..], |body| body.as_slice());
            credentials.sign(fields, body);
        }
        Ok(hooked)
    }

    /// The same for the wire.
    pub(super) fn request(&self) -> Request<'_> {
        let hooked = &self.request;
        let mut request = Request::new(hooked.code, &hooked.fields);
        request.remark = hooked.remark.as_deref();
        request.body = hooked.body.as_ref();
        request.parked = self.parked;
        request
    }

    /// Runs everything that comes after a request which has an answer.
    pub(super) fn after(&self, hooks: &[Arc<dyn RpcHook>], outcome: &Outcome) {
        for hook in hooks {
            let run = || hook.after(&self.request, outcome.as_ref().map(RpcResponse));
            if caught(run).is_err() {
                let (name, address) = (hook.name(), &self.request.address);
                logging::error!(
                    target: LOG,
                    "rpc hook {name} panicked after a request to {address}; going on"
                );
            }
        }
    }

    fn run_before(&mut self, hooks: &[Arc<dyn RpcHook>]) -> Result<(), Error> {
        for (i, hook) in hooks.iter().enumerate() {
            let run = || hook.before(&mut self.request);
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
            if !self.request.is_oneway {
                self.after(&hooks[..i], &Err(error.clone()));
            }
            return Err(error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as StdError;

    use super::*;
    use crate::error::ErrorKind;
    use crate::protocol::Command;
    use crate::sync::Mutex;

    /// Records its calls, and behaves as configured.
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

    fn hooks(thens: &[Then]) -> (Hooks, Log) {
        let log = Log::default();
        let hook = |(i, then): (usize, &Then)| -> Arc<dyn RpcHook> {
            Arc::new(Noting {
                id: ["a", "b", "c"][i],
                log: log.clone(),
                then: *then,
            })
        };
        let hooks = Hooks {
            fixed: vec![("nsd", "true".into())],
            user: thens.iter().enumerate().map(hook).collect(),
            #[cfg(feature = "acl")]
            credentials: None,
        };
        (hooks, log)
    }

    fn prepare(hooks: &Hooks, body: Option<&Arc<Vec<u8>>>) -> Result<Hooked, Error> {
        let own: ExtFields = [("own", "value")].into_iter().collect();
        let mut request = Request::new(310, &own);
        request.body = body;
        Hooked::prepare(hooks, &"h:1".into(), &request, false)
    }

    #[test]
    fn hooks_run_in_order_and_see_and_change_the_request() {
        let (hooks, log) = hooks(&[Then::Nothing, Then::Add]);
        let body = Arc::new(b"body".to_vec());
        let hooked = prepare(&hooks, Some(&body)).unwrap();
        let request = hooked.request();
        assert!(Arc::ptr_eq(request.body.unwrap(), &body), "no second copy");
        assert_eq!(hooked.request.body(), *body);
        let expected = [("own", "changed"), ("nsd", "true")].into_iter().collect();
        assert_eq!(hooked.request.fields, expected);
        // The panic of one hook does not keep the others from running.
        let answer = Ok(Command::request(0));
        hooked.after(&hooks.user, &answer);
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
        let (hooks, log) = hooks(&[Then::Refuse]);
        let shared = Arc::new(hooks.user[0].clone());
        let as_hook: Arc<dyn RpcHook> = shared.clone();
        let (none, _) = self::hooks(&[]);
        let mut request = prepare(&none, None).unwrap().request;
        assert!(as_hook.before(&mut request).is_err());
        as_hook.after(&request, Err(&Error::invalid("no")));
        assert_eq!(*log.lock(), ["a before h:1", "a after false"]);
        let name = format!("{as_hook:?}");
        assert!(name.ends_with("::Noting"), "{name}");
    }

    #[test]
    fn a_changed_body_is_the_one_that_is_sent() {
        let (hooks, _) = hooks(&[Then::ChangeBody]);
        let body = Arc::new(b"body".to_vec());
        let hooked = prepare(&hooks, Some(&body)).unwrap();
        assert_eq!(**hooked.request().body.unwrap(), *b"body!");
        let hooked = prepare(&hooks, None).unwrap();
        assert_eq!(**hooked.request().body.unwrap(), *b"!");
        assert_eq!(*body, b"body");
    }

    #[test]
    fn a_hook_that_fails_keeps_the_request_from_being_sent() {
        for (then, why) in [
            (Then::Refuse, "Noting refused the request: no"),
            (Then::Panic, "Noting panicked; the request was not sent"),
        ] {
            let (hooks, log) = hooks(&[Then::Nothing, then, Then::Nothing]);
            let error = prepare(&hooks, None).err().expect("an error");
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
        let (mut hooks, _) = hooks(&[]);
        assert!(!hooks.need_command());
        let own: ExtFields = [("own", "value")].into_iter().collect();
        let visited = |hooks: &Hooks| {
            let mut ext = ExtFields::new();
            let request = Request::new(310, &own);
            hooks.with_fixed(&request).visit(&mut ext);
            let fields = ext.iter().map(|(n, v)| format!("{n}={v}"));
            fields.collect::<Vec<_>>()
        };
        assert_eq!(visited(&hooks), ["own=value", "nsd=true"]);
        hooks.fixed.clear();
        assert_eq!(visited(&hooks), ["own=value"]);
    }
}
