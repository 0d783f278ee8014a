//! What is done to every request on its way out: fields that all of them carry, user code around
//! them, and their signature.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::{LOG, Outcome, Request};
use crate::error::Error;
use crate::logging;
use crate::panics::caught;
#[cfg(feature = "acl")]
use crate::protocol::acl::Credentials;
use crate::protocol::{Command, ExtFields, Language};

/// User code around every request of a client: sends of all modes, heartbeats, unregistering, and
/// questions to name servers.
///
/// Hooks run in the order in which they were added, for each request that goes out: every attempt
/// of a send is a request of its own, and so is the repetition over a new connection after a server
/// said "go away". Requests are signed after all hooks, so that what hooks add is signed too.
/// Answers to requests of brokers are not hooked.
///
/// # Threads
/// [`before`](RpcHook::before) runs on the thread that sends: the caller's, or that of a retry,
/// heartbeat or route refresh. [`after`](RpcHook::after) runs there too for requests that are waited
/// for, and on the callback threads for asynchronous ones, before their result goes on. No lock is
/// held; the time that a hook takes counts towards the request's deadline. A hook may send messages,
/// each of which comes back to it. It must not shut down the producer or client that it belongs to:
/// shutting down says goodbye to the brokers, which runs the hook.
///
/// # Cost
/// Without hooks, a header is encoded straight from its parts. With one, each request becomes a
/// [`Command`] first, which copies its body once.
///
/// ```
/// use std::error::Error;
///
/// use rocketmq_blocking::{ClientOptions, Producer};
/// use rocketmq_blocking::hook::RpcHook;
/// use rocketmq_blocking::protocol::Command;
///
/// struct Zone(&'static str);
///
/// impl RpcHook for Zone {
///     fn before(
///         &self,
///         _address: &str,
///         request: &mut Command,
///     ) -> Result<(), Box<dyn Error + Send + Sync>> {
///         request.ext.set("__ZONE_NAME", self.0);
///         Ok(())
///     }
/// }
///
/// let builder = Producer::builder("orders").options(ClientOptions::new().rpc_hook(Zone("north")));
/// # drop(builder);
/// ```
#[doc(alias = "RPCHook")]
pub trait RpcHook: Send + Sync {
    /// Runs before a request goes to this address. It may change the request's code, header fields,
    /// remark and body; number, flag, language and version are the client's own, and changes to
    /// them have no effect.
    ///
    /// # Errors
    /// After an error, or a panic, the request is not sent: the call fails with
    /// [`Invalid`](crate::ErrorKind::Invalid), which names the hook, and is not tried again.
    #[doc(alias = "doBeforeRequest")]
    fn before(
        &self,
        address: &str,
        request: &mut Command,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        let _ = (address, request);
        Ok(())
    }

    /// Runs once the request has its answer (whatever the code), or failed without one: exactly
    /// once if this hook's [`before`](RpcHook::before) was `Ok`, and never for oneway requests. A
    /// panic is logged and changes nothing.
    #[doc(alias = "doAfterResponse")]
    fn after(&self, address: &str, request: &Command, outcome: Result<&Command, &Error>) {
        let _ = (address, request, outcome);
    }

    /// What errors and logs call this hook (default: its type's name).
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }
}

/// A hook is shared by an `Arc` if its owner wants to look into it later.
impl<H: RpcHook + ?Sized> RpcHook for Arc<H> {
    fn before(
        &self,
        address: &str,
        request: &mut Command,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        (**self).before(address, request)
    }

    fn after(&self, address: &str, request: &Command, outcome: Result<&Command, &Error>) {
        (**self).after(address, request, outcome);
    }

    fn name(&self) -> &str {
        (**self).name()
    }
}

impl fmt::Debug for dyn RpcHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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
    /// What `after` gets. Its body is the request's only if there is user code to see it.
    command: Command,
    /// What is sent.
    body: Option<Arc<Vec<u8>>>,
    parked: bool,
}

impl Hooked {
    /// Runs everything that comes before a request of a client of this language and version.
    ///
    /// # Errors
    /// `Invalid` if a hook says so; the hooks before it have then heard of it.
    pub(super) fn prepare(
        hooks: &Hooks,
        client: (Language, i32),
        address: &str,
        request: &Request<'_>,
        oneway: bool,
    ) -> Result<Hooked, Error> {
        let (language, version) = client;
        let mut ext = ExtFields::new();
        hooks.with_fixed(request).visit(&mut ext);
        let mut hooked = Hooked {
            command: Command {
                flag: if oneway { Command::ONEWAY } else { 0 },
                language,
                version,
                remark: request.remark.map(str::to_owned),
                ext,
                ..Command::request(request.code)
            },
            body: request.body.cloned(),
            parked: request.parked,
        };
        if !hooks.user.is_empty() {
            hooked.run_before(&hooks.user, address)?;
        }
        #[cfg(feature = "acl")]
        if let Some(credentials) = &hooks.credentials {
            let body = hooked.body.as_ref().map_or(&[][..], |body| body.as_slice());
            credentials.sign(&mut hooked.command.ext, body);
        }
        Ok(hooked)
    }

    pub(super) fn request(&self) -> Request<'_> {
        let mut request = Request::new(self.command.code, &self.command.ext);
        request.remark = self.command.remark.as_deref();
        request.body = self.body.as_ref();
        request.parked = self.parked;
        request
    }

    /// Runs everything that comes after a request which has an answer.
    pub(super) fn after(&self, hooks: &[Arc<dyn RpcHook>], address: &str, outcome: &Outcome) {
        for hook in hooks {
            let run = || hook.after(address, &self.command, outcome.as_ref());
            if caught(run).is_err() {
                let name = hook.name();
                logging::error!(
                    target: LOG,
                    "rpc hook {name} panicked after a request to {address}; going on"
                );
            }
        }
    }

    fn run_before(&mut self, hooks: &[Arc<dyn RpcHook>], address: &str) -> Result<(), Error> {
        let given = self.body.take();
        if let Some(body) = &given {
            self.command.body.extend_from_slice(body);
        }
        for (i, hook) in hooks.iter().enumerate() {
            let run = || hook.before(address, &mut self.command);
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
            if !self.command.is_oneway() {
                self.after(&hooks[..i], address, &Err(error.clone()));
            }
            return Err(error);
        }
        self.body = match given {
            // The common case: the wire gets the body that there was before it was copied.
            Some(body) if *body == self.command.body => Some(body),
            _ if self.command.body.is_empty() => None,
            _ => Some(Arc::new(self.command.body.clone())),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::sync::Mutex;

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
        fn before(
            &self,
            address: &str,
            request: &mut Command,
        ) -> Result<(), Box<dyn StdError + Send + Sync>> {
            self.log
                .lock()
                .push(format!("{} before {address}", self.id));
            match self.then {
                Then::Nothing => {}
                Then::Add => request.ext.set("own", "changed"),
                Then::ChangeBody => request.body.push(b'!'),
                Then::Refuse => return Err("no".into()),
                Then::Panic => panic!("a test's own panic"),
            }
            Ok(())
        }

        fn after(&self, _: &str, _: &Command, outcome: Result<&Command, &Error>) {
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
        Hooked::prepare(hooks, (Language::RUST, 1), "h:1", &request, false)
    }

    #[test]
    fn hooks_run_in_order_and_see_and_change_the_request() {
        let (hooks, log) = hooks(&[Then::Nothing, Then::Add]);
        let body = Arc::new(b"body".to_vec());
        let hooked = prepare(&hooks, Some(&body)).unwrap();
        let request = hooked.request();
        assert!(Arc::ptr_eq(request.body.unwrap(), &body), "no second copy");
        assert_eq!(hooked.command.body, *body);
        let expected = [("own", "changed"), ("nsd", "true")].into_iter().collect();
        assert_eq!(hooked.command.ext, expected);
        // The panic of one hook does not keep the others from running.
        let answer = Ok(Command::request(0));
        hooked.after(&hooks.user, "h:1", &answer);
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
        let refused = as_hook.before("h:1", &mut Command::request(0));
        assert!(refused.is_err());
        as_hook.after("h:1", &Command::request(0), Err(&Error::invalid("no")));
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
