use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use super::{Threads, catch_bug};
use crate::sync::{Condvar, Mutex};

/// One thread that runs short, non-blocking work of this crate at given times.
#[derive(Clone)]
pub(crate) struct Timer(Arc<Queue>);

/// Work that was scheduled. Dropping this changes nothing; [`cancel`](Scheduled::cancel) does.
pub(crate) struct Scheduled {
    queue: Arc<Queue>,
    /// `None` if the timer was closed already.
    key: Option<Key>,
}

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The scheduled work, by time. Cancelled work is removed at once, so that none accumulates.
    due: BTreeMap<Key, Work>,
    next_number: u64,
    closed: bool,
}

/// The number distinguishes work of the same time, and keeps its order.
type Key = (Instant, u64);

type Work = Box<dyn FnOnce(Instant) + Send>;

impl Timer {
    pub(crate) fn start(threads: &Threads) -> io::Result<Timer> {
        let timer = Timer(Arc::new(Queue {
            state: Mutex::default(),
            changed: Condvar::new(),
        }));
        let queue = timer.0.clone();
        threads.spawn("rmq-timer", move || queue.run())?;
        Ok(timer)
    }

    /// Runs `work` at `at`, unless it is cancelled or the timer is closed before.
    pub(crate) fn schedule(
        &self,
        at: Instant,
        work: impl FnOnce(Instant) + Send + 'static,
    ) -> Scheduled {
        let key = self.0.push(at, Box::new(work));
        Scheduled {
            queue: self.0.clone(),
            key,
        }
    }

    /// Ends the thread; remaining work is dropped.
    pub(crate) fn close(&self) {
        let mut state = self.0.state.lock();
        state.closed = true;
        let dropped = mem::take(&mut state.due);
        drop(state);
        self.0.changed.notify_one();
        // Dropped outside the lock: work owns values that take other locks.
        drop(dropped);
    }
}

impl Scheduled {
    /// Cancels the work; false if it has begun, or the timer is closed. Its captures are dropped
    /// here.
    pub(crate) fn cancel(self) -> bool {
        let Some(key) = self.key else {
            return false;
        };
        let work = self.queue.state.lock().due.remove(&key);
        work.is_some()
    }
}

impl Queue {
    fn push(&self, at: Instant, work: Work) -> Option<Key> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        let key = (at, state.next_number);
        state.next_number += 1;
        let first = state.due.first_key_value();
        let is_first = first.is_none_or(|(next, _)| key < *next);
        state.due.insert(key, work);
        drop(state);
        if is_first {
            self.changed.notify_one();
        }
        Some(key)
    }

    fn run(&self) {
        while let Some(work) = self.next() {
            catch_bug("timed work", || work(Instant::now()));
        }
    }

    fn next(&self) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            match state.due.first_key_value().map(|((at, _), _)| *at) {
                None => self.changed.wait(&mut state),
                Some(at) if at > Instant::now() => {
                    self.changed.wait_until(&mut state, at);
                }
                Some(_) => return state.due.pop_first().map(|(_, work)| work),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::time::Duration;

    use super::*;
    use crate::transport::Deadline;

    #[test]
    fn work_runs_in_the_order_of_its_times_and_a_panic_ends_none_but_its_own() {
        let threads = Threads::default();
        let timer = Timer::start(&threads).unwrap();
        let (ran, order) = crossbeam_channel::unbounded();
        let now = Instant::now();
        // Keeps the thread busy until all of them are scheduled, however late this one is.
        let (release, gate) = crossbeam_channel::bounded::<()>(0);
        timer.schedule(now, move |_| assert!(gate.recv().is_err()));
        for ms in [30, 10, 20] {
            let ran = ran.clone();
            timer.schedule(now + Duration::from_millis(ms), move |at| {
                ran.send((ms, at >= now + Duration::from_millis(ms)))
                    .unwrap();
            });
        }
        drop(release);
        let got: Vec<_> = (0..3)
            .map(|_| order.recv_timeout(Duration::from_secs(10)).unwrap())
            .collect();
        assert_eq!(got, [(10, true), (20, true), (30, true)]);
        timer.schedule(now, |_| panic!("a test's own panic"));
        timer.schedule(now, move |_| ran.send((0, true)).unwrap());
        let after = order.recv_timeout(Duration::from_secs(10));
        assert_eq!(after, Ok((0, true)), "the thread goes on");
        timer.close();
        let late = Deadline::after(Instant::now(), Duration::from_secs(10));
        assert!(threads.join(late).is_empty());
    }

    #[test]
    fn cancelled_work_does_not_run_and_leaves_nothing_behind() {
        const MANY: usize = 100_000;
        let threads = Threads::default();
        let timer = Timer::start(&threads).unwrap();
        let much_later = Instant::now() + Duration::from_secs(3600);
        let owned = Arc::new(());
        let mut kept: Vec<Weak<()>> = Vec::new();
        for _ in 0..MANY {
            let own = owned.clone();
            let scheduled = timer.schedule(much_later, move |_| drop(own));
            assert!(scheduled.cancel());
        }
        kept.push(Arc::downgrade(&owned));
        drop(owned);
        assert_eq!(kept[0].strong_count(), 0);
        assert_eq!(timer.0.state.lock().due.len(), 0);

        let (ran, order) = crossbeam_channel::unbounded();
        let tell = ran.clone();
        let first = timer.schedule(Instant::now(), move |_| tell.send("first").unwrap());
        assert_eq!(order.recv_timeout(Duration::from_secs(10)), Ok("first"));
        assert!(!first.cancel(), "it has run");
        timer.close();
        let late = timer.schedule(Instant::now(), move |_| ran.send("late").unwrap());
        assert!(!late.cancel(), "it never waited");
        let end = Deadline::after(Instant::now(), Duration::from_secs(10));
        assert!(threads.join(end).is_empty());
        assert!(order.try_recv().is_err());
    }
}
