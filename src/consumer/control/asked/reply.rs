//! The answer to a caller that waits for the control thread.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::transport::Promise;

/// The obligation to answer a caller. If it is dropped, such as with an order to a consumer that ends, the
/// caller gets an error.
pub(crate) struct Reply<T>(Arc<Promise<Result<T>>>);

impl<T> Reply<T> {
    /// A reply, and the promise on which the caller waits.
    pub(crate) fn new() -> (Reply<T>, Arc<Promise<Result<T>>>) {
        let answer = Arc::new(Promise::new());
        (Reply(answer.clone()), answer)
    }

    /// The first answer counts.
    pub(super) fn answer(&self, answer: Result<T>) {
        self.0.keep(answer);
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if !self.0.is_kept() {
            self.0.keep(Err(closed()));
        }
    }
}

/// The error after the end of a consumer.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the consumer is shut down")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::consumer::control::{Event, Inbox, Order};
    use crate::transport::Deadline;

    #[test]
    fn a_caller_is_answered_although_the_control_thread_has_ended_or_ends_before_the_order_is_seen()
    {
        let (inbox, events) = Inbox::new();
        let (before, first) = Reply::new();
        inbox.put(Event::Order(Order::Describe(before)));
        assert!(!first.is_kept());
        drop(events);
        let (after, second) = Reply::new();
        inbox.put(Event::Order(Order::Describe(after)));
        let late = Deadline::after(Instant::now(), Duration::from_secs(20));
        for answer in [first, second] {
            let answer = answer.take_until(late).expect("an answer");
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::Closed);
        }
    }
}
