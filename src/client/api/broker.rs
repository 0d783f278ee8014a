//! Requests about a broker and its stored messages.

use std::sync::Arc;

use super::{MOST_INFLATED, ask};
use crate::client::LOG;
use crate::error::{Error, ResponseCode, Result};
use crate::logging;
use crate::message::MessageView;
use crate::protocol::ExtFields;
use crate::protocol::admin::{QueryMessage, RecallAnswer, RecallMessage, ViewMessage};
use crate::protocol::code::request;
use crate::protocol::message::{self, Unreadable};
use crate::transport::{Deadline, Remoting, Request};

/// Whether a broker answers: it is asked for the end of a queue, and any answer counts.
pub(in crate::client) fn probe(
    remoting: &Remoting,
    broker: &Arc<str>,
    topic: &str,
    deadline: Deadline,
) -> Result<()> {
    let fields: ExtFields = [("topic", topic), ("queueId", "0")].into_iter().collect();
    let request = Request::new(request::GET_MAX_OFFSET, &fields);
    remoting.invoke(broker, &request, deadline).map(drop)
}

/// The message at an offset of a broker's commit log.
pub(in crate::client) fn view_message(
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
pub(in crate::client) fn query_message(
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

/// The readable messages: a defect of one must not hide the others. An error if none is readable.
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

/// Takes a timer message back; returns its unique key.
pub(in crate::client) fn recall(
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
