//! The library's locks in builds with `--cfg yields`: before a thread takes one, and now and then while
//! it holds it, chance lets others go first. `YIELDS_SEED` decides about chance, not about threads: a
//! failure comes again often with its seed, not always. See `.ci/repeat`.

use std::cell::Cell;
use std::env;
use std::ops::Deref;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use parking_lot::{Condvar, MutexGuard};
use parking_lot::{RwLockReadGuard, RwLockWriteGuard};

/// Long enough for another thread to wake up and get something done.
const PAUSE: Duration = Duration::from_micros(100);

static SEED: LazyLock<u64> = LazyLock::new(|| {
    let asked = env::var("YIELDS_SEED").ok();
    asked.map_or(1, |seed| seed.parse().expect("a number in YIELDS_SEED"))
});

static THREADS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static RANDOM: Cell<u64> = Cell::new({
        let thread = THREADS.fetch_add(1, Ordering::Relaxed);
        (*SEED << 32 ^ thread).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1
    });
}

/// Lets others go first with a chance of `often` in 256, and for longer in some of these cases.
fn perhaps_yield(often: u64) {
    // A thread that is ending has no chances left.
    let random = RANDOM.try_with(|random| {
        let mut x = random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        random.set(x);
        x >> 32
    });
    match random {
        Ok(x) if x & 255 >= often => {}
        Ok(x) if x >> 8 & 15 == 0 => thread::sleep(PAUSE),
        Ok(_) => thread::yield_now(),
        Err(_) => {}
    }
}

const BEFORE: u64 = 64;
const WITH_IT: u64 = 8;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(parking_lot::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        perhaps_yield(BEFORE);
        let guard = self.0.lock();
        perhaps_yield(WITH_IT);
        guard
    }

    pub(crate) fn try_lock_until(&self, until: Instant) -> Option<MutexGuard<'_, T>> {
        perhaps_yield(BEFORE);
        self.0.try_lock_until(until)
    }
}

impl<T> Deref for Mutex<T> {
    type Target = parking_lot::Mutex<T>;

    fn deref(&self) -> &parking_lot::Mutex<T> {
        &self.0
    }
}

#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(parking_lot::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        perhaps_yield(BEFORE);
        let guard = self.0.read();
        perhaps_yield(WITH_IT);
        guard
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        perhaps_yield(BEFORE);
        let guard = self.0.write();
        perhaps_yield(WITH_IT);
        guard
    }
}
