//! The clock of a cluster: everything on its servers that waits by time waits here.
//!
//! The clock runs with real time, and [`Clock::advance`] moves it further; only `advance` moves a
//! manual clock. Scheduled work runs in the order of its times, and of two equal times in the order
//! of scheduling. One thread serves a running clock, started with the first work; a manual clock
//! has none, and its work runs on the thread that advances it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};

use super::LOG;
use crate::logging;
use crate::panics::caught;

/// Milliseconds since the epoch, by this clock.
pub(super) type Millis = i64;

/// Runs once, when the clock reaches its time. It may schedule further work, and must not block.
type Work = Box<dyn FnOnce() + Send>;

pub(super) struct Clock {
    manual: bool,
    origin: Millis,
    started: Instant,
    /// The time that `advance` has added so far.
    advanced: AtomicI64,
    schedule: Mutex<Schedule>,
    changed: Condvar,
    /// Held while work runs: one piece at a time, in order, whichever thread runs it.
    turn: Mutex<()>,
}

#[derive(Default)]
struct Schedule {
    /// By time, then by number: the order in which the work runs.
    works: BTreeMap<(Millis, u64), Work>,
    next: u64,
    closed: bool,
    thread: Option<JoinHandle<()>>,
}

/// Scheduled work. Dropping it cancels the work, unless that has begun.
pub(super) struct Timer {
    clock: Weak<Clock>,
    key: (Millis, u64),
}

impl Clock {
    pub(super) fn new(manual: bool) -> Arc<Clock> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Arc::new(Clock {
            manual,
            origin: since.map_or(0, millis),
            started: Instant::now(),
            advanced: AtomicI64::new(0),
            schedule: Mutex::default(),
            changed: Condvar::new(),
            turn: Mutex::new(()),
        })
    }

    /// The time; it never goes back.
    pub(super) fn now(&self) -> Millis {
        self.unmoved()
            .saturating_add(self.advanced.load(Ordering::Acquire))
    }

    /// The time without what [`advance`](Clock::advance) has added: a manual clock stands still.
    pub(super) fn unmoved(&self) -> Millis {
        match self.manual {
            true => self.origin,
            false => self.origin.saturating_add(millis(self.started.elapsed())),
        }
    }

    pub(super) fn is_manual(&self) -> bool {
        self.manual
    }

    pub(super) fn system_time(&self) -> SystemTime {
        let since = Duration::from_millis(u64::try_from(self.now()).unwrap_or(0));
        // Only a clock that was advanced by ages gets there.
        UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
    }

    /// Runs the work when the clock reaches this time. If it has already, the work runs soon, or with the
    /// next move of a manual clock. After [`close`](Clock::close) nothing runs.
    pub(super) fn at(
        self: &Arc<Clock>,
        time: Millis,
        work: impl FnOnce() + Send + 'static,
    ) -> Timer {
        let mut schedule = self.schedule.lock();
        let key = (time, schedule.next);
        schedule.next += 1;
        if !schedule.closed {
            schedule.works.insert(key, Box::new(work));
            if !self.manual {
                self.start_thread(&mut schedule);
                self.changed.notify_all();
            }
        }
        Timer {
            clock: Arc::downgrade(self),
            key,
        }
    }

    /// Runs the work when so much time has passed.
    pub(super) fn after(
        self: &Arc<Clock>,
        delay: Duration,
        work: impl FnOnce() + Send + 'static,
    ) -> Timer {
        self.at(self.now().saturating_add(millis(delay)), work)
    }

    /// Moves the clock. When this returns, all work that is due by the new time has run. Each piece
    /// sees at least its own time; on a manual clock exactly that, so that work scheduled by work
    /// runs in order too.
    pub(super) fn advance(&self, time: Duration) {
        let _turn = self.turn.lock();
        let before = self.advanced.load(Ordering::Acquire);
        let after = before.saturating_add(millis(time));
        let target = self.unmoved().saturating_add(after);
        while let Some((due, work)) = self.take_due(target) {
            let moved = due.saturating_sub(self.unmoved()).min(after);
            self.advanced.fetch_max(moved, Ordering::AcqRel);
            run(work);
        }
        self.advanced.store(after, Ordering::Release);
        // The thread of a running clock must wake earlier now.
        let _schedule = self.schedule.lock();
        self.changed.notify_all();
    }

    /// Drops all work and ends the thread.
    pub(super) fn close(&self) {
        let mut schedule = self.schedule.lock();
        schedule.closed = true;
        let works = std::mem::take(&mut schedule.works);
        let thread = schedule.thread.take();
        drop(schedule);
        self.changed.notify_all();
        // Outside of the lock: dropping the work may cancel other timers.
        drop(works);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    fn take_due(&self, until: Millis) -> Option<(Millis, Work)> {
        let mut schedule = self.schedule.lock();
        let first = schedule.works.first_entry()?;
        let (due, _) = *first.key();
        (due <= until).then(|| (due, first.remove()))
    }

    fn start_thread(self: &Arc<Clock>, schedule: &mut Schedule) {
        if schedule.thread.is_none() {
            let clock = Arc::clone(self);
            let spawned = thread::Builder::new().name("mq-clock".into());
            match spawned.spawn(move || clock.serve()) {
                Ok(thread) => schedule.thread = Some(thread),
                Err(error) => {
                    logging::warn!(target: LOG, "no thread for the clock, which only advance() moves now: {error}");
                }
            }
        }
    }

    fn serve(&self) {
        let mut schedule = self.schedule.lock();
        while !schedule.closed {
            let Some((&(due, _), _)) = schedule.works.first_key_value() else {
                self.changed.wait(&mut schedule);
                continue;
            };
            let now = self.now();
            if due > now {
                let wait = u64::try_from(due - now).unwrap_or(0);
                let wait = Duration::from_millis(wait);
                self.changed.wait_for(&mut schedule, wait);
                continue;
            }
            drop(schedule);
            {
                let _turn = self.turn.lock();
                if let Some((_, work)) = self.take_due(now) {
                    run(work);
                }
            }
            schedule = self.schedule.lock();
        }
    }
}

impl Timer {
    /// Lets the work run although nothing keeps the timer.
    pub(super) fn detach(mut self) {
        self.clock = Weak::new();
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(clock) = self.clock.upgrade() {
            // The work is dropped after the lock is free.
            let _work = clock.schedule.lock().works.remove(&self.key);
        }
    }
}

/// The panic hook has reported it; later work still runs.
fn run(work: Work) {
    let _ = caught(work);
}

pub(super) fn millis(time: Duration) -> Millis {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
