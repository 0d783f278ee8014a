//! Decides which queue the next free consume thread takes messages from, and when.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::client::BrokerRequest;
use crate::consumer::queue::{Assigned, PopQueue};
use crate::consumer::rate::RateLimit;
use crate::sync::{Condvar, Mutex};

/// The most messages of operators that may wait.
const MOST_DIRECT: usize = 64;

/// The queues that have messages for a handler, each at most once. A consume thread takes the first
/// queue. A queue with more messages goes to the end of the line, so that it does not starve the others.
pub(crate) struct Dispatcher {
    line: Mutex<Line>,
    changed: Condvar,
}

struct Line {
    queues: VecDeque<Ready>,
    direct: VecDeque<Direct>,
    rate: Option<RateLimit>,
    is_closed: bool,
}

/// A queue that has messages for a handler.
enum Ready {
    Pulled(Arc<Assigned>),
    Popped(Arc<PopQueue>),
}

/// The next work of a thread.
pub(crate) enum Taken {
    Queue(Arc<Assigned>),
    /// For consume threads only.
    Popped(Arc<PopQueue>),
    /// For consume threads only.
    Direct(Direct),
    /// No queue had messages in time.
    Late,
    /// The consumer has ended.
    Closed,
}

/// A broker's request to handle one message now, on behalf of an operator.
pub(crate) struct Direct {
    pub(crate) request: BrokerRequest,
    /// The message, as it is stored.
    pub(crate) body: Vec<u8>,
    /// The broker that stores it.
    pub(crate) broker: Option<String>,
}

impl Dispatcher {
    /// `rate_limit`: the most messages per second; `None`: no limit.
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

    /// A queue has messages. Wakes one thread; if there is more work, that thread wakes the next.
    pub(crate) fn offer(&self, queue: &Arc<Assigned>) {
        let mut line = self.line.lock();
        if line.is_closed || !queue.enter_line() {
            return;
        }
        line.queues.push_back(Ready::Pulled(queue.clone()));
        self.changed.notify_one();
    }

    /// The same for popped messages.
    pub(crate) fn offer_popped(&self, queue: &Arc<PopQueue>) {
        let mut line = self.line.lock();
        if line.is_closed || !queue.enter_line() {
            return;
        }
        line.queues.push_back(Ready::Popped(queue.clone()));
        self.changed.notify_one();
    }

    /// Adds an operator's message. Returns it if too many wait, or the consumer has ended.
    pub(crate) fn put(&self, direct: Direct) -> Option<Direct> {
        let mut line = self.line.lock();
        if line.is_closed || line.direct.len() >= MOST_DIRECT {
            return Some(direct);
        }
        line.direct.push_back(direct);
        self.changed.notify_one();
        None
    }

    /// Waits for a queue or an operator's message, and until the rate allows the next message.
    pub(crate) fn take(&self) -> Taken {
        self.wait(None)
    }

    /// The same, waiting until `until` at most.
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
                    Ok(()) => match line.queues.pop_front() {
                        Some(Ready::Pulled(queue)) => {
                            queue.leave_line();
                            return Taken::Queue(queue);
                        }
                        Some(Ready::Popped(queue)) => {
                            queue.leave_line();
                            return Taken::Popped(queue);
                        }
                        None => {}
                    },
                    // Other threads wait for the same time, and wake by themselves.
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

    /// Counts the messages that were taken from the queue that [`take`](Dispatcher::take) returned. The
    /// rate has counted one of them already.
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

    /// Ends the dispatcher: it hands out nothing from now on.
    pub(crate) fn close(&self) {
        let mut line = self.line.lock();
        line.is_closed = true;
        line.queues.clear();
        line.direct.clear();
        self.changed.notify_all();
    }
}
