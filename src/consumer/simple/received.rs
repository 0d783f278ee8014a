//! A received message.

use std::fmt;
use std::iter;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::check_invisible;
use super::held::End;
use super::shared::SimpleShared;
use crate::consumer::consume::Begun;
use crate::consumer::pop::{AckStatus, Delivery, Received, ack_all, dead_letter, hide};
use crate::error::{ErrorKind, Result};
use crate::message::MessageView;
use crate::protocol::trace::Consumed;
use crate::sync::Mutex;
use crate::transport::Deadline;

/// A message of a [`SimpleConsumer`](super::SimpleConsumer). It is a [`MessageView`] that is hidden from all
/// other members of the group for its invisible time, and comes again after that unless it is
/// [acked](ReceivedMessage::ack).
///
/// It can be sent to other threads. Dropping it without an ack changes nothing at the broker: it comes again
/// when its invisible time ends. A clone of the `MessageView` in it can be kept for longer.
#[must_use = "a message that is dropped without ack() comes again"]
pub struct ReceivedMessage {
    message: MessageView,
    delivery: Delivery,
    shared: Arc<SimpleShared>,
    /// Among those that are held.
    number: u64,
    /// The record of its receipt, until it has one of its end.
    traced: Mutex<Option<Begun>>,
}

impl ReceivedMessage {
    pub(super) fn new(received: Received, shared: Arc<SimpleShared>) -> ReceivedMessage {
        let Received { message, delivery } = received;
        let number = shared.held.open(&message);
        let trace = shared.trace.as_ref();
        let begun = trace.map(|trace| trace.before(iter::once(&message)));
        ReceivedMessage {
            message,
            delivery,
            shared,
            number,
            traced: Mutex::new(begun),
        }
    }

    /// Acknowledges the message as consumed, and waits for the broker's answer, for up to
    /// [`ack_timeout`](super::SimpleConsumerBuilder::ack_timeout). A request that fails is repeated until
    /// then, as long as the message is not expired.
    ///
    /// A second ack of a message returns the result of the first one, unless that is
    /// [`Unknown`](AckStatus::Unknown): then it asks the broker again.
    ///
    /// # Errors
    /// [`Broker`](crate::ErrorKind::Broker) if the broker refuses, for example without the permission;
    /// [`Closed`](crate::ErrorKind::Closed) once the consumer is shut down.
    #[doc(alias = "ackMessage")]
    pub fn ack(&self) -> Result<AckStatus> {
        self.shared.pop.check_not_ended()?;
        let outcome = ack_all(&self.shared.pop, &[&self.delivery], self.deadline()).pop();
        self.acked(outcome.unwrap_or(Ok(AckStatus::Unknown)))
    }

    /// Hides the message for this time from now on (1 s to 12 h), for work that takes longer than expected.
    ///
    /// After [`Confirmed`](AckStatus::Confirmed) the new time counts. After
    /// [`Unknown`](AckStatus::Unknown) the broker may use the old or the new one; the consumer then counts the
    /// old one, and a later ack can only be `Unknown` too. After [`Expired`](AckStatus::Expired) another
    /// member may have the message.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a time out of its range, and those of
    /// [`ack`](ReceivedMessage::ack).
    #[doc(alias = "changeInvisibleDuration")]
    #[doc(alias = "changePopInvisibleTime")]
    pub fn extend(&self, invisible: Duration) -> Result<AckStatus> {
        let hidden = self.hide(invisible);
        if let Ok(AckStatus::Confirmed) = hidden {
            self.shared.calls.extended.add(1);
        }
        self.count_doubts(&hidden);
        hidden
    }

    /// Gives the message back: it comes again after this time (1 s to 12 h), to any member, with its
    /// [`reconsume_times`](MessageView::reconsume_times) one higher.
    ///
    /// # Errors
    /// Those of [`extend`](ReceivedMessage::extend).
    #[doc(alias = "changeInvisibleDuration")]
    #[doc(alias = "RECONSUME_LATER")]
    pub fn retry_after(&self, time: Duration) -> Result<AckStatus> {
        let hidden = self.hide(time);
        if let Ok(AckStatus::Confirmed) = hidden {
            self.delivery.give_back();
        }
        self.settled(hidden, End::GivenBack)
    }

    /// Puts the message into the group's dead letter topic (`%DLQ%group`), and acks it. If only the ack
    /// fails, it comes again, and is a dead letter too.
    ///
    /// # Errors
    /// Those of [`ack`](ReceivedMessage::ack).
    #[doc(alias = "forwardMessageToDeadLetterQueue")]
    pub fn dead_letter(&self) -> Result<AckStatus> {
        self.shared.pop.check_not_ended()?;
        let outcome = dead_letter(&self.shared.pop, &self.delivery, self.deadline());
        self.settled(outcome, End::DeadLettered)
    }

    /// Until when the message is hidden from others, minus a safety margin. From then on an ack is
    /// [`Expired`](AckStatus::Expired).
    #[doc(alias = "getInvisibleDuration")]
    pub fn expires_at(&self) -> Instant {
        self.delivery.expires_at()
    }

    /// The message itself. A clone of it can outlive the invisible time.
    pub fn message(&self) -> &MessageView {
        &self.message
    }

    pub(super) fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    pub(super) fn is_of(&self, shared: &Arc<SimpleShared>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }

    /// What follows from the outcome of an ack.
    pub(super) fn acked(&self, outcome: Result<AckStatus>) -> Result<AckStatus> {
        self.settled(outcome, End::Acked)
    }

    fn hide(&self, invisible: Duration) -> Result<AckStatus> {
        check_invisible(invisible)?;
        self.shared.pop.check_not_ended()?;
        hide(&self.shared.pop, &self.delivery, invisible, self.deadline())
    }

    /// What is settled is not held any more: a shutdown need not wait for it. `end`: how it ends, if the broker
    /// confirmed that.
    fn settled(&self, outcome: Result<AckStatus>, end: End) -> Result<AckStatus> {
        self.count_doubts(&outcome);
        let end = match outcome {
            Ok(AckStatus::Confirmed) => end,
            Ok(AckStatus::Expired) => End::Expired,
            Ok(AckStatus::Unknown) | Err(_) => return outcome,
        };
        let consumed = match end {
            End::Acked => Consumed::Success,
            End::Expired => Consumed::TimedOut,
            End::GivenBack | End::DeadLettered | End::Dropped => Consumed::Failed,
        };
        if let (Some(trace), Some(begun)) = (&self.shared.trace, self.traced.lock().take()) {
            trace.after(&begun, [(&self.message, consumed)]);
        }
        // A shutdown that waited for it ends the trace.
        self.shared.held.close(self.number, end);
        outcome
    }

    /// Counts an outcome that leaves the message open.
    fn count_doubts(&self, outcome: &Result<AckStatus>) {
        let calls = &self.shared.calls;
        match outcome {
            Ok(AckStatus::Unknown) => calls.unknown.add(1),
            Err(error) if error.kind() == ErrorKind::Broker => calls.refused.add(1),
            _ => {}
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(Instant::now(), self.shared.config.ack_timeout)
    }
}

impl Drop for ReceivedMessage {
    fn drop(&mut self) {
        self.shared.held.close(self.number, End::Dropped);
    }
}

impl Deref for ReceivedMessage {
    type Target = MessageView;

    fn deref(&self) -> &MessageView {
        &self.message
    }
}

impl fmt::Display for ReceivedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.message, f)
    }
}

impl fmt::Debug for ReceivedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReceivedMessage")
            .field(&self.message)
            .finish()
    }
}
