//! Which queue's messages the next free consume thread gets, and when.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::consumer::queue::Assigned;
use crate::consumer::rate::RateLimit;
use crate::sync::{Condvar, Mutex};

/// The queues that have something for a handler, each at most once. A consume thread takes the first
/// one; a queue with more goes to the end of the line, so that a busy one does not starve the others.
pub(crate) struct Dispatcher {
    line: Mutex<Line>,
    changed: Condvar,
}

struct Line {
    queues: VecDeque<Arc<Assigned>>,
    /// Threads that wait and were not called yet.
    sleeping: usize,
    rate: Option<RateLimit>,
    is_closed: bool,
}

impl Dispatcher {
    /// At most this many messages a second, if there is a limit.
    pub(crate) fn new(per_second: Option<u32>, now: Instant) -> Dispatcher {
        Dispatcher {
            line: Mutex::new(Line {
                queues: VecDeque::new(),
                sleeping: 0,
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
        if line.sleeping > 0 {
            line.sleeping -= 1;
            self.changed.notify_one();
        }
    }

    /// The next queue; waits for one, and until the rate allows its message. `None` when there will be
    /// none any more.
    pub(crate) fn take(&self) -> Option<Arc<Assigned>> {
        let mut line = self.line.lock();
        loop {
            if line.is_closed {
                return None;
            }
            if line.queues.is_empty() {
                line.sleeping += 1;
                self.changed.wait(&mut line);
                continue;
            }
            if let Some(rate) = &mut line.rate {
                if let Err(at) = rate.take(Instant::now()) {
                    // Others that come wait as long, and wake by themselves.
                    self.changed.wait_until(&mut line, at);
                    continue;
                }
            }
            let queue = line.queues.pop_front()?;
            queue.leave_line();
            return Some(queue);
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
        self.changed.notify_all();
    }
}
