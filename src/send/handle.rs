use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result, Wait};
use crate::message::SendReceipt;
use crate::transport::{Deadline, Promise};

/// A send in flight, to be waited for: pipelining without callbacks.
///
/// Dropping it does not cancel the send.
#[must_use = "the result of the send is lost without wait()"]
pub struct SendHandle {
    result: Arc<ReceiptPromise>,
    deadline: Deadline,
}

/// The other end of a [`SendHandle`].
pub(crate) type ReceiptPromise = Promise<Result<SendReceipt>>;

/// How long past its deadline a send is awaited: its own error is more detailed, and can be late.
/// It never comes if it needs the waiting thread (hooks run on callback threads).
const GRACE: Duration = Duration::from_secs(1);

impl SendHandle {
    /// A handle for a send with this deadline, and where its result goes.
    pub(crate) fn new(deadline: Deadline) -> (SendHandle, Arc<ReceiptPromise>) {
        let result = Arc::new(Promise::new());
        let handle = SendHandle {
            result: result.clone(),
            deadline,
        };
        (handle, result)
    }

    /// Waits for the result, at most until the send's own deadline and a little more.
    ///
    /// Do not call this in a callback of a producer with hooks or trace: hooks run on callback
    /// threads, so the wait may be for its own thread, until it times out.
    ///
    /// # Errors
    /// Those of [`Producer::send`](crate::Producer::send).
    pub fn wait(self) -> Result<SendReceipt> {
        // Not in one wait: if the process was suspended (stopped, or its virtual machine paused),
        // the send's own result comes just after the deadline.
        match self.result.take_until(self.deadline) {
            Some(result) => result,
            None => self.wait_timeout(GRACE),
        }
    }

    /// Waits at most this long.
    ///
    /// # Errors
    /// Those of [`wait`](SendHandle::wait) and, if the result is not there yet,
    /// [`Timeout`](crate::ErrorKind::Timeout) that may be stored; the send goes on.
    pub fn wait_timeout(self, most: Duration) -> Result<SendReceipt> {
        let result = self
            .result
            .take_until(Deadline::after(Instant::now(), most));
        result.unwrap_or_else(|| Err(Error::timeout(Wait::Response).maybe_stored()))
    }

    /// Whether [`wait`](SendHandle::wait) would return at once.
    pub fn is_done(&self) -> bool {
        self.result.is_kept()
    }
}

impl fmt::Debug for SendHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendHandle")
            .field("done", &self.is_done())
            .finish()
    }
}
