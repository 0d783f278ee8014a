use std::sync::Arc;
use std::time::{Duration, Instant};

use shuttle::rand::{Rng, thread_rng};
use shuttle::{sync, thread};

use super::MutexGuard;

/// A condition variable whose timed waits can time out; the checker's own never do.
#[derive(Default)]
pub(crate) struct Condvar(sync::Mutex<Vec<Arc<Sleeper>>>);

#[derive(Default)]
struct Sleeper {
    woken: sync::Mutex<bool>,
    wake: sync::Condvar,
}

pub(crate) struct WaitTimeoutResult(bool);

/// A deadline that is further away never comes.
const FAR: Duration = Duration::from_secs(3600);

/// The most steps of other threads before a short timeout.
const SHORT: usize = 4;

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar::default()
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let sleeper = self.lie_down();
        guard.unlocked(|| {
            let mut woken = sleeper.woken.lock().unwrap();
            while !*woken {
                woken = sleeper.wake.wait(woken).unwrap();
            }
        });
    }

    pub(crate) fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        let left = deadline.saturating_duration_since(Instant::now());
        self.wait_for(guard, left)
    }

    pub(crate) fn wait_for<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        time: Duration,
    ) -> WaitTimeoutResult {
        if time > FAR {
            self.wait(guard);
            return WaitTimeoutResult(false);
        }
        let sleeper = self.lie_down();
        guard.unlocked(|| {
            for _ in 0..thread_rng().gen_range(0..=SHORT) {
                thread::yield_now();
            }
            // The thread that removes it from the list decides the reason of its wake-up.
            let mut sleepers = self.0.lock().unwrap();
            let before = sleepers.len();
            sleepers.retain(|other| !Arc::ptr_eq(other, &sleeper));
            WaitTimeoutResult(sleepers.len() < before)
        })
    }

    /// Wakes any one of the sleepers: nothing may depend on which.
    pub(crate) fn notify_one(&self) {
        let mut sleepers = self.0.lock().unwrap();
        if !sleepers.is_empty() {
            let which = thread_rng().gen_range(0..sleepers.len());
            let sleeper = sleepers.swap_remove(which);
            drop(sleepers);
            sleeper.wake();
        }
    }

    pub(crate) fn notify_all(&self) {
        let all = std::mem::take(&mut *self.0.lock().unwrap());
        all.iter().for_each(|sleeper| sleeper.wake());
    }

    fn lie_down(&self) -> Arc<Sleeper> {
        let sleeper = Arc::new(Sleeper::default());
        self.0.lock().unwrap().push(sleeper.clone());
        sleeper
    }
}

impl Sleeper {
    fn wake(&self) {
        *self.woken.lock().unwrap() = true;
        self.wake.notify_one();
    }
}

impl WaitTimeoutResult {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}
