use std::io;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, select};

use super::{Deadline, Threads, catch_bug};

/// A thread that works at intervals, and at once on request. It ends when this is dropped, or its
/// client is closed.
pub(crate) struct Ticker<T> {
    wake: Sender<T>,
}

impl<T: Send + 'static> Ticker<T> {
    /// `work` gets the request, or `None` after the interval.
    pub(crate) fn start(
        threads: &Threads,
        name: &str,
        interval: Duration,
        closing: Receiver<()>,
        mut work: impl FnMut(Option<T>) + Send + 'static,
    ) -> io::Result<Ticker<T>> {
        // A few orders may wait; more of them are not worth more than that.
        let (wake, woken) = bounded(16);
        threads.spawn(name, move || {
            let mut due = Deadline::after(Instant::now(), interval);
            loop {
                // Requests do not delay the interval.
                let now = Instant::now();
                let order = match due.has_passed(now) {
                    true => Err(RecvTimeoutError::Timeout),
                    false => select! {
                        recv(woken) -> order => order.map_err(RecvTimeoutError::from),
                        recv(closing) -> _ => return,
                        default(due.remaining(now)) => Err(RecvTimeoutError::Timeout),
                    },
                };
                match order {
                    Ok(what) => drop(catch_bug("a background task", || work(Some(what)))),
                    Err(RecvTimeoutError::Timeout) => {
                        catch_bug("a background task", || work(None));
                        due = Deadline::after(Instant::now(), interval);
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Ticker { wake })
    }

    /// Does it now, unless enough orders are waiting already.
    pub(crate) fn wake(&self, what: T) {
        match self.wake.try_send(what) {
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::never;

    use super::*;

    #[test]
    fn a_task_that_panics_is_done_again() {
        let threads = Threads::default();
        let (done, tasks) = bounded(16);
        let work = move |order: Option<bool>| {
            done.send(order).expect("a test that receives");
            assert!(order != Some(false), "a test's own panic");
        };
        let interval = Duration::from_secs(60);
        let ticker =
            Ticker::start(&threads, "test-ticker", interval, never(), work).expect("a thread");
        for order in [false, true] {
            ticker.wake(order);
            let seen = tasks.recv_timeout(Duration::from_secs(10));
            assert_eq!(seen, Ok(Some(order)));
        }
        drop(ticker);
        let late = Deadline::after(Instant::now(), Duration::from_secs(10));
        assert!(threads.join(late).is_empty());
    }
}
