//! Which queue's messages the next free consume thread gets.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::consumer::queue::Assigned;
use crate::sync::{Condvar, Mutex};

/// The queues that have something for a handler, each at most once. A consume thread takes the first
/// one; a queue with more goes to the end of the line, so that a busy one does not starve the others.
#[derive(Default)]
pub(crate) struct Dispatcher {
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Default)]
struct Line {
    queues: VecDeque<Arc<Assigned>>,
    /// Threads that wait and were not called yet.
    sleeping: usize,
    is_closed: bool,
}

impl Dispatcher {
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

    /// The next queue; waits for one. `None` when there will be none any more.
    pub(crate) fn take(&self) -> Option<Arc<Assigned>> {
        let mut line = self.line.lock();
        loop {
            if let Some(queue) = line.queues.pop_front() {
                queue.leave_line();
                return Some(queue);
            }
            if line.is_closed {
                return None;
            }
            line.sleeping += 1;
            self.changed.wait(&mut line);
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
