use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::{Threads, contained};
use crate::sync::{Condvar, Mutex};

/// One thread that runs short, non-blocking work of this crate at given times.
#[derive(Clone)]
pub(crate) struct Timer(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    heap: BinaryHeap<Reverse<Due>>,
    next_number: u64,
    closed: bool,
}

type Work = Box<dyn FnOnce(Instant) + Send>;

struct Due {
    at: Instant,
    number: u64,
    work: Work,
}

impl Timer {
    pub(crate) fn start(threads: &Threads) -> io::Result<Timer> {
        let timer = Timer(Arc::new(Inner {
            state: Mutex::default(),
            changed: Condvar::new(),
        }));
        let inner = timer.0.clone();
        threads.spawn("rmq-timer", move || inner.run())?;
        Ok(timer)
    }

    /// Runs `work` at `at`, or never if the timer is closed before.
    pub(crate) fn schedule(&self, at: Instant, work: impl FnOnce(Instant) + Send + 'static) {
        let mut state = self.0.state.lock();
        if state.closed {
            return;
        }
        let number = state.next_number;
        state.next_number += 1;
        let first = state.heap.peek().is_none_or(|next| at < next.0.at);
        state.heap.push(Reverse(Due {
            at,
            number,
            work: Box::new(work),
        }));
        drop(state);
        if first {
            self.0.changed.notify_one();
        }
    }

    /// Ends the thread; what is still due is dropped.
    pub(crate) fn close(&self) {
        let mut state = self.0.state.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.heap);
        drop(state);
        self.0.changed.notify_one();
        // Dropped outside the lock: work owns things that have locks of their own.
        drop(dropped);
    }
}

impl Inner {
    fn run(&self) {
        while let Some(work) = self.next() {
            contained("timed work", || work(Instant::now()));
        }
    }

    fn next(&self) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            match state.heap.peek().map(|due| due.0.at) {
                None => self.changed.wait(&mut state),
                Some(at) if at > Instant::now() => {
                    self.changed.wait_until(&mut state, at);
                }
                Some(_) => return state.heap.pop().map(|due| due.0.work),
            }
        }
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn work_runs_in_the_order_of_its_times_and_a_panic_ends_none_but_its_own() {
        let threads = Threads::default();
        let timer = Timer::start(&threads).unwrap();
        let (ran, order) = crossbeam_channel::unbounded();
        let now = Instant::now();
        for ms in [30, 10, 20] {
            let ran = ran.clone();
            timer.schedule(now + Duration::from_millis(ms), move |at| {
                ran.send((ms, at >= now + Duration::from_millis(ms)))
                    .unwrap();
            });
        }
        let got: Vec<_> = (0..3)
            .map(|_| order.recv_timeout(Duration::from_secs(10)).unwrap())
            .collect();
        assert_eq!(got, [(10, true), (20, true), (30, true)]);
        timer.schedule(now, |_| panic!("a test's own panic"));
        timer.schedule(now, move |_| ran.send((0, true)).unwrap());
        let after = order.recv_timeout(Duration::from_secs(10));
        assert_eq!(after, Ok((0, true)), "the thread goes on");
        timer.close();
        let late = crate::transport::Deadline::after(Instant::now(), Duration::from_secs(10));
        assert!(threads.join(late).is_empty());
    }
}
