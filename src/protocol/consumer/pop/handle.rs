use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

use super::mark::Mark;
use super::request::PopAnswer;
use crate::protocol::ProtocolError;
use crate::protocol::fastjson::MOST_ENTRIES;

/// The handle that acknowledges a popped message (property `POP_CK`): eight parts separated by
/// spaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handle {
    /// The first offset of the queue in that pop.
    pub start_offset: i64,
    /// When the broker handed the message out, by its clock, epoch milliseconds.
    pub pop_time: i64,
    /// How long it is hidden, in milliseconds.
    pub invisible_time: i64,
    /// The queue of the broker's own log that has its record.
    pub revive_queue: i32,
    /// The topic from which it came.
    pub mark: Mark,
    /// The name of the broker that answered the pop.
    pub broker: String,
    /// The queue's number.
    pub queue_id: i32,
    /// The position in the queue.
    pub queue_offset: i64,
}

/// The queue with the records of ordered pops.
const ORDER_REVIVE_QUEUE: i32 = 999;

impl Handle {
    /// Whether the message was popped in order.
    pub fn is_in_order(&self) -> bool {
        self.revive_queue == ORDER_REVIVE_QUEUE
    }

    /// Until when the message is hidden, by the broker's clock, epoch milliseconds.
    pub fn hidden_until(&self) -> i64 {
        self.pop_time.saturating_add(self.invisible_time)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Handle {
            start_offset,
            pop_time,
            invisible_time,
            revive_queue,
            mark,
            broker,
            queue_id,
            queue_offset,
        } = self;
        write!(
            f,
            "{start_offset} {pop_time} {invisible_time} {revive_queue} {mark} {broker} {queue_id} {queue_offset}"
        )
    }
}

impl FromStr for Handle {
    type Err = ProtocolError;

    fn from_str(text: &str) -> Result<Handle, ProtocolError> {
        let bad = || ProtocolError::new(format!("not a handle of a popped message: {text}"));
        let parts: Vec<&str> = text.split(' ').take(9).collect();
        let &[start, pop, invisible, revive, mark, broker, queue, offset] = &parts[..] else {
            return Err(bad());
        };
        Ok(Handle {
            start_offset: start.parse().map_err(|_| bad())?,
            pop_time: pop.parse().map_err(|_| bad())?,
            invisible_time: invisible.parse().map_err(|_| bad())?,
            revive_queue: revive.parse().map_err(|_| bad())?,
            mark: Mark::parse(mark)?,
            broker: broker.to_owned(),
            queue_id: queue.parse().map_err(|_| bad())?,
            queue_offset: offset.parse().map_err(|_| bad())?,
        })
    }
}

/// The fields of a message in a pop's answer from which its handle is derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Popped<'a> {
    /// The topic that the message itself names.
    pub topic: &'a str,
    /// The queue's number.
    pub queue_id: i32,
    /// The position in the queue.
    pub queue_offset: i64,
    /// Property `POP_CK`: the handle that the broker made for a message of a retry topic.
    pub handle: Option<&'a str>,
}

/// The handle and delivery count of a message, derived from a pop's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// The handle that acknowledges it.
    pub handle: Handle,
    /// How often it was delivered before, if it was popped in order.
    pub deliveries: Option<i32>,
}

/// A queue of a pop's answer.
type Key = (Mark, i32);

impl PopAnswer {
    /// The handles of the answer's messages, in their order; `broker` is the name of the one that was
    /// asked.
    ///
    /// # Errors
    /// For the whole answer: its description of the queues cannot be read. For a message: the
    /// answer does not name it.
    pub fn handles(
        &self,
        broker: &str,
        messages: &[Popped<'_>],
    ) -> Result<Vec<Result<Handled, ProtocolError>>, ProtocolError> {
        let starts = match self.start_offsets.as_deref() {
            Some(text) => Some(entries(text, key, number::<i64>)?),
            None => None,
        };
        let offsets = self.message_offsets.as_deref().unwrap_or_default();
        let offsets = entries(offsets, key, list)?;
        let counts = self.order_counts.as_deref().unwrap_or_default();
        let counts = entries(counts, |mark, id| Ok((mark, id.to_owned())), number::<i32>)?;

        // The offsets of the messages themselves, to find the place of each among the named ones.
        let mut own: HashMap<Key, Vec<i64>> = HashMap::new();
        let own_key = |message: &Popped<'_>| (Mark::of_topic(message.topic), message.queue_id);
        for message in messages.iter().filter(|message| message.handle.is_none()) {
            own.entry(own_key(message))
                .or_default()
                .push(message.queue_offset);
        }
        own.values_mut().for_each(|offsets| offsets.sort_unstable());
        let mut firsts: HashMap<(String, i32), i64> = HashMap::new();

        let handled = |message: &Popped<'_>| {
            let unknown = || {
                let (queue, offset) = (message.queue_id, message.queue_offset);
                ProtocolError::new(format!(
                    "the answer names no message {offset} of queue {queue}"
                ))
            };
            let key = own_key(message);
            let handle = match (&starts, message.handle) {
                (Some(_), Some(text)) => text.parse()?,
                (Some(starts), None) => {
                    let start_offset = *starts.get(&key).ok_or_else(unknown)?;
                    let place = own[&key].binary_search(&message.queue_offset);
                    let named = offsets.get(&key).and_then(|all| all.get(place.ok()?));
                    let queue_offset = *named.ok_or_else(unknown)?;
                    self.handle(broker, key, start_offset, queue_offset)
                }
                // Old brokers do not describe the queues.
                (None, _) => {
                    let first = (message.topic.to_owned(), message.queue_id);
                    let start_offset = *firsts.entry(first).or_insert(message.queue_offset);
                    self.handle(broker, key, start_offset, message.queue_offset)
                }
            };
            let of_offset = format!("qo{}%{}", message.queue_id, message.queue_offset);
            let count = counts
                .get(&(key.0, of_offset))
                .or_else(|| counts.get(&(key.0, message.queue_id.to_string())));
            Ok(Handled {
                handle,
                deliveries: count.copied().filter(|count| *count > 0),
            })
        };
        Ok(messages.iter().map(handled).collect())
    }

    fn handle(&self, broker: &str, key: Key, start_offset: i64, queue_offset: i64) -> Handle {
        Handle {
            start_offset,
            pop_time: self.pop_time,
            invisible_time: self.invisible_time,
            revive_queue: self.revive_queue,
            mark: key.0,
            broker: broker.to_owned(),
            queue_id: key.1,
            queue_offset,
        }
    }
}

/// Reads `mark id value;..`.
fn entries<K: Eq + Hash, V>(
    text: &str,
    key: impl Fn(Mark, &str) -> Result<K, ProtocolError>,
    value: impl Fn(&str) -> Result<V, ProtocolError>,
) -> Result<HashMap<K, V>, ProtocolError> {
    let bad = |why: &str| ProtocolError::new(format!("a pop's answer about queues: {why}"));
    let mut entries = HashMap::new();
    for entry in text.split(';').filter(|_| !text.is_empty()) {
        let parts: Vec<&str> = entry.split(' ').take(4).collect();
        let &[mark, id, number] = &parts[..] else {
            return Err(bad("an entry has not three parts"));
        };
        if entries.len() == MOST_ENTRIES {
            return Err(bad("too many entries"));
        }
        let known = entries.insert(key(Mark::parse(mark)?, id)?, value(number)?);
        if known.is_some() {
            return Err(bad("a queue is there twice"));
        }
    }
    Ok(entries)
}

/// A pop returns at most 32 messages. A hostile answer must not allocate more than its own size.
fn list(text: &str) -> Result<Vec<i64>, ProtocolError> {
    if text.split(',').nth(MOST_ENTRIES).is_some() {
        return Err(ProtocolError::new("a pop's answer names too many messages"));
    }
    text.split(',').map(number).collect()
}

fn key(mark: Mark, id: &str) -> Result<Key, ProtocolError> {
    Ok((mark, number(id)?))
}

fn number<T: FromStr>(text: &str) -> Result<T, ProtocolError> {
    let bad = |_| ProtocolError::new(format!("a pop's answer about queues: {text} is no number"));
    text.parse().map_err(bad)
}
