//! One function per request: header and body out, answer in.

use std::sync::Arc;
use std::time::Instant;

use super::LOG;
use super::name_server::NameServers;
use crate::error::{Error, ErrorKind, ResponseCode, Result, SendFate};
use crate::logging;
use crate::message::MessageView;
use crate::protocol::Command;
use crate::protocol::ExtFields;
use crate::protocol::admin::{
    CreateTopic, OffsetAnswer, QueryMessage, QueueQuery, RecallAnswer, RecallMessage,
    StoreTimeAnswer, ViewMessage,
};
use crate::protocol::code::{request, response};
use crate::protocol::heartbeat::{Heartbeat, Unregister};
use crate::protocol::message::{self, Unreadable};
use crate::protocol::route::{RouteRequest, TopicRoute};
use crate::transport::{Completion, Connection, Deadline, Remoting, Request, To, Via};

/// The most that the bodies of one answer may inflate to: what a frame can carry, several times
/// over.
const MOST_INFLATED: usize = 256 << 20;

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
        code => Err(Error::response(code, answer.remark.as_deref()).of_kind(ErrorKind::NameServer)),
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

/// Makes a topic on a broker, or changes it.
pub(super) fn create_topic(
    remoting: &Remoting,
    broker: &Arc<str>,
    header: &CreateTopic,
    deadline: Deadline,
) -> Result<()> {
    let asked = Request::new(request::UPDATE_AND_CREATE_TOPIC, header);
    ask(remoting, broker, &asked, deadline).map(drop)
}

/// The message at an offset of a broker's commit log.
pub(super) fn view_message(
    remoting: &Remoting,
    broker: &Arc<str>,
    header: &ViewMessage,
    deadline: Deadline,
) -> Result<MessageView> {
    let asked = Request::new(request::VIEW_MESSAGE_BY_ID, header);
    let answer = ask(remoting, broker, &asked, deadline)?;
    message::decode(answer.body, MOST_INFLATED).map_err(|error| Error::from(error).at(broker))
}

/// The messages that a broker's index has for a key, or for its hash.
pub(super) fn query_message(
    remoting: &Remoting,
    broker: &Arc<str>,
    header: &QueryMessage,
    deadline: Deadline,
) -> Result<Vec<MessageView>> {
    let asked = Request::new(request::QUERY_MESSAGE, header);
    match ask(remoting, broker, &asked, deadline) {
        Ok(answer) => {
            let read = message::decode_all(answer.body, MOST_INFLATED);
            readable(read).map_err(|error| Error::from(error).at(broker))
        }
        Err(error) if error.response_code() == Some(ResponseCode::QUERY_NOT_FOUND) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// The messages that can be read: what is wrong with one must not hide the others. An error if that
/// leaves nothing.
fn readable(read: Vec<Result<MessageView, Unreadable>>) -> Result<Vec<MessageView>, Unreadable> {
    let (mut messages, mut first) = (Vec::new(), None);
    for message in read {
        match message {
            Ok(message) => messages.push(message),
            Err(error) => {
                logging::warn!(target: LOG, "a message of an answer cannot be read: {error}");
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(error) if messages.is_empty() => Err(error),
        _ => Ok(messages),
    }
}

/// An offset of a queue: which one, the request code says.
pub(super) fn offset(
    remoting: &Remoting,
    broker: &Arc<str>,
    code: i32,
    query: &QueueQuery,
    deadline: Deadline,
) -> Result<i64> {
    let answer = ask(remoting, broker, &Request::new(code, query), deadline)?;
    let answer = OffsetAnswer::decode(&answer.ext).map_err(|error| Error::from(error).at(broker));
    answer.map(|answer| answer.offset)
}

/// When the first message of a queue was stored, epoch milliseconds; negative if there is none.
pub(super) fn earliest_store_time(
    remoting: &Remoting,
    broker: &Arc<str>,
    query: &QueueQuery,
    deadline: Deadline,
) -> Result<i64> {
    let asked = Request::new(request::GET_EARLIEST_MSG_STORETIME, query);
    let answer = ask(remoting, broker, &asked, deadline)?;
    let answer =
        StoreTimeAnswer::decode(&answer.ext).map_err(|error| Error::from(error).at(broker));
    answer.map(|answer| answer.timestamp)
}

/// Takes a timer message back; returns its unique key.
pub(super) fn recall(
    remoting: &Remoting,
    broker: &Arc<str>,
    header: &RecallMessage,
    deadline: Deadline,
) -> Result<String> {
    let asked = Request::new(request::RECALL_MESSAGE, header);
    let answer = ask(remoting, broker, &asked, deadline)?;
    let answer = RecallAnswer::decode(&answer.ext).map_err(|error| Error::from(error).at(broker));
    answer.map(|answer| answer.message_id)
}

/// Asks a broker for something that may be asked twice; any code but success is an error. A
/// connection that breaks meanwhile is replaced once: it may only have left the routes.
fn ask(
    remoting: &Remoting,
    broker: &Arc<str>,
    request: &Request<'_>,
    deadline: Deadline,
) -> Result<Command> {
    let mut answer = remoting.invoke(broker, request, deadline);
    if let Err(error) = &answer {
        if error.kind() == ErrorKind::Disconnected && !deadline.has_passed(Instant::now()) {
            answer = remoting.invoke(broker, request, deadline);
        }
    }
    // There is no message here that could be stored or not.
    let answer = answer.map_err(|error| error.with_fate(SendFate::NotSent))?;
    check(&answer, broker)?;
    Ok(answer)
}

/// Tells a broker which groups live here; the answer goes to `completion`.
pub(super) fn heartbeat(
    remoting: &Remoting,
    to: To<'_>,
    heartbeat: &Heartbeat,
    deadline: Deadline,
    completion: Box<dyn Completion>,
) {
    let body = Arc::new(heartbeat.encode());
    let request = Request::new(request::HEART_BEAT, &()).with_body(&body);
    remoting.invoke_async(to, &request, deadline, Via::Caller, completion);
}

/// Tells the broker at the end of this connection which groups live here, and waits until it has
/// understood.
pub(super) fn heartbeat_and_wait(
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

/// Whether a broker has done what it was asked for.
pub(super) fn check(answer: &Command, broker: &Arc<str>) -> Result<()> {
    match answer.code {
        response::SUCCESS => Ok(()),
        code => Err(Error::response(code, answer.remark.as_deref()).at(broker)),
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
    remoting.invoke_async(
        To::Address(broker),
        &request,
        deadline,
        Via::Caller,
        completion,
    );
}
