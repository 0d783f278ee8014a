//! Which queue's messages the next free consume thread gets, and when.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::client::BrokerRequest;
use crate::consumer::queue::Assigned;
use crate::consumer::rate::RateLimit;
use crate::sync::{Condvar, Mutex};

/// So many messages of operators' wait at most.
const MOST_DIRECT: usize = 64;

/// The queues that have something for a handler, each at most once. A consume thread takes the first
/// one; a queue with more goes to the end of the line, so that a busy one does not starve the others.
pub(crate) struct Dispatcher {
    line: Mutex<Line>,
    changed: Condvar,
}

struct Line {
    queues: VecDeque<Arc<Assigned>>,
    direct: VecDeque<Direct>,
    rate: Option<RateLimit>,
    is_closed: bool,
}

/// What is to be done next.
pub(crate) enum Taken {
    Queue(Arc<Assigned>),
    /// For consume threads only.
    Direct(Direct),
    /// There was none in time.
    Late,
    /// There will be none any more.
    Closed,
}

/// A broker's request to consume one message now, as an operator wants it.
pub(crate) struct Direct {
    pub(crate) request: BrokerRequest,
    /// The message, as it is stored.
    pub(crate) body: Vec<u8>,
    /// Which broker has it.
    pub(crate) broker: Option<String>,
}

impl Dispatcher {
    /// At most this many messages a second, if there is a limit.
    pub(crate) fn new(per_second: Option<u32>, now: Instant) -> Dispatcher {
        Dispatcher {
            line: Mutex::new(Line {
                queues: VecDeque::new(),
                direct: VecDeque::new(),
                rate: per_second.map(|rate| RateLimit::new(rate, now)),
                is_closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// A queue has something. Wakes one thread: if there is more, that one wakes the next.
    pub(crate) fn offer(&self, queue: &Arc<Assigned>) {
        let mut line = self.line.lock();
        if line.is_closed || !queue.enter_line() {
            return;
        }
        line.queues.push_back(queue.clone());
        self.changed.notify_one();
    }

    /// An operator wants a message consumed. Gives it back if too many wait, or all is over.
    pub(crate) fn put(&self, direct: Direct) -> Option<Direct> {
        let mut line = self.line.lock();
        if line.is_closed || line.direct.len() >= MOST_DIRECT {
            return Some(direct);
        }
        line.direct.push_back(direct);
        self.changed.notify_one();
        None
    }

    /// The next queue, or message of an operator's; waits for one, and until the rate allows its message.
    pub(crate) fn take(&self) -> Taken {
        self.wait(None)
    }

    /// The next queue; waits until then at most.
    pub(crate) fn take_until(&self, until: Instant) -> Taken {
        self.wait(Some(until))
    }

    fn wait(&self, until: Option<Instant>) -> Taken {
        let mut line = self.line.lock();
        loop {
            if line.is_closed {
                return Taken::Closed;
            }
            if let (None, Some(direct)) = (until, line.direct.pop_front()) {
                return Taken::Direct(direct);
            }
            let mut wake = until;
            if !line.queues.is_empty() {
                let rate = line.rate.as_mut();
                match rate.map_or(Ok(()), |rate| rate.take(Instant::now())) {
                    Ok(()) => {
                        if let Some(queue) = line.queues.pop_front() {
                            queue.leave_line();
                            return Taken::Queue(queue);
                        }
                    }
                    // Others that come wait as long, and wake by themselves.
                    Err(at) => wake = Some(wake.map_or(at, |until| until.min(at))),
                }
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                return Taken::Late;
            }
            match wake {
                Some(at) => drop(self.changed.wait_until(&mut line, at)),
                None => self.changed.wait(&mut line),
            }
        }
    }

    /// So many messages were taken from the queue that [`take`](Dispatcher::take) gave. The rate
    /// counts one so far.
    pub(crate) fn charge(&self, messages: usize) {
        if messages == 1 {
            return;
        }
        if let Some(rate) = &mut self.line.lock().rate {
            match messages.checked_sub(1) {
                Some(more) => rate.charge(more as u32),
                None => rate.give_back(),
            }
        }
    }

    /// Hands out nothing from now on.
    pub(crate) fn close(&self) {
        let mut line = self.line.lock();
        line.is_closed = true;
        line.queues.clear();
        line.direct.clear();
        self.changed.notify_all();
    }
}
