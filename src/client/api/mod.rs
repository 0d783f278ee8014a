//! One function per request: header and body out, answer in. In reading order:
//!
//! - `topic`: routes (of a name server), and topics that are made
//! - `group`: heartbeats and groups that go away; members, topics and resets of a group
//! - `queue`: offsets of a queue, commits, and messages from an offset on
//! - `broker`: stored messages, and whether a broker answers at all

pub(super) mod broker;
pub(super) mod group;
pub(super) mod queue;
pub(super) mod topic;

use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result, SendFate};
use crate::protocol::Command;
use crate::protocol::code::response;
use crate::transport::{Deadline, Remoting, Request};

/// The most that the bodies of one answer may inflate to: what a frame can carry, several times
/// over.
const MOST_INFLATED: usize = 256 << 20;

/// Sends a repeatable request to a broker; any code but success is an error. A connection that
/// breaks during it is replaced once: its broker may only have left the routes.
fn ask(
    remoting: &Remoting,
    broker: &Arc<str>,
    request: &Request<'_>,
    deadline: Deadline,
) -> Result<Command> {
    let answer = ask_any(remoting, broker, request, deadline)?;
    check(&answer, broker)?;
    Ok(answer)
}

/// The same, with an answer of any code.
fn ask_any(
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
    answer.map_err(|error| error.with_fate(SendFate::NotSent))
}

/// Whether a broker has executed a request.
pub(super) fn check(answer: &Command, broker: &Arc<str>) -> Result<()> {
    match answer.code {
        response::SUCCESS => Ok(()),
        _ => Err(refusal(answer).at(broker)),
    }
}

/// The error that an answer is.
fn refusal(answer: &Command) -> Error {
    Error::response(answer.code, answer.remark.as_deref())
}
