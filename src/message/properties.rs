//! An ordered map of message properties, its text form (`name \x01 value \x02`, repeated), and the names
//! that RocketMQ reserves.

use std::borrow::Cow;
use std::fmt;

/// Message properties: names and values in the order in which they were first set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(Cow<'static, str>, String)>);

impl Properties {
    /// An empty map; does not allocate.
    pub fn new() -> Properties {
        Properties(Vec::new())
    }

    /// Sets or replaces a property.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value)
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|(name, value)| (&**name, value.as_str()))
    }

    /// Builds the map from properties with different names.
    pub(crate) fn from_distinct(pairs: impl Iterator<Item = (String, String)>) -> Properties {
        Properties(pairs.map(|(n, v)| (Cow::Owned(n), v)).collect())
    }

    /// The number of properties.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the map is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<N: Into<Cow<'static, str>>, V: Into<String>> FromIterator<(N, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(items: I) -> Properties {
        let mut properties = Properties::new();
        for (name, value) in items {
            properties.set(name, value);
        }
        properties
    }
}

/// Between a name and its value.
pub const NAME_END: char = '\u{1}';
/// After each value. Clients from 5.2.0 on write it after the last one too; every decoder takes
/// both.
pub const VALUE_END: char = '\u{2}';

/// The longest text form, in bytes, that the broker's store can hold.
pub const MAX_LEN: usize = 32_767;

/// Appends the text form of some properties. Those with an empty name or value are left out, since
/// every decoder drops them.
pub fn append<'a>(properties: impl Iterator<Item = (&'a str, &'a str)> + Clone, text: &mut String) {
    // Reserves the exact size: the text stays in memory while its message is in flight.
    let lengths = properties
        .clone()
        .map(|(name, value)| name.len() + value.len() + 2);
    text.reserve_exact(lengths.sum());
    // Not a loop: internal iteration over a chain of many parts is faster.
    properties.for_each(|(name, value)| {
        if !name.is_empty() && !value.is_empty() {
            text.push_str(name);
            text.push(NAME_END);
            text.push_str(value);
            text.push(VALUE_END);
        }
    });
}

/// The text form of some properties.
pub fn encode<'a>(properties: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> String {
    let mut text = String::new();
    append(properties, &mut text);
    text
}

/// Reads the text form. As in Java, a piece that has no separator, no name or no value is dropped.
pub fn decode(text: &str) -> Properties {
    let bytes = text.as_bytes();
    // The separators are ASCII, so the parts between them are UTF-8 too.
    let own = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let places = places(bytes).into_iter();
    Properties::from_distinct(places.map(|place| (own(place.name(bytes)), own(place.value(bytes)))))
}

/// Where one property stands in the text form: its name, `NAME_END`, its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    start: u32,
    name_end: u32,
    value_end: u32,
}

impl Place {
    pub(crate) fn name<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.start as usize..self.name_end as usize]
    }

    pub(crate) fn value<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.name_end as usize + 1..self.value_end as usize]
    }
}

/// Up to this many properties are compared one by one to find equal names.
const FEW: usize = 24;

/// The places of the properties in a text form, in order. As in Java, a piece without a separator,
/// name or value is dropped, and of equal names the last one wins.
///
/// Takes time n log n: the text may come from a hostile peer. A text beyond 4 GiB has no properties.
pub(crate) fn places(text: &[u8]) -> Vec<Place> {
    if u32::try_from(text.len()).is_err() {
        return Vec::new();
    }
    let mut places = Vec::new();
    let mut start = 0;
    for piece in text.split(|byte| *byte == VALUE_END as u8) {
        let end = start + piece.len();
        if let Some(len) = piece.iter().position(|byte| *byte == NAME_END as u8) {
            let name_end = start + len;
            if len > 0 && name_end + 1 < end {
                let [start, name_end, value_end] = [start, name_end, end].map(|at| at as u32);
                places.push(Place {
                    start,
                    name_end,
                    value_end,
                });
            }
        }
        start = end + 1;
    }
    keep_last_of_equal(&mut places, text);
    places
}

fn keep_last_of_equal(places: &mut Vec<Place>, text: &[u8]) {
    let name = |i: usize| places[i].name(text);
    let has_twin = |i: usize| (i + 1..places.len()).any(|later| name(i) == name(later));
    if places.len() <= FEW && !(0..places.len()).any(has_twin) {
        return;
    }
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|&a, &b| name(a).cmp(name(b)).then(b.cmp(&a)));
    order.dedup_by(|later, kept| name(*later) == name(*kept));
    order.sort_unstable();
    *places = order.into_iter().map(|i| places[i]).collect();
}

/// Names of the properties that RocketMQ itself writes (Java's `MessageConst`).
pub mod name {
    /// Business keys, joined by a space.
    pub const KEYS: &str = "KEYS";
    /// The tag.
    pub const TAGS: &str = "TAGS";
    /// Whether the broker answers only after flush and replication.
    pub const WAIT: &str = "WAIT";
    /// Delay level.
    pub const DELAY: &str = "DELAY";
    /// Delay in milliseconds (5.x timer).
    pub const TIMER_DELAY_MS: &str = "TIMER_DELAY_MS";
    /// Time of delivery, epoch milliseconds (5.x timer).
    pub const TIMER_DELIVER_MS: &str = "TIMER_DELIVER_MS";
    /// The id that the client gives a message; retries keep it.
    pub const UNIQ_KEY: &str = "UNIQ_KEY";
    /// The key by which an ordered send chose its queue.
    pub const SHARDING_KEY: &str = "__SHARDINGKEY";
    /// Marks the half message of a transaction.
    pub const TRANSACTION_PREPARED: &str = "TRAN_MSG";
    /// The producer group of a half message, which the broker asks about it.
    pub const PRODUCER_GROUP: &str = "PGROUP";
    /// Matches a reply to its request.
    pub const CORRELATION_ID: &str = "CORRELATION_ID";
    /// The id of the client that waits for the reply.
    pub const REPLY_TO_CLIENT: &str = "REPLY_TO_CLIENT";
    /// How long that client waits, in milliseconds.
    pub const TTL: &str = "TTL";
    /// The broker's cluster, which brokers write into delivered messages.
    pub const CLUSTER: &str = "CLUSTER";
    /// `reply` in replies.
    pub const MESSAGE_TYPE: &str = "MSG_TYPE";
    /// The namespace in which the message was sent.
    pub const INSTANCE_ID: &str = "INSTANCE_ID";
    /// Region of the broker, in send responses.
    pub const MSG_REGION: &str = "MSG_REGION";
    /// Whether the broker wants this message traced, in send responses.
    pub const TRACE_ON: &str = "TRACE_ON";

    /// The light queues (LMQ) to which the broker dispatches the message too, joined by commas.
    pub(crate) const LIGHT_QUEUES: &str = "INNER_MULTI_DISPATCH";
    /// The lite topic of brokers 5.5, which they implement by a light queue.
    pub(crate) const LITE_TOPIC: &str = "__LITE_TOPIC";

    /// The prefix of the topics to which consumers send messages back.
    pub(crate) const RETRY_PREFIX: &str = "%RETRY%";
    /// The topic of a message that was given back, before it was for the first time.
    pub const RETRY_TOPIC: &str = "RETRY_TOPIC";
    /// The id that it had then.
    pub const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
    /// The group that popped a message, in its retries.
    pub(crate) const ORIGIN_GROUP: &str = "ORIGIN_GROUP";
    /// What acknowledges a popped message.
    pub(crate) const POP_CK: &str = "POP_CK";
    /// The prefix of dead letter topics: messages end there that were given back too often.
    pub(crate) const DLQ_PREFIX: &str = "%DLQ%";

    /// Names that a user's own property may not have (Java's `STRING_HASH_SET`, 5.4.0).
    #[rustfmt::skip]
    pub(crate) const RESERVED: &[&str] = &[
        TRACE_ON, MSG_REGION, KEYS, TAGS, WAIT, DELAY, RETRY_TOPIC, "REAL_TOPIC", "REAL_QID",
        TRANSACTION_PREPARED, PRODUCER_GROUP, "MIN_OFFSET", "MAX_OFFSET", "BUYER_ID", ORIGIN_MESSAGE_ID,
        "TRANSFER_FLAG", "CORRECTION_FLAG", "MQ2_FLAG", "RECONSUME_TIME", UNIQ_KEY,
        "MAX_RECONSUME_TIMES", "CONSUME_START_TIME", POP_CK, "POP_CK_OFFSET", "1ST_POP_TIME",
        "TRAN_PREPARED_QUEUE_OFFSET", "DUP_INFO", "EXTEND_UNIQ_INFO", INSTANCE_ID,
        CORRELATION_ID, REPLY_TO_CLIENT, TTL, "ARRIVE_TIME", "PUSH_REPLY_TIME", CLUSTER,
        MESSAGE_TYPE, "INNER_MULTI_QUEUE_OFFSET", TIMER_DELAY_MS, "TIMER_DELAY_SEC",
        TIMER_DELIVER_MS, "TIMER_ENQUEUE_MS", "TIMER_DEQUEUE_MS", "TIMER_ROLL_TIMES",
        "TIMER_OUT_MS", "TIMER_DEL_UNIQKEY", "TIMER_DELAY_LEVEL", "__BORNHOST", "BORN_TIMESTAMP",
        "DLQ_ORIGIN_TOPIC", "DLQ_ORIGIN_MESSAGE_ID", "__CRC32#",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_endings_are_read_and_broken_pieces_are_dropped() {
        for text in [
            "a\u{1}1\u{2}b\u{1}2\u{2}",
            "a\u{1}1\u{2}b\u{1}2",
            "a\u{1}1\u{2}x\u{2}\u{1}y\u{2}z\u{1}\u{2}b\u{1}2",
        ] {
            let properties = decode(text);
            assert_eq!(
                properties.iter().collect::<Vec<_>>(),
                [("a", "1"), ("b", "2")],
                "{text:?}"
            );
        }
    }
}
