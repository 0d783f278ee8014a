use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result, Wait};
use crate::message::SendReceipt;

/// A send in flight, to be waited for: pipelining without callbacks.
///
/// Dropping it does not cancel the send.
#[must_use = "the result of the send is lost without wait()"]
pub struct SendHandle(Arc<Shared>);

/// The other end of a [`SendHandle`].
pub(super) struct Promise(Arc<Shared>);

#[derive(Default)]
struct Shared {
    result: Mutex<Option<Result<SendReceipt>>>,
    kept: Condvar,
}

pub(super) fn pair() -> (Promise, SendHandle) {
    let shared = Arc::new(Shared::default());
    (Promise(shared.clone()), SendHandle(shared))
}

impl Promise {
    pub(super) fn keep(self, result: Result<SendReceipt>) {
        *self.0.result.lock() = Some(result);
        self.0.kept.notify_all();
    }
}

impl SendHandle {
    /// Waits for the result, at most until the send's own deadline.
    ///
    /// # Errors
    /// Those of [`Producer::send`](crate::Producer::send).
    pub fn wait(self) -> Result<SendReceipt> {
        let mut result = self.0.result.lock();
        loop {
            match result.take() {
                Some(result) => return result,
                None => self.0.kept.wait(&mut result),
            }
        }
    }

    /// Waits at most this long.
    ///
    /// # Errors
    /// Those of [`wait`](SendHandle::wait) and, if the result is not there yet,
    /// [`Timeout`](crate::ErrorKind::Timeout) that may be stored; the send goes on.
    pub fn wait_timeout(self, most: Duration) -> Result<SendReceipt> {
        let end = Instant::now().checked_add(most);
        let mut result = self.0.result.lock();
        loop {
            if let Some(result) = result.take() {
                return result;
            }
            match end {
                Some(end) if Instant::now() >= end => {
                    return Err(Error::timeout(Wait::Response).maybe_stored());
                }
                Some(end) => drop(self.0.kept.wait_until(&mut result, end)),
                None => self.0.kept.wait(&mut result),
            }
        }
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
