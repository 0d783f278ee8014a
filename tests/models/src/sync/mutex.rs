use std::ops::{Deref, DerefMut};
use std::time::Instant;

use shuttle::sync;

#[derive(Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

/// Empty only while its thread waits.
pub(crate) struct MutexGuard<'a, T> {
    guard: Option<sync::MutexGuard<'a, T>>,
    of: &'a Mutex<T>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard {
            guard: Some(self.0.lock().expect("no thread panicked")),
            of: self,
        }
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let guard = self.0.try_lock().ok()?;
        Some(MutexGuard {
            guard: Some(guard),
            of: self,
        })
    }

    /// Deadlines in models are far away: a thread that only a deadline could wake is in a deadlock.
    pub(crate) fn try_lock_until(&self, _: Instant) -> Option<MutexGuard<'_, T>> {
        Some(self.lock())
    }
}

impl<T> MutexGuard<'_, T> {
    /// Lets go of the lock while `wait` runs.
    pub(super) fn unlocked<R>(&mut self, wait: impl FnOnce() -> R) -> R {
        drop(self.guard.take());
        let result = wait();
        self.guard = self.of.lock().guard.take();
        result
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().expect("it does not wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("it does not wait")
    }
}
