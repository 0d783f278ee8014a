//! One function per request: header and body out, answer in.

use std::sync::Arc;

use super::name_server::NameServers;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::ExtFields;
use crate::protocol::code::{request, response};
use crate::protocol::heartbeat::{Heartbeat, Unregister};
use crate::protocol::route::{RouteRequest, TopicRoute};
use crate::transport::{Completion, Deadline, Remoting, Request, Via};

/// The route of a topic, or `None` if it does not exist.
pub(super) fn topic_route(
    name_servers: &NameServers,
    topic: &str,
    deadline: Deadline,
) -> Result<Option<TopicRoute>> {
    let fields = RouteRequest { topic };
    let asked = Request::new(request::GET_ROUTEINFO_BY_TOPIC, &fields);
    let answer = name_servers.ask(&asked, deadline)?;
    match answer.code {
        response::SUCCESS => TopicRoute::decode(&answer.body).map(Some).map_err(|error| {
            let text = format!("a name server's route cannot be read: {error}");
            Error::new(ErrorKind::NameServer, text).caused_by(error)
        }),
        response::TOPIC_NOT_EXIST => Ok(None),
        code => {
            let name = response::name(code);
            Err(Error::response(code, name, answer.remark.as_deref())
                .of_kind(ErrorKind::NameServer))
        }
    }
}

/// Asks a broker for a queue's end: whatever it answers, it is there.
pub(super) fn probe(
    remoting: &Remoting,
    broker: &Arc<str>,
    topic: &str,
    deadline: Deadline,
) -> Result<()> {
    let fields: ExtFields = [("topic", topic), ("queueId", "0")].into_iter().collect();
    let request = Request::new(request::GET_MAX_OFFSET, &fields);
    remoting.invoke(broker, &request, deadline).map(drop)
}

/// Tells a broker which groups live here; the answer goes to `completion`.
pub(super) fn heartbeat(
    remoting: &Remoting,
    broker: &Arc<str>,
    heartbeat: &Heartbeat,
    deadline: Deadline,
    completion: Box<dyn Completion>,
) {
    let body = Arc::new(heartbeat.encode());
    let request = Request::new(request::HEART_BEAT, &()).with_body(&body);
    remoting.invoke_async(broker, &request, deadline, Via::Caller, completion);
}

/// Tells a broker which groups live here, and waits until it has understood.
pub(super) fn heartbeat_and_wait(
    remoting: &Remoting,
    broker: &Arc<str>,
    heartbeat: &Heartbeat,
    deadline: Deadline,
) -> Result<()> {
    let body = Arc::new(heartbeat.encode());
    let request = Request::new(request::HEART_BEAT, &()).with_body(&body);
    let answer = remoting.invoke(broker, &request, deadline)?;
    match answer.code {
        response::SUCCESS => Ok(()),
        code => {
            let error = Error::response(code, response::name(code), answer.remark.as_deref());
            Err(error.at(broker))
        }
    }
}

/// Tells a broker that a group goes away; the answer goes to `completion`.
pub(super) fn unregister(
    remoting: &Remoting,
    broker: &Arc<str>,
    unregister: &Unregister,
    deadline: Deadline,
    completion: Box<dyn Completion>,
) {
    let request = Request::new(request::UNREGISTER_CLIENT, unregister);
    remoting.invoke_async(broker, &request, deadline, Via::Caller, completion);
}
