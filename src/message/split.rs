use std::fmt;

use super::{Batch, Message, name};
use crate::error::{Error, Result};

/// The size of a message in a batch without body and properties: five numbers of four bytes, and
/// two bytes for the length of the properties.
const ENTRY_OVERHEAD: usize = 22;

/// The digits of a generated unique key on an IPv6 host.
const LONGEST_KEY: usize = 56;

/// A message that cannot be in a batch, from [`Batch::split`]. Converts into an
/// [`Invalid`](crate::ErrorKind::Invalid) [`Error`].
pub struct Unbatchable(Box<Inner>);

struct Inner {
    index: usize,
    message: Message,
    why: Why,
}

/// Why a message cannot be in any batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Empty,
    Scheduled,
    Retry,
    Reply,
    Half,
    LightQueues,
    TooLarge { bytes: usize, most: usize },
}

impl Batch {
    /// Cuts messages into batches of at most `max_bytes` each, encoded; the messages keep their
    /// order.
    ///
    /// A batch ends where the next message has another topic or another
    /// [`wait_store`](Message::wait_store), or does not fit. The producer's `max_message_size` (4
    /// MiB unless set, as at the broker) is the largest batch that can be sent; smaller batches
    /// spread better over queues. Sizes are those on the wire, unique keys included, and never
    /// underestimated.
    ///
    /// A message that no batch can hold (scheduled, for a retry topic or for light queues, empty, or
    /// too large) becomes an error with its index and the message itself; the other messages are not
    /// affected. Most such messages can be sent alone.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use rocketmq_blocking::{Batch, Message, Producer};
    /// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// let messages = (0..10_000).map(|i| Message::new("TopicTest", format!("message {i}")));
    /// for batch in Batch::split(messages, 1024 * 1024) {
    ///     match batch {
    ///         Ok(batch) => println!("{}", producer.send_batch(&batch)?),
    ///         Err(alone) => println!("{}", producer.send(alone.message())?),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// An item is an error if its message cannot be in a batch. Other defects of a message (its
    /// topic's name, a reserved property) are found when its batch is sent.
    #[doc(alias = "ListSplitter")]
    pub fn split(
        messages: impl IntoIterator<Item = Message>,
        max_bytes: usize,
    ) -> impl Iterator<Item = Result<Batch, Unbatchable>> {
        Split {
            messages: messages.into_iter().enumerate(),
            most: max_bytes,
            open: Vec::new(),
            bytes: 0,
        }
    }
}

struct Split<I> {
    messages: I,
    most: usize,
    /// The batch being filled, and its size.
    open: Vec<Message>,
    bytes: usize,
}

impl<I: Iterator<Item = (usize, Message)>> Iterator for Split<I> {
    type Item = Result<Batch, Unbatchable>;

    fn next(&mut self) -> Option<Self::Item> {
        for (index, message) in self.messages.by_ref() {
            let bytes = message.batch_entry_len();
            let most = self.most;
            let too_large = (bytes > most).then_some(Why::TooLarge { bytes, most });
            if let Some(why) = message.keeps_out_of_batches().or(too_large) {
                let inner = Inner {
                    index,
                    message,
                    why,
                };
                return Some(Err(Unbatchable(Box::new(inner))));
            }
            let fits = self.bytes + bytes <= self.most;
            if fits && self.open.last().is_none_or(|last| last.goes_with(&message)) {
                self.bytes += bytes;
                self.open.push(message);
                continue;
            }
            self.bytes = bytes;
            let full = std::mem::replace(&mut self.open, vec![message]);
            return Some(Ok(Batch(full)));
        }
        let last = std::mem::take(&mut self.open);
        (!last.is_empty()).then_some(Ok(Batch(last)))
    }
}

impl Message {
    /// Whether a batch may hold this message, if it is not too large.
    pub(crate) fn can_be_batched(&self) -> bool {
        self.keeps_out_of_batches().is_none()
    }

    /// Why this message cannot be in any batch, whatever its size.
    pub(super) fn keeps_out_of_batches(&self) -> Option<Why> {
        if self.get_schedule().is_later() {
            Some(Why::Scheduled)
        } else if self.topic().starts_with(name::RETRY_PREFIX) {
            Some(Why::Retry)
        } else if self.system_properties().get(name::MESSAGE_TYPE).is_some() {
            Some(Why::Reply)
        } else if self
            .system_properties()
            .get(name::TRANSACTION_PREPARED)
            .is_some()
        {
            Some(Why::Half)
        } else if self.is_for_light_queues() {
            Some(Why::LightQueues)
        } else if self.body().is_empty() {
            Some(Why::Empty)
        } else {
            None
        }
    }

    /// Whether brokers dispatch it to queues beside its own. They do so only with single messages.
    fn is_for_light_queues(&self) -> bool {
        let mut properties = self.user_properties().iter();
        properties.any(|(name, _)| name == name::LIGHT_QUEUES || name == name::LITE_TOPIC)
    }

    /// Whether both can be in one batch.
    fn goes_with(&self, other: &Message) -> bool {
        self.topic() == other.topic() && self.get_wait_store() == other.get_wait_store()
    }

    /// An upper bound of this message's size in the body of a batch.
    pub(crate) fn batch_entry_len(&self) -> usize {
        let given = self.get_unique_key().map_or(0, str::len);
        let properties = self.properties_len(given.max(LONGEST_KEY));
        ENTRY_OVERHEAD + self.body().len() + properties
    }

    /// The length of its properties on the wire with a unique key of this length; a schedule is not
    /// counted.
    pub(crate) fn properties_len(&self, unique_key: usize) -> usize {
        let pair = |name: &str, value: usize| match value {
            0 => 0,
            _ => name.len() + value + 2,
        };
        let wait = if self.get_wait_store() { 4 } else { 5 };
        let own = pair(name::UNIQ_KEY, unique_key) + pair(name::WAIT, wait);
        let system = self.system_properties().iter();
        let all = system.chain(self.user_properties().iter());
        own + all
            .map(|(name, value)| pair(name, value.len()))
            .sum::<usize>()
    }
}

impl Unbatchable {
    /// The message's index among those that were split, from 0.
    pub fn index(&self) -> usize {
        self.0.index
    }

    /// The message.
    pub fn message(&self) -> &Message {
        &self.0.message
    }

    /// Returns the message.
    pub fn into_message(self) -> Message {
        self.0.message
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Empty => f.write_str("has an empty body"),
            Why::Scheduled => f.write_str("is scheduled for later"),
            Why::Reply => f.write_str("is a reply"),
            Why::Half => f.write_str("is half of a transaction"),
            Why::LightQueues => {
                f.write_str("is for light queues, which brokers fill with single messages only")
            }
            Why::Retry => f.write_str("is for a retry topic"),
            Why::TooLarge { bytes, most } => {
                write!(f, "takes {bytes} bytes; at most {most} fit")
            }
        }
    }
}

impl fmt::Display for Unbatchable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { index, why, .. } = &*self.0;
        write!(f, "message {index} cannot be in a batch: it {why}")
    }
}

impl fmt::Debug for Unbatchable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unbatchable({self})")
    }
}

impl std::error::Error for Unbatchable {}

impl From<Unbatchable> for Error {
    fn from(unbatchable: Unbatchable) -> Error {
        let topic = unbatchable.0.message.shared_topic().clone();
        Error::invalid(unbatchable.to_string())
            .on_topic(&topic)
            .caused_by(unbatchable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(topic: &str, body: usize) -> Message {
        Message::new(topic, vec![b'x'; body])
    }

    /// `2T` is a batch of two messages of topic T, `!3` says that message 3 cannot be in one.
    #[track_caller]
    fn check(messages: Vec<Message>, most: usize, expected: &str) {
        let items = Batch::split(messages, most).map(|item| match item {
            Ok(batch) => format!("{}{}", batch.messages().len(), batch.topic()),
            Err(error) => format!("!{}", error.index()),
        });
        assert_eq!(items.collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn batches_end_at_another_topic_or_wait_store_and_where_they_are_full() {
        let one = of("T", 10).batch_entry_len();
        check(vec![], 100, "");
        check(vec![of("T", 10); 5], 5 * one, "5T");
        check(vec![of("T", 10); 5], 5 * one - 1, "4T 1T");
        check(vec![of("T", 10); 5], one, "1T 1T 1T 1T 1T");
        let mixed = vec![of("T", 1), of("T", 1), of("U", 1), of("T", 1)];
        check(mixed, 1000, "2T 1U 1T");
        let mixed = vec![of("T", 1), of("T", 1).wait_store(false), of("T", 1)];
        check(mixed, 1000, "1T 1T 1T");
    }

    #[test]
    fn a_message_that_no_batch_can_hold_becomes_an_error_of_its_own() {
        let one = of("T", 10).batch_entry_len();
        let messages = vec![
            of("T", 10).delay_level(1),
            of("T", 10),
            of("T", 11),
            of("%RETRY%g", 10),
            of("T", 10),
            of("T", 0),
            of("T", 10),
            of("T", 10).property("INNER_MULTI_DISPATCH", "%LMQ%a,%LMQ%b"),
            of("T", 10).property("__LITE_TOPIC", "a"),
        ];
        check(messages, 10 * one, "!0 !3 !5 !7 !8 4T");
        check(vec![of("T", 10), of("T", 11), of("T", 10)], one, "!1 1T 1T");
        let alone = Batch::split([of("T", 11)], one)
            .next()
            .unwrap()
            .unwrap_err();
        let text = format!(
            "message 0 cannot be in a batch: it takes {} bytes; at most {one} fit",
            one + 1
        );
        assert_eq!(alone.to_string(), text);
        assert_eq!(alone.message(), &of("T", 11));
        assert_eq!(Error::from(alone).kind(), crate::ErrorKind::Invalid);
    }
}
