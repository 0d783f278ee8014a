//! A kind of server: it executes requests.

use std::sync::Arc;

use super::call::Call;
use crate::protocol::code::response;
use crate::protocol::{Command, ProtocolError};

/// The name server's or the broker's side of the protocol.
pub(in crate::embedded) trait Service: Send + Sync + 'static {
    /// Carries out one request, on the thread of its connection: what blocks here blocks the other
    /// requests of that connection. A request that has to wait for something becomes a
    /// [`Responder`](super::call::Responder).
    fn handle(&self, call: Call<'_>) -> Answer;

    /// A client has answered a request of the server's own.
    fn answered(&self, _connection: u64, _answer: &Arc<Command>) {}

    /// A connection has ended.
    fn disconnected(&self, _connection: u64) {}
}

/// When a request is answered.
pub(in crate::embedded) enum Answer {
    /// The answer. A oneway request drops it.
    Now(Command),
    /// Through the responder that the service made of the call.
    Later,
}

/// A code that this server does not know.
pub(in crate::embedded) fn not_supported(request: &Command) -> Command {
    let remark = format!(" request type {} not supported", request.code);
    Command::response_to(request, response::REQUEST_CODE_NOT_SUPPORTED).with_remark(remark)
}

/// A request that cannot be understood; in Java an exception, which becomes this code.
pub(in crate::embedded) fn bad_request(request: &Command, error: &ProtocolError) -> Command {
    Command::response_to(request, response::SYSTEM_ERROR).with_remark(error.to_string())
}
