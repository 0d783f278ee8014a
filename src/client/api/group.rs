//! Requests about groups: those that live in a client, and others that an operator sets.

use std::sync::Arc;

use super::ask;
use crate::error::Result;
use crate::protocol::code::request;
use crate::protocol::consumer::assignment::SetRequestMode;
use crate::protocol::heartbeat::{Heartbeat, Unregister};
use crate::transport::{
    Completion, Connection, Deadline, Dial, Prepared, Remoting, Request, To, Via,
};

/// A heartbeat to a broker, which says which groups live here, ready to go out.
///
/// # Errors
/// `Invalid` if a hook says so.
pub(in crate::client) fn prepare_heartbeat(
    remoting: &Remoting,
    broker: &Arc<str>,
    heartbeat: &Heartbeat,
) -> Result<Prepared> {
    let body = Arc::new(heartbeat.encode());
    let request = Request::new(request::HEART_BEAT, &()).with_body(&body);
    remoting.encode(broker, &request, false)
}

/// Tells the broker at the other end of this connection that a group goes away; the answer goes to
/// `completion`. A broker to which the connection has ended knows already.
pub(in crate::client) fn unregister(
    remoting: &Remoting,
    connection: &Arc<Connection>,
    unregister: &Unregister,
    deadline: Deadline,
    completion: Box<dyn Completion>,
) {
    let request = Request::new(request::UNREGISTER_CLIENT, unregister);
    let to = To::Connection(connection);
    remoting.invoke_async(to, &request, deadline, Via::Caller, Dial::Wait, completion);
}

/// Sets how a group's messages of a topic are asked for.
pub(in crate::client) fn set_request_mode(
    remoting: &Remoting,
    broker: &Arc<str>,
    set: &SetRequestMode,
    deadline: Deadline,
) -> Result<()> {
    let body = Arc::new(set.encode());
    let asked = Request::new(request::SET_MESSAGE_REQUEST_MODE, &()).with_body(&body);
    ask(remoting, broker, &asked, deadline).map(drop)
}
