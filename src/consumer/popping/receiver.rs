//! The thread that pops messages for the consume threads.

use std::ops::ControlFlow;
use std::time::Duration;

use super::shared::{Popping, REST};
use super::turns::repeat;
use crate::consumer::observe::Event;
use crate::consumer::pop::{MOST_MESSAGES, Receive, Refusal, receive};
use crate::error::{ErrorKind, Result};
use crate::message::MessageQueue;

/// How long one receive waits for a message.
const WAIT: Duration = Duration::from_secs(15);

/// The loop of the thread.
pub(super) fn run(popping: &Popping) {
    let turn = || pop(popping);
    // What it popped in that turn comes again.
    repeat("a consumer's thread that pops", turn, || {
        popping.pop.pause(REST)
    });
}

/// Pops messages once, if there is capacity for them.
fn pop(popping: &Popping) -> ControlFlow<()> {
    let Some(capacity) = wait_for_capacity(popping) else {
        return ControlFlow::Break(());
    };
    let config = &popping.consumer.config;
    let asked = Receive {
        max: capacity.min(config.pull_batch).min(MOST_MESSAGES),
        invisible: config.invisible_time,
        wait: WAIT,
    };
    let counters = &popping.consumer.counters;
    counters.pulls.add(1);
    let known = || popping.known();
    match receive(&popping.pop, known, &asked, |refusal| {
        refused(popping, refusal)
    }) {
        Ok(None) => {}
        Ok(Some((source, messages))) => popping.received(&source, messages),
        Err(error) if error.kind() == ErrorKind::Closed => return ControlFlow::Break(()),
        // All sources failed for the whole time.
        Err(_) => counters.pull_failures.add(1),
    }
    ControlFlow::Continue(())
}

/// Waits until more messages may be popped; `None`: the consumer has ended.
fn wait_for_capacity(popping: &Popping) -> Option<usize> {
    let mut table = popping.table.lock();
    loop {
        if table.is_closed {
            return None;
        }
        match popping.capacity(&table) {
            0 => popping.changed.wait(&mut table),
            capacity => return Some(capacity),
        }
    }
}

/// A broker refuses the pops of one source, which has a pause then; the others go on. One that lasts is told
/// once.
fn refused(popping: &Popping, refusal: Refusal) -> Result<()> {
    let Refusal {
        source,
        error,
        is_new,
    } = refusal;
    popping.consumer.counters.pull_failures.add(1);
    if is_new {
        let topics = &popping.consumer.topics;
        let queue = MessageQueue::new(source.topic, source.broker, source.queue);
        popping.tell(Event::Refused {
            queue: topics.for_users(&queue),
            code: error.response_code(),
            what: error.to_string(),
        });
    }
    Ok(())
}
