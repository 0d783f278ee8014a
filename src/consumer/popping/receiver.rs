//! The threads that pop messages for the consume threads.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::shared::{Popping, REST};
use super::turns::repeat;
use crate::consumer::control;
use crate::consumer::observe::Event;
use crate::consumer::pop::{Receive, Refusal, receive};
use crate::error::{ErrorKind, Result};
use crate::message::MessageQueue;

/// How long one receive waits for a message.
const WAIT: Duration = Duration::from_secs(15);

/// How long it waits beside others.
const BRIEFLY: Duration = Duration::from_secs(1);

/// The most that the end of a consumer waits for answers.
const LONGEST_LINGER: Duration = Duration::from_secs(5);

/// The loop of each of these threads.
pub(super) fn run(popping: &Popping) {
    let turn = || pop(popping);
    // What it popped in that turn comes again.
    repeat("a thread of a consumer that pops", turn, || {
        popping.pop.pause(REST)
    });
}

/// Pops messages once, if there is capacity for them.
fn pop(popping: &Popping) -> ControlFlow<()> {
    let Some(mut asking) = ask(popping) else {
        return ControlFlow::Break(());
    };
    let asked = Receive {
        max: asking.messages,
        invisible: popping.consumer.config.invisible_time,
        wait: match asking.is_first {
            true => WAIT,
            false => BRIEFLY,
        },
        linger: linger(popping.consumer.config.invisible_time),
    };
    let counters = &popping.consumer.counters;
    counters.pulls.add(1);
    let known = || popping.known();
    match receive(&popping.pop, known, &asked, |refusal| {
        refused(popping, refusal)
    }) {
        Ok(None) => {}
        Ok(Some((source, messages))) => {
            popping.received(&mut asking.messages, &source, messages);
        }
        Err(error) if error.kind() == ErrorKind::Closed => return ControlFlow::Break(()),
        // All sources failed for the whole time.
        Err(_) => counters.pull_failures.add(1),
    }
    ControlFlow::Continue(())
}

/// The age of a pop up to which the end of the consumer waits for its answer. Its messages are given back: lost
/// ones would be hidden for the invisible time, of which the end may take a 300th (200 ms by default).
fn linger(invisible: Duration) -> Duration {
    (invisible / 300).min(LONGEST_LINGER)
}

/// The capacity that a pop keeps for its answer.
struct Asking<'a> {
    popping: &'a Popping,
    messages: usize,
    /// No other pop was in flight.
    is_first: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if self.messages > 0 {
            let mut table = self.popping.table.lock();
            table.ahead.answered(self.messages, 0);
            self.popping.let_pop(&mut table, Instant::now());
            if table.is_closed {
                // The end may have waited for this.
                self.popping.consumer.inbox.put(control::Event::Settled);
            }
        }
    }
}

/// Waits until messages may be popped; `None`: the consumer has ended.
fn ask(popping: &Popping) -> Option<Asking<'_>> {
    let mut table = popping.table.lock();
    loop {
        if table.is_closed {
            return None;
        }
        let now = Instant::now();
        let messages = popping.capacity(&mut table, now);
        if messages > 0 {
            let is_first = table.ahead.pops() == 0;
            table.ahead.ask(messages);
            popping.let_pop(&mut table, now);
            return Some(Asking {
                popping,
                messages,
                is_first,
            });
        }
        popping.has_capacity.wait(&mut table);
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
