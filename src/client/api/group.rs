//! Requests about the groups that live in a client.

use std::sync::Arc;

use super::check;
use crate::error::Result;
use crate::protocol::code::request;
use crate::protocol::heartbeat::{Heartbeat, Unregister};
use crate::transport::{Completion, Connection, Deadline, Dial, Remoting, Request, To, Via};

/// Tells the broker at the other end of this connection which groups live here; the answer goes to
/// `completion`.
pub(in crate::client) fn heartbeat(
    remoting: &Remoting,
    connection: &Arc<Connection>,
    heartbeat: &Heartbeat,
    deadline: Deadline,
    completion: Box<dyn Completion>,
) {
    let body = Arc::new(heartbeat.encode());
    let request = Request::new(request::HEART_BEAT, &()).with_body(&body);
    let to = To::Connection(connection);
    remoting.invoke_async(to, &request, deadline, Via::Caller, Dial::Wait, completion);
}

/// The same, waiting until the broker has confirmed it.
pub(in crate::client) fn heartbeat_and_wait(
    remoting: &Remoting,
    connection: &Arc<Connection>,
    heartbeat: &Heartbeat,
    deadline: Deadline,
) -> Result<()> {
    let body = Arc::new(heartbeat.encode());
    let request = Request::new(request::HEART_BEAT, &()).with_body(&body);
    let answer = remoting.invoke_once(To::Connection(connection), &request, deadline)?;
    check(&answer, connection.address())
}

/// Tells a broker that a group goes away; the answer goes to `completion`.
pub(in crate::client) fn unregister(
    remoting: &Remoting,
    broker: &Arc<str>,
    unregister: &Unregister,
    deadline: Deadline,
    completion: Box<dyn Completion>,
) {
    let request = Request::new(request::UNREGISTER_CLIENT, unregister);
    let to = To::Address(broker);
    remoting.invoke_async(to, &request, deadline, Via::Caller, Dial::Wait, completion);
}
