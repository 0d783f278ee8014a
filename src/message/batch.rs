use std::fmt;

use super::Message;
use crate::error::{Error, Result};

/// Messages of one topic that are stored together, in one queue and in this order.
///
/// Messages that cannot be in a batch are refused when it is built: an illegal batch cannot exist.
/// The size is checked when it is sent: the encoded batch must not exceed the producer's
/// `max_message_size`.
#[derive(Clone, PartialEq)]
#[doc(alias = "MessageBatch")]
pub struct Batch(pub(super) Vec<Message>);

impl Batch {
    /// A batch of these messages.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if there are none, if topics or
    /// [`wait_store`](Message::wait_store) differ, if one is empty, scheduled for later, a reply or for
    /// light queues, or if the topic is a retry topic.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Result<Batch> {
        let messages: Vec<Message> = messages.into_iter().collect();
        let Some(first) = messages.first() else {
            return Err(Error::invalid("a batch must have a message"));
        };
        for (i, message) in messages.iter().enumerate() {
            let wrong = if message.topic() != first.topic() {
                "has another topic than the first".to_owned()
            } else if message.get_wait_store() != first.get_wait_store() {
                "has another wait_store than the first".to_owned()
            } else if let Some(why) = message.keeps_out_of_batches() {
                why.to_string()
            } else {
                continue;
            };
            return Err(Error::invalid(format!("message {i} of the batch {wrong}")));
        }
        Ok(Batch(messages))
    }

    /// The messages, in order.
    pub fn messages(&self) -> &[Message] {
        &self.0
    }

    /// The topic of all messages.
    pub fn topic(&self) -> &str {
        self.0[0].topic()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("topic", &self.topic())
            .field("messages", &self.0.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_no_batch_can_hold_are_refused() {
        let message = || Message::new("T", "x");
        assert!(Batch::new([message(), message().tag("a")]).is_ok());
        let retry = || Message::new("%RETRY%g", "x");
        let bad = [
            vec![],
            vec![message(), Message::new("U", "x")],
            vec![message(), message().wait_store(false)],
            vec![message(), message().delay_level(1)],
            vec![message(), Message::new("T", "")],
            vec![
                message(),
                message().property("INNER_MULTI_DISPATCH", "%LMQ%a"),
            ],
            vec![message().property("__LITE_TOPIC", "a"), message()],
            vec![retry()],
        ];
        for messages in bad {
            assert!(Batch::new(messages).is_err());
        }
    }
}
