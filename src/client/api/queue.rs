//! Requests about a queue.

use std::sync::Arc;

use super::ask;
use crate::error::{Error, ResponseCode, Result};
use crate::protocol::admin::{OffsetAnswer, QueueQuery, StoreTimeAnswer};
use crate::protocol::code::request;
use crate::protocol::consumer::offset::QueryOffset;
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
    match ask(remoting, broker, &asked, deadline) {
        Ok(answer) => {
            let answer = OffsetAnswer::decode(&answer.ext);
            let answer = answer.map_err(|error| Error::from(error).at(broker));
            answer.map(|answer| Some(answer.offset))
        }
        Err(error) if error.response_code() == Some(ResponseCode::QUERY_NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

fn offset(
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
