//! Seeks: a queue goes on at another offset, by a call or an operator.

use std::time::Instant;

use crate::consumer::control::owned::Queues;
use crate::consumer::control::stages::moved;
use crate::consumer::control::tools::Tools;
use crate::error::{Error, ErrorKind, Result};
use crate::message::MessageQueue;

/// A queue, by its users' name, goes on at an offset.
pub(super) fn seek(
    queue: &MessageQueue,
    to: u64,
    queues: &mut Queues,
    tools: &mut Tools,
    now: Instant,
) -> Result<()> {
    let owned = queues.of_mut(&tools.topics.on_wire(queue));
    let Some(owned) = owned.filter(|owned| !owned.is_given_up()) else {
        let text = format!("{queue} is not assigned to this consumer");
        return Err(Error::new(ErrorKind::Invalid, text));
    };
    moved::go_on_at(owned, tools, to, now);
    tools.progress.insist(owned.queue());
    let number = owned.number();
    queues.look_at(number, Some(now));
    Ok(())
}
