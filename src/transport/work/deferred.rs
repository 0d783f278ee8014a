use std::sync::Arc;
use std::time::Instant;

use super::{Scheduled, Timer};
use crate::sync::Mutex;

/// A value that is used once: by the first of those that take it, or by the timer when its time is up.
///
/// For work that continues elsewhere (a dial, a worker's queue, a broker's answer) and still must
/// end by a deadline. The clones are the parties; once one has taken the value, the others find
/// nothing, and the timer forgets it.
pub(crate) struct Deferred<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    value: Option<T>,
    /// The timed work that ends it at its deadline.
    expiry: Option<Scheduled>,
}

impl<T: Send + 'static> Deferred<T> {
    pub(crate) fn new(value: T) -> Deferred<T> {
        Deferred(Arc::new(Mutex::new(State {
            value: Some(value),
            expiry: None,
        })))
    }

    /// Takes the value, if this is the first party to do so.
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = self.0.lock();
        let (value, expiry) = (state.value.take(), state.expiry.take());
        drop(state);
        if let Some(expiry) = expiry {
            expiry.cancel();
        }
        value
    }

    /// Runs `late` with the value, on the timer's thread, if the value was not taken by `at`.
    /// `late` must hand over and not block. Call it once; after the end of the timer it does
    /// nothing.
    pub(crate) fn expire_at(
        &self,
        timer: &Timer,
        at: Instant,
        late: impl FnOnce(T) + Send + 'static,
    ) {
        if self.0.lock().value.is_none() {
            return;
        }
        let own = self.clone();
        let expiry = timer.schedule(at, move |_| {
            if let Some(value) = own.take() {
                late(value);
            }
        });
        let mut state = self.0.lock();
        if state.value.is_some() {
            state.expiry = Some(expiry);
        } else {
            // Taken in between, by a party that found nothing to cancel.
            drop(state);
            expiry.cancel();
        }
    }
}

impl<T> Clone for Deferred<T> {
    fn clone(&self) -> Deferred<T> {
        Deferred(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::transport::{Deadline, Threads};

    #[test]
    fn the_first_takes_it_or_the_timer_does_and_neither_keeps_anything() {
        let threads = Threads::default();
        let timer = Timer::start(&threads).unwrap();
        let (tell, told) = crossbeam_channel::unbounded();
        let late = |number: u32| {
            let tell = tell.clone();
            move |_: Arc<()>| tell.send(number).unwrap()
        };
        let value = Arc::new(());
        let end = Instant::now() + Duration::from_secs(3600);

        let taken = Deferred::new(value.clone());
        taken.expire_at(&timer, end, late(1));
        assert!(taken.take().is_some());
        assert!(taken.clone().take().is_none());

        let before = Deferred::new(value.clone());
        assert!(before.take().is_some());
        before.expire_at(&timer, end, late(2));

        let expired = Deferred::new(value.clone());
        expired.expire_at(&timer, Instant::now(), late(3));
        assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(3));
        assert!(expired.take().is_none());

        drop((taken, before, expired));
        let soon = Deadline::after(Instant::now(), Duration::from_secs(10));
        timer.close();
        assert!(threads.join(soon).is_empty());
        assert_eq!(Arc::strong_count(&value), 1);
        assert!(told.is_empty());
    }
}
