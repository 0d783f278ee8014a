//! The faults of one server, and what the test sees of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::fault::Fault;
use crate::protocol::Command;

/// A fault at work on a server. Dropping it changes nothing.
#[derive(Clone)]
pub struct Injected(Arc<Rule>);

impl Injected {
    /// The number of requests that it has met.
    pub fn hits(&self) -> usize {
        self.0.state.lock().hits
    }

    /// Waits until it has happened to this number of requests: they are held, the bytes are written, or
    /// the connection is about to be closed. `false` at the timeout.
    pub fn wait_hits(&self, hits: usize, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.0.state.lock();
        while state.done < hits {
            if self.0.hit.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.done >= hits
    }

    /// Ends it: later requests are served.
    pub fn remove(&self) {
        self.0.state.lock().times = 0;
    }
}

impl fmt::Debug for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injected")
            .field("fault", &self.0.fault)
            .field("hits", &self.hits())
            .finish()
    }
}

/// The faults of one server; of those that match a request, the one injected first happens.
#[derive(Default)]
pub(in crate::embedded) struct Faults {
    /// The number of rules: without any, a request takes no lock.
    count: AtomicUsize,
    rules: Mutex<Vec<Arc<Rule>>>,
}

pub(in crate::embedded) struct Rule {
    pub(in crate::embedded) fault: Fault,
    state: Mutex<Counters>,
    hit: Condvar,
}

struct Counters {
    after: usize,
    times: usize,
    /// Counted before an answer can be seen.
    hits: usize,
    /// Counted after all of it has happened.
    done: usize,
}

impl Faults {
    pub(in crate::embedded) fn inject(&self, fault: Fault) -> Injected {
        let counters = Counters {
            after: fault.after,
            times: fault.times,
            hits: 0,
            done: 0,
        };
        let rule = Arc::new(Rule {
            fault,
            state: Mutex::new(counters),
            hit: Condvar::new(),
        });
        let mut rules = self.rules.lock();
        rules.push(Arc::clone(&rule));
        self.count.store(rules.len(), Ordering::Release);
        Injected(rule)
    }

    pub(in crate::embedded) fn clear(&self) {
        let mut rules = self.rules.lock();
        for rule in rules.drain(..) {
            rule.state.lock().times = 0;
        }
        self.count.store(0, Ordering::Release);
    }

    /// The fault that happens to this request, if one does.
    pub(in crate::embedded) fn meet(&self, request: &Command) -> Option<Arc<Rule>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        // A pick may be the user's code: it runs without the lock.
        let rules = self.rules.lock().clone();
        let mut matching = rules.into_iter().filter(|r| r.fault.on.matches(request));
        matching.find(|rule| rule.take())
    }
}

impl Rule {
    fn take(&self) -> bool {
        let mut state = self.state.lock();
        if state.times == 0 {
            return false;
        }
        if state.after > 0 {
            state.after -= 1;
            return false;
        }
        if state.times != usize::MAX {
            state.times -= 1;
        }
        state.hits += 1;
        true
    }

    /// The fault has happened to one more request.
    pub(in crate::embedded) fn count_done(&self) {
        self.state.lock().done += 1;
        self.hit.notify_all();
    }
}
