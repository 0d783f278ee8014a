//! User code around requests, and its view of them.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ResponseCode};
use crate::protocol::{Command, ExtFields};

/// User code around every request of a client: sends of all modes, heartbeats, unregistering, and
/// questions to name servers.
///
/// Hooks run in the order in which they were added, for each outgoing request: every attempt of a
/// send is a request, and so is the resend over a new connection after GO_AWAY. Requests are signed
/// after all hooks, so the signature covers their changes. Answers to requests of brokers are not
/// hooked.
///
/// # Threads
/// [`before`](RpcHook::before) runs on the sending thread: the caller's, or that of a retry,
/// heartbeat or route refresh, or the control thread of a consumer, which waits for it. [`after`](RpcHook::after) runs there too for synchronous requests.
/// For asynchronous ones it runs on the callback threads, before the result is delivered. No lock
/// is held; the time of a hook counts towards the request's deadline. A hook may send messages, and
/// is called for them too. It must not shut down its own producer or client: a shutdown unregisters
/// from the brokers, which runs the hook.
///
/// # Cost
/// Without hooks, a header is encoded straight from its parts. With one, the fields of each header are
/// copied first. Bodies are not copied.
///
/// ```
/// use std::error::Error;
///
/// use rocketmq_blocking::{ClientOptions, Producer};
/// use rocketmq_blocking::hook::{RpcHook, RpcRequest};
///
/// struct Zone(&'static str);
///
/// impl RpcHook for Zone {
///     fn before(&self, request: &mut RpcRequest) -> Result<(), Box<dyn Error + Send + Sync>> {
///         request.set_field("__ZONE_NAME", self.0);
///         Ok(())
///     }
/// }
///
/// let builder = Producer::builder("orders").options(ClientOptions::new().rpc_hook(Zone("north")));
/// # drop(builder);
/// ```
#[doc(alias = "RPCHook")]
pub trait RpcHook: Send + Sync {
    /// Runs before a request goes out, and may change it.
    ///
    /// # Errors
    /// After an error, or a panic, the request is not sent: the call fails with
    /// [`Invalid`](crate::ErrorKind::Invalid), which names the hook, and is not tried again.
    #[doc(alias = "doBeforeRequest")]
    fn before(&self, request: &mut RpcRequest) -> Result<(), Box<dyn StdError + Send + Sync>> {
        let _ = request;
        Ok(())
    }

    /// Runs once the request has its answer (whatever the code), or failed without one: exactly
    /// once if this hook's [`before`](RpcHook::before) was `Ok`, and never for oneway requests. A
    /// panic is logged and changes nothing.
    #[doc(alias = "doAfterResponse")]
    fn after(&self, request: &RpcRequest, outcome: Result<RpcResponse<'_>, &Error>) {
        let _ = (request, outcome);
    }

    /// The name of this hook in errors and logs (default: its type's name).
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }
}

/// An `Arc` of a hook is a hook, so that its owner can read it later.
impl<H: RpcHook + ?Sized> RpcHook for Arc<H> {
    fn before(&self, request: &mut RpcRequest) -> Result<(), Box<dyn StdError + Send + Sync>> {
        (**self).before(request)
    }

    fn after(&self, request: &RpcRequest, outcome: Result<RpcResponse<'_>, &Error>) {
        (**self).after(request, outcome);
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

/// A request that goes out, as an [`RpcHook`] sees and changes it.
pub struct RpcRequest {
    pub(super) address: Arc<str>,
    pub(super) code: i32,
    pub(super) is_oneway: bool,
    pub(super) fields: ExtFields,
    pub(super) remark: Option<String>,
    pub(super) body: Option<Arc<Vec<u8>>>,
}

impl RpcRequest {
    /// The address that it goes to, `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The request code (Java's `RequestCode`): 310 is a send, 34 a heartbeat, 105 asks for a route.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// Makes another request of it.
    pub fn set_code(&mut self, code: i32) {
        self.code = code;
    }

    /// Whether the server is to give no answer.
    pub fn is_oneway(&self) -> bool {
        self.is_oneway
    }

    /// The value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }

    /// Sets or replaces a header field.
    pub fn set_field(&mut self, name: &str, value: &str) {
        self.fields.set(name, value);
    }

    /// All header fields: names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter()
    }

    /// The text for people that goes with it.
    pub fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// Sets or replaces that text.
    pub fn set_remark(&mut self, remark: impl Into<String>) {
        self.remark = Some(remark.into());
    }

    /// The body: of a send, the message's, compressed if it is.
    pub fn body(&self) -> &[u8] {
        self.body.as_ref().map_or(&[], |body| body.as_slice())
    }

    /// Replaces the body.
    pub fn set_body(&mut self, body: Vec<u8>) {
        self.body = (!body.is_empty()).then(|| Arc::new(body));
    }
}

impl fmt::Debug for RpcRequest {
    /// Names the fields, but prints neither their values, which may be secret, nor the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcRequest")
            .field("address", &self.address)
            .field("code", &self.code)
            .field("fields", &self.fields)
            .field("body_len", &self.body().len())
            .finish_non_exhaustive()
    }
}

/// The answer to a request, as an [`RpcHook`] sees it.
#[derive(Clone, Copy)]
pub struct RpcResponse<'a>(pub(super) &'a Command);

impl<'a> RpcResponse<'a> {
    /// The response code.
    pub fn code(&self) -> ResponseCode {
        self.0.code.into()
    }

    /// The value of a header field.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.0.ext.get(name)
    }

    /// All header fields: names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.ext.iter()
    }

    /// The text for people that came with it, mostly the cause of an error.
    pub fn remark(&self) -> Option<&'a str> {
        self.0.remark.as_deref()
    }

    /// The body.
    pub fn body(&self) -> &'a [u8] {
        &self.0.body
    }
}

impl fmt::Debug for RpcResponse<'_> {
    /// Names the fields, but prints neither their values nor the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcResponse")
            .field("code", &self.code())
            .field("remark", &self.remark())
            .field("fields", &self.0.ext)
            .field("body_len", &self.body().len())
            .finish_non_exhaustive()
    }
}
