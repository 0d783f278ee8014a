//! Requests about a queue: its offsets, and its messages.

use std::sync::Arc;

use super::{MOST_INFLATED, ask, ask_any, check, refusal};
use crate::error::{Error, Result};
use crate::message::MessageView;
use crate::protocol::Command;
use crate::protocol::admin::{OffsetAnswer, QueueQuery, StoreTimeAnswer};
use crate::protocol::code::{request, response};
use crate::protocol::consumer::offset::{CommitOffset, QueryOffset};
use crate::protocol::consumer::pull::{PullAnswer, PullRequest, PullStatus};
use crate::protocol::message::{self, Unreadable};
use crate::transport::{Deadline, Remoting, Request};

/// The end of a queue: the offset that its next message will have.
pub(in crate::client) fn max_offset(
    remoting: &Remoting,
    broker: &Arc<str>,
    query: &QueueQuery,
    deadline: Deadline,
) -> Result<i64> {
    offset(remoting, broker, request::GET_MAX_OFFSET, query, deadline)
}

/// The beginning of a queue: the offset of the oldest message that the broker still has.
pub(in crate::client) fn min_offset(
    remoting: &Remoting,
    broker: &Arc<str>,
    query: &QueueQuery,
    deadline: Deadline,
) -> Result<i64> {
    offset(remoting, broker, request::GET_MIN_OFFSET, query, deadline)
}

/// The offset of a time in a queue, which is the query's timestamp.
pub(in crate::client) fn search_offset(
    remoting: &Remoting,
    broker: &Arc<str>,
    query: &QueueQuery,
    deadline: Deadline,
) -> Result<i64> {
    let code = request::SEARCH_OFFSET_BY_TIMESTAMP;
    offset(remoting, broker, code, query, deadline)
}

/// When the first message of a queue was stored, epoch milliseconds; negative if there is none.
pub(in crate::client) fn earliest_store_time(
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

/// The offset of a consumer group in a queue; `None` if the broker says that there is none.
pub(in crate::client) fn committed_offset(
    remoting: &Remoting,
    broker: &Arc<str>,
    query: &QueryOffset,
    deadline: Deadline,
) -> Result<Option<i64>> {
    let asked = Request::new(request::QUERY_CONSUMER_OFFSET, query);
    let answer = ask_any(remoting, broker, &asked, deadline)?;
    read_committed(&answer, broker)
}

/// The offset of a group, from the answer.
pub(in crate::client) fn read_committed(
    answer: &Command,
    broker: &Arc<str>,
) -> Result<Option<i64>> {
    match answer.code {
        response::QUERY_NOT_FOUND => Ok(None),
        _ => read_offset(answer, broker).map(Some),
    }
}

/// The offset that a broker answered.
pub(in crate::client) fn read_offset(answer: &Command, broker: &Arc<str>) -> Result<i64> {
    check(answer, broker)?;
    let answer = OffsetAnswer::decode(&answer.ext).map_err(|error| Error::from(error).at(broker));
    answer.map(|answer| answer.offset)
}

/// Commits an offset of a group.
pub(in crate::client) fn commit(
    remoting: &Remoting,
    broker: &Arc<str>,
    commit: &CommitOffset,
    deadline: Deadline,
) -> Result<()> {
    let asked = Request::new(request::UPDATE_CONSUMER_OFFSET, commit);
    ask(remoting, broker, &asked, deadline).map(drop)
}

/// Messages of a queue.
pub(in crate::client) struct Page {
    pub(in crate::client) messages: Vec<Result<MessageView, Unreadable>>,
    /// The offset of the messages that follow; not greater than the one that was asked for if there are none.
    pub(in crate::client) next: i64,
}

/// The messages of a queue from an offset on that the broker has now.
pub(in crate::client) fn pull(
    remoting: &Remoting,
    broker: &Arc<str>,
    header: &PullRequest<'_>,
    deadline: Deadline,
) -> Result<Page> {
    let asked = Request::new(request::PULL_MESSAGE, header);
    let answer = ask_any(remoting, broker, &asked, deadline)?;
    let Some(status) = PullStatus::of_code(answer.code) else {
        return Err(refusal(&answer).at(broker));
    };
    let fields = PullAnswer::decode(&answer.ext).map_err(|error| Error::from(error).at(broker))?;
    let messages = match status {
        PullStatus::Found => message::decode_all(answer.body, MOST_INFLATED),
        _ => Vec::new(),
    };
    Ok(Page {
        messages,
        next: fields.next_offset,
    })
}

fn offset(
    remoting: &Remoting,
    broker: &Arc<str>,
    code: i32,
    query: &QueueQuery,
    deadline: Deadline,
) -> Result<i64> {
    let answer = ask_any(remoting, broker, &Request::new(code, query), deadline)?;
    read_offset(&answer, broker)
}
