//! An ordered map of message properties, and the names that RocketMQ reserves.

use std::borrow::Cow;
use std::fmt;

/// Message properties: names and values in the order in which they were first set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(Cow<'static, str>, String)>);

impl Properties {
    /// No properties yet; allocates nothing.
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

    /// Properties from pairs of any origin; of equal names the last wins. Takes time n log n, since
    /// the pairs may come from a peer.
    pub(crate) fn from_pairs(pairs: Vec<(String, String)>) -> Properties {
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        order.sort_by(|&a, &b| pairs[a].0.cmp(&pairs[b].0).then(b.cmp(&a)));
        order.dedup_by(|later, kept| pairs[*later].0 == pairs[*kept].0);
        order.sort_unstable();
        let mut pairs: Vec<_> = pairs.into_iter().map(Some).collect();
        let kept = order.into_iter().filter_map(|i| pairs[i].take());
        Properties(
            kept.map(|(name, value)| (Cow::Owned(name), value))
                .collect(),
        )
    }

    /// How many properties there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
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
    /// The id that the client gives a message; it stays the same when a send is retried.
    pub const UNIQ_KEY: &str = "UNIQ_KEY";
    /// The key by which an ordered send chose its queue.
    pub const SHARDING_KEY: &str = "__SHARDINGKEY";
    /// The namespace in which the message was sent.
    pub const INSTANCE_ID: &str = "INSTANCE_ID";
    /// Region of the broker, in send responses.
    pub const MSG_REGION: &str = "MSG_REGION";
    /// Whether the broker wants this message traced, in send responses.
    pub const TRACE_ON: &str = "TRACE_ON";

    /// How the topics begin to which consumers give messages back.
    pub(crate) const RETRY_PREFIX: &str = "%RETRY%";

    /// Names that a user's own property may not have (Java's `STRING_HASH_SET`, 5.4.0).
    #[rustfmt::skip]
    pub(crate) const RESERVED: &[&str] = &[
        TRACE_ON, MSG_REGION, KEYS, TAGS, WAIT, DELAY, "RETRY_TOPIC", "REAL_TOPIC", "REAL_QID",
        "TRAN_MSG", "PGROUP", "MIN_OFFSET", "MAX_OFFSET", "BUYER_ID", "ORIGIN_MESSAGE_ID",
        "TRANSFER_FLAG", "CORRECTION_FLAG", "MQ2_FLAG", "RECONSUME_TIME", UNIQ_KEY,
        "MAX_RECONSUME_TIMES", "CONSUME_START_TIME", "POP_CK", "POP_CK_OFFSET", "1ST_POP_TIME",
        "TRAN_PREPARED_QUEUE_OFFSET", "DUP_INFO", "EXTEND_UNIQ_INFO", INSTANCE_ID,
        "CORRELATION_ID", "REPLY_TO_CLIENT", "TTL", "ARRIVE_TIME", "PUSH_REPLY_TIME", "CLUSTER",
        "MSG_TYPE", "INNER_MULTI_QUEUE_OFFSET", TIMER_DELAY_MS, "TIMER_DELAY_SEC",
        TIMER_DELIVER_MS, "TIMER_ENQUEUE_MS", "TIMER_DEQUEUE_MS", "TIMER_ROLL_TIMES",
        "TIMER_OUT_MS", "TIMER_DEL_UNIQKEY", "TIMER_DELAY_LEVEL", "__BORNHOST", "BORN_TIMESTAMP",
        "DLQ_ORIGIN_TOPIC", "DLQ_ORIGIN_MESSAGE_ID", "__CRC32#",
    ];
}
