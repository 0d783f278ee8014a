use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result, Wait};
use crate::message::SendReceipt;
use crate::sync::{Condvar, Mutex};
use crate::transport::Deadline;

/// A send in flight, to be waited for: pipelining without callbacks.
///
/// Dropping it does not cancel the send.
#[must_use = "the result of the send is lost without wait()"]
pub struct SendHandle(Arc<Shared>, Deadline);

/// How much longer than to its deadline a send is waited for: what it says itself is better, and can
/// be late. It never comes if it needs the very thread that waits (hooks hear of it on callback
/// threads).
const GRACE: Duration = Duration::from_secs(1);

/// The other end of a [`SendHandle`].
pub(super) struct Promise(Arc<Shared>);

#[derive(Default)]
struct Shared {
    result: Mutex<Option<Result<SendReceipt>>>,
    kept: Condvar,
}

/// Both ends, for a send with this deadline.
pub(super) fn pair(deadline: Deadline) -> (Promise, SendHandle) {
    let shared = Arc::new(Shared::default());
    (Promise(shared.clone()), SendHandle(shared, deadline))
}

impl Promise {
    pub(super) fn keep(self, result: Result<SendReceipt>) {
        *self.0.result.lock() = Some(result);
        self.0.kept.notify_all();
    }
}

impl Shared {
    /// The result as soon as it is there, if that is before `end`; without one, whenever it is.
    fn take_until(&self, end: Option<Instant>) -> Option<Result<SendReceipt>> {
        let mut result = self.result.lock();
        loop {
            if result.is_some() {
                return result.take();
            }
            match end {
                Some(end) if Instant::now() >= end => return None,
                Some(end) => drop(self.kept.wait_until(&mut result, end)),
                None => self.kept.wait(&mut result),
            }
        }
    }
}

impl SendHandle {
    /// Waits for the result, at most until the send's own deadline and a little more.
    ///
    /// In a callback of a producer with hooks or trace, do not: hooks hear of the answer on callback
    /// threads, so that one that waits may be waiting for itself, to the end of that time.
    ///
    /// # Errors
    /// Those of [`Producer::send`](crate::Producer::send).
    pub fn wait(self) -> Result<SendReceipt> {
        self.wait_beyond(GRACE)
    }

    /// Waits to the deadline, and then for so long. Not in one: where the process stood still meanwhile
    /// (stopped, or the virtual machine paused), the send's own answer comes just after that.
    pub(super) fn wait_beyond(self, grace: Duration) -> Result<SendReceipt> {
        match self.0.take_until(Some(self.1.instant())) {
            Some(result) => result,
            None => self.wait_timeout(grace),
        }
    }

    /// Waits at most this long.
    ///
    /// # Errors
    /// Those of [`wait`](SendHandle::wait) and, if the result is not there yet,
    /// [`Timeout`](crate::ErrorKind::Timeout) that may be stored; the send goes on.
    pub fn wait_timeout(self, most: Duration) -> Result<SendReceipt> {
        let result = self.0.take_until(Instant::now().checked_add(most));
        result.unwrap_or_else(|| Err(Error::timeout(Wait::Response).maybe_stored()))
    }

    /// Whether [`wait`](SendHandle::wait) would return at once.
    pub fn is_done(&self) -> bool {
        self.0.result.lock().is_some()
    }
}

impl fmt::Debug for SendHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendHandle")
            .field("done", &self.is_done())
            .finish()
    }
}
