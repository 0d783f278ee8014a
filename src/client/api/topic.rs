//! Requests about topics.

use std::sync::Arc;

use super::{ask, refusal};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::admin::CreateTopic;
use crate::protocol::code::{request, response};
use crate::protocol::route::{RouteRequest, TopicRoute};
use crate::transport::{Deadline, Remoting, Request};

/// The route of a topic, as this name server has it; `None` if it knows no such topic.
///
/// # Errors
/// `NameServer` if it refuses, or its answer cannot be read.
pub(in crate::client) fn route(
    remoting: &Remoting,
    name_server: &Arc<str>,
    topic: &str,
    deadline: Deadline,
) -> Result<Option<TopicRoute>> {
    let fields = RouteRequest { topic };
    let asked = Request::new(request::GET_ROUTEINFO_BY_TOPIC, &fields);
    let answer = remoting.invoke(name_server, &asked, deadline)?;
    let error = match answer.code {
        response::SUCCESS => match TopicRoute::decode(&answer.body) {
            Ok(route) => return Ok(Some(route)),
            Err(error) => {
                let text = format!("a name server's route cannot be read: {error}");
                Error::new(ErrorKind::NameServer, text).caused_by(error)
            }
        },
        response::TOPIC_NOT_EXIST => return Ok(None),
        response::REQUEST_CODE_NOT_SUPPORTED => {
            refusal(&answer).detailed("REQUEST_CODE_NOT_SUPPORTED (3); is this a broker's address?")
        }
        _ => refusal(&answer),
    };
    Err(error.of_kind(ErrorKind::NameServer).at(name_server))
}

/// Makes a topic on a broker, or changes it.
pub(in crate::client) fn create(
    remoting: &Remoting,
    broker: &Arc<str>,
    header: &CreateTopic,
    deadline: Deadline,
) -> Result<()> {
    let asked = Request::new(request::UPDATE_AND_CREATE_TOPIC, header);
    ask(remoting, broker, &asked, deadline).map(drop)
}
