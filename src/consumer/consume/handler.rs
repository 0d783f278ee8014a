//! The user's handler, and its result for each message.

use std::sync::Arc;

use super::deliveries::{Deliveries, Mark};
use super::ordered::OrderedMessage;
use super::retry::Retry;
use crate::consumer::hooks::ConsumeOutcome;
use crate::consumer::queue::Assigned;
use crate::message::MessageView;
use crate::panics::caught;
use crate::protocol::trace::Consumed;

/// How the handler of one message ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Ok,
    Retry(Retry),
    Panicked,
}

impl Ended {
    /// The same as hooks see it.
    pub(super) fn outcome(&self) -> ConsumeOutcome<'_> {
        match self {
            Ended::Ok => ConsumeOutcome::Done,
            Ended::Retry(retry) => ConsumeOutcome::Retry(retry),
            Ended::Panicked => ConsumeOutcome::Panicked,
        }
    }

    /// The same as message trace has it. `is_late`: after the consume timeout.
    pub(super) fn traced(&self, is_late: bool) -> Consumed {
        match self {
            Ended::Panicked => Consumed::Exception,
            Ended::Ok | Ended::Retry(_) if is_late => Consumed::TimedOut,
            Ended::Ok => Consumed::Success,
            Ended::Retry(_) => Consumed::Failed,
        }
    }
}

/// A handler of a consumer.
pub(crate) trait Handler: Send + Sync {
    /// Runs user code with these messages of one queue, and returns the result for each of them.
    fn handle(&self, queue: &Arc<Assigned>, messages: &[MessageView]) -> Vec<Ended>;
}

/// A handler that gets one message at a time.
pub(crate) struct Single<F>(pub(crate) F);

/// A handler that gets the messages of a queue in order, one at a time.
pub(crate) struct InOrder<F>(pub(crate) F);

/// A handler that gets several messages at once.
pub(crate) struct Batch<F>(pub(crate) F);

impl<F> Handler for Single<F>
where
    F: Fn(&MessageView) -> Result<(), Retry> + Send + Sync,
{
    fn handle(&self, _: &Arc<Assigned>, messages: &[MessageView]) -> Vec<Ended> {
        let each = messages
            .iter()
            .map(|message| match caught(|| self.0(message)) {
                Ok(Ok(())) => Ended::Ok,
                Ok(Err(retry)) => Ended::Retry(retry),
                Err(_) => Ended::Panicked,
            });
        each.collect()
    }
}

impl<F> Handler for Batch<F>
where
    F: Fn(&mut Deliveries<'_>) -> Result<(), Retry> + Send + Sync,
{
    fn handle(&self, _: &Arc<Assigned>, messages: &[MessageView]) -> Vec<Ended> {
        let mut deliveries = Deliveries::new(messages);
        let returned = caught(|| self.0(&mut deliveries));
        let rest = || match &returned {
            Ok(Ok(())) => Ended::Ok,
            Ok(Err(retry)) => Ended::Retry(retry.clone()),
            Err(_) => Ended::Panicked,
        };
        let marks = deliveries.into_marks().into_iter();
        let ended = marks.map(|mark| match mark {
            Some(Mark::Done) => Ended::Ok,
            Some(Mark::Retry(retry)) => Ended::Retry(retry),
            None => rest(),
        });
        ended.collect()
    }
}

impl<F> Handler for InOrder<F>
where
    F: Fn(&OrderedMessage) -> Result<(), Retry> + Send + Sync,
{
    fn handle(&self, queue: &Arc<Assigned>, messages: &[MessageView]) -> Vec<Ended> {
        let each = messages.iter().map(|message| {
            let message = OrderedMessage::new(message.clone(), queue.clone());
            match caught(|| self.0(&message)) {
                Ok(Ok(())) => Ended::Ok,
                Ok(Err(retry)) => Ended::Retry(retry),
                Err(_) => Ended::Panicked,
            }
        });
        each.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::queue::Order;
    use crate::message::MessageQueue;
    use crate::protocol::message::Record;

    fn queue() -> Arc<Assigned> {
        let queue = MessageQueue::new("T", "b", 0);
        Arc::new(Assigned::new(1, queue.clone(), queue, 10, Order::None))
    }

    fn messages() -> Vec<MessageView> {
        let record = |queue_offset| Record {
            queue_offset,
            ..Record::plain("T", b"x")
        };
        let views = (0..3).map(|offset| record(offset).view(1000));
        views.collect::<Result<_, _>>().expect("messages")
    }

    #[test]
    fn the_mark_of_one_message_of_a_batch_overrides_the_returned_result() {
        type Returned = fn() -> Result<(), Retry>;
        let check = |returned: Returned, expected: &str| {
            let batch = Batch(move |batch: &mut Deliveries<'_>| {
                assert_eq!(batch.len(), 3);
                batch.done(0);
                batch.retry(1, Retry::level(3));
                batch.retry(1, Retry::dead_letter());
                returned()
            });
            let ended = format!("{:?}", batch.handle(&queue(), &messages()));
            assert_eq!(
                ended,
                format!("[Ok, Retry(Retry(dead letter)), {expected}]")
            );
        };
        check(|| Ok(()), "Ok");
        check(|| Err(Retry::later()), "Retry(Retry(later))");
        check(|| panic!("a handler's panic"), "Panicked");
    }

    #[test]
    fn a_panic_of_a_handler_is_its_result() {
        let single = Single(|_: &MessageView| -> Result<(), Retry> { panic!("a handler's panic") });
        let ended = single.handle(&queue(), &messages()[..1]);
        assert!(matches!(ended[..], [Ended::Panicked]), "{ended:?}");
    }
}
