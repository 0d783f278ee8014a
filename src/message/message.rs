use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{MessageView, Properties, Schedule, name};
use crate::error::{Error, Result};

/// A message to send: a topic, a body, and properties for brokers and consumers.
///
/// Building a message cannot fail; sending checks it. A clone shares the body.
///
/// ```
/// use rocketmq_blocking::Message;
///
/// let message = Message::new("TopicTest", "hello")
///     .tag("TagA")
///     .key("OrderID188")
///     .property("region", "north");
/// assert_eq!(message.body(), b"hello");
/// ```
#[derive(Clone, PartialEq)]
pub struct Message {
    topic: Arc<str>,
    body: Arc<Vec<u8>>,
    flag: i32,
    wait_store: bool,
    schedule: Schedule,
    reconsume_times: Option<u32>,
    max_reconsume_times: Option<u32>,
    unique_key: Option<String>,
    system: Properties,
    user: Properties,
}

impl Message {
    /// A message with this body for this topic. When it is sent, the body must not be empty and
    /// must not exceed the producer's `max_message_size` (4 MiB unless set). A topic's name has at
    /// most 127 bytes of `%|a-zA-Z0-9_-`. A reused `Arc<str>` costs no allocation; pass a `&String`
    /// as `topic.as_str()`.
    #[doc(alias = "setTopic")]
    #[doc(alias = "setBody")]
    pub fn new(topic: impl Into<Arc<str>>, body: impl Into<Vec<u8>>) -> Message {
        Message {
            topic: topic.into(),
            body: Arc::new(body.into()),
            flag: 0,
            wait_store: true,
            schedule: Schedule::Now,
            reconsume_times: None,
            max_reconsume_times: None,
            unique_key: None,
            system: Properties::new(),
            user: Properties::new(),
        }
    }

    /// The reply to a request that a consumer received: send it with
    /// [`Producer::send`](crate::Producer::send). The broker pushes it to the requesting client; if
    /// that client is gone, the send fails with code 1.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the message is no request: it lacks the property
    /// `CLUSTER`, which brokers write, or `CORRELATION_ID` or `REPLY_TO_CLIENT`, which the
    /// requesting client wrote.
    #[doc(alias = "createReplyMessage")]
    pub fn reply_to(request: &MessageView, body: impl Into<Vec<u8>>) -> Result<Message> {
        let property = |name| {
            let missing = || Error::invalid(format!("no request to reply to: {name} is missing"));
            request.property(name).ok_or_else(missing)
        };
        let mut reply = Message::new(reply_topic(property(name::CLUSTER)?), body)
            .system_property(name::MESSAGE_TYPE, "reply")
            .system_property(name::CORRELATION_ID, property(name::CORRELATION_ID)?)
            .system_property(name::REPLY_TO_CLIENT, property(name::REPLY_TO_CLIENT)?);
        if let Some(ttl) = request.property(name::TTL) {
            reply = reply.system_property(name::TTL, ttl);
        }
        Ok(reply)
    }

    /// A dead letter, to be sent to its original topic again. [`GroupAdmin::dead_letters`] reads them.
    ///
    /// It has the body, tag, keys, flag and user properties of the dead letter, and its unique key: receivers
    /// can tell that it is the same message. Its count of deliveries starts anew, and it is not delayed.
    ///
    /// All groups that subscribe the topic get it, not only the one whose dead letter it is. The dead letter
    /// stays where it is: sending it twice stores it twice, so note which ones are sent once
    /// [`Producer::send`](crate::Producer::send) has returned the receipt.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the message is not of a topic `%DLQ%..`, or does not say where
    /// it came from (property `RETRY_TOPIC`, which brokers write).
    ///
    /// [`GroupAdmin::dead_letters`]: crate::client::GroupAdmin::dead_letters
    pub fn from_dead_letter(dead: &MessageView) -> Result<Message> {
        let Some(topic) = Message::topic_of_dead_letter(dead) else {
            let text = format!(
                "no dead letter with an original topic: a message of {}",
                dead.topic()
            );
            return Err(Error::invalid(text));
        };
        let mut message = Message::new(topic, dead.body()).flag(dead.flag());
        message.unique_key = dead.unique_key().map(str::to_owned);
        for (name, value) in dead.properties() {
            // What brokers and consumers wrote is of the past.
            let is_past = name::RESERVED.contains(&name) || name == name::ORIGIN_GROUP;
            match name {
                name::KEYS | name::TAGS => message.system.set(name.to_owned(), value),
                _ if is_past => {}
                _ => message.user.set(name.to_owned(), value),
            }
        }
        Ok(message)
    }

    /// The tag, by which consumers filter on the broker (default: none). The last one set wins.
    #[doc(alias = "setTags")]
    pub fn tag(mut self, tag: impl Into<String>) -> Message {
        self.system.set(name::TAGS, tag);
        self
    }

    /// Adds a business key, by which the message can be found on the broker
    /// ([`Admin::query_by_key`](crate::Admin::query_by_key)), such as an order's number. Default:
    /// none; call it once for each key.
    ///
    /// RocketMQ stores the keys of a message as one text separated by spaces, so a key that
    /// contains spaces becomes several keys:
    ///
    /// ```
    /// # use rocketmq_blocking::Message;
    /// let message = Message::new("Orders", "one book").key("order-188").key("a b");
    /// assert_eq!(message.keys().collect::<Vec<_>>(), ["order-188", "a", "b"]);
    /// ```
    #[doc(alias = "setKeys")]
    pub fn key(mut self, key: impl AsRef<str>) -> Message {
        let joined = match self.system.get(name::KEYS) {
            Some(keys) => format!("{keys} {}", key.as_ref()),
            None => key.as_ref().to_owned(),
        };
        self.system.set(name::KEYS, joined);
        self
    }

    /// Sets (or replaces) a user property. Consumers see it, and SQL filters can use it.
    ///
    /// Sending fails with [`Invalid`](crate::ErrorKind::Invalid) if the name is one of RocketMQ's
    /// reserved names, if name or value is blank or contains `\x01` or `\x02` (the protocol's
    /// separators), or if all properties together, system properties included, exceed 32,639 bytes:
    /// names, values, and two bytes for each property. (Brokers store 32,767 bytes, and add up to
    /// 128 of their own. They add 160 bytes and the topic to a scheduled message, and 128 bytes,
    /// the topic and the unique key to a half message: their limits are lower by as much.)
    ///
    /// A property also selects light queues (LMQ), on brokers that have them. Such a message cannot be
    /// in a batch. Brokers add up to 20 bytes to its properties for each light queue.
    ///
    /// ```
    /// # use rocketmq_blocking::Message;
    /// // Java's MessageConst.PROPERTY_INNER_MULTI_DISPATCH
    /// let message = Message::new("Parent", "x").property("INNER_MULTI_DISPATCH", "%LMQ%a,%LMQ%b");
    /// ```
    ///
    /// The context of a distributed trace travels in properties too, under the names of W3C Trace Context
    /// that OpenTelemetry writes and reads: `traceparent`, `tracestate`, `baggage`. Retries and dead letters
    /// keep them. The example `trace_context` shows both sides.
    #[doc(alias = "putUserProperty")]
    #[doc(alias = "INNER_MULTI_DISPATCH")]
    pub fn property(mut self, key: impl Into<String>, value: impl Into<String>) -> Message {
        self.user.set(key.into(), value);
        self
    }

    /// A user-defined number that is stored with the message (default 0).
    #[doc(alias = "setFlag")]
    pub fn flag(mut self, flag: i32) -> Message {
        self.flag = flag;
        self
    }

    /// Whether a broker with synchronous flush or replication answers only after them (default
    /// true). [`SendStatus`](crate::SendStatus) reports a flush or replication that timed out.
    #[doc(alias = "setWaitStoreMsgOK")]
    pub fn wait_store(mut self, wait: bool) -> Message {
        self.wait_store = wait;
        self
    }

    /// Sets the unique key. Otherwise each send generates a new one. With the same key, consumers
    /// can recognize a message that was sent again ([Sending
    /// again](crate::docs::errors#sending-again)). It becomes the [id of the
    /// receipt](crate::SendReceipt::message_id); any text without a comma, `\x01` and `\x02` will
    /// do, as long as no other message has it.
    #[doc(alias = "UNIQ_KEY")]
    pub fn unique_key(mut self, key: impl Into<String>) -> Message {
        self.unique_key = Some(key.into());
        self
    }

    /// How often consumers gave the message back so far (default 0). Only for messages to a retry
    /// topic (`%RETRY%` and the consumer group); sending it elsewhere fails with
    /// [`Invalid`](crate::ErrorKind::Invalid).
    #[doc(alias = "setReconsumeTimes")]
    pub fn reconsume_times(mut self, times: u32) -> Message {
        self.reconsume_times = Some(times);
        self
    }

    /// How often consumers may give the message back before it becomes a dead letter (default: as
    /// the consumer group is configured). Only for messages to a retry topic, too.
    #[doc(alias = "setMaxReconsumeTimes")]
    pub fn max_reconsume_times(mut self, times: u32) -> Message {
        self.max_reconsume_times = Some(times);
        self
    }

    /// When consumers may see the message; the last schedule set wins.
    pub fn schedule(mut self, schedule: Schedule) -> Message {
        self.schedule = schedule;
        self
    }

    /// Sugar for [`Schedule::Level`]: one of the broker's delay levels, 1 to 18 by default (1s 5s
    /// 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h). The broker clamps higher levels.
    #[doc(alias = "setDelayTimeLevel")]
    pub fn delay_level(self, level: u32) -> Message {
        self.schedule(Schedule::Level(level))
    }

    /// Sugar for [`Schedule::After`]. Needs brokers 5.x, which refuse more than their limit (3 days
    /// by default) with code 13. Older brokers deliver at once.
    #[doc(alias = "setDelayTimeMs")]
    #[doc(alias = "setDelayTimeSec")]
    pub fn deliver_after(self, delay: Duration) -> Message {
        self.schedule(Schedule::After(delay))
    }

    /// Sugar for [`Schedule::At`], with the requirements of
    /// [`deliver_after`](Message::deliver_after).
    #[doc(alias = "setDeliverTimeMs")]
    pub fn deliver_at(self, time: SystemTime) -> Message {
        self.schedule(Schedule::At(time))
    }

    /// The topic this message is for.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The body, uncompressed.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The tag, if one was set.
    pub fn get_tag(&self) -> Option<&str> {
        self.system.get(name::TAGS)
    }

    /// The business keys, in the order they were added.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.system
            .get(name::KEYS)
            .into_iter()
            .flat_map(|keys| keys.split(' '))
            .filter(|key| !key.is_empty())
    }

    /// The value of a user property.
    pub fn get_property(&self, key: &str) -> Option<&str> {
        self.user.get(key)
    }

    /// The user properties, in the order in which they were first set.
    pub fn user_properties(&self) -> &Properties {
        &self.user
    }

    /// The flag set by [`Message::flag`].
    pub fn get_flag(&self) -> i32 {
        self.flag
    }

    /// Whether [`Message::wait_store`] is on.
    pub fn get_wait_store(&self) -> bool {
        self.wait_store
    }

    /// The last schedule that was set.
    pub fn get_schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The value set by [`Message::reconsume_times`].
    pub fn get_reconsume_times(&self) -> Option<u32> {
        self.reconsume_times
    }

    /// The value set by [`Message::max_reconsume_times`].
    pub fn get_max_reconsume_times(&self) -> Option<u32> {
        self.max_reconsume_times
    }

    /// The unique key set by [`Message::unique_key`].
    pub fn get_unique_key(&self) -> Option<&str> {
        self.unique_key.as_deref()
    }

    /// With a property that only this crate may write.
    pub(crate) fn system_property(
        mut self,
        name: &'static str,
        value: impl Into<String>,
    ) -> Message {
        self.system.set(name, value);
        self
    }

    /// A copy of a message that was consumed, for another topic: with its key and its properties,
    /// without those by which brokers and transactions handled it.
    pub(crate) fn copy_of(message: &MessageView, topic: impl Into<Arc<str>>) -> Message {
        const LEFT_OUT: [&str; 8] = [
            name::UNIQ_KEY,
            name::WAIT,
            name::DELAY,
            name::TIMER_DELAY_MS,
            name::TIMER_DELIVER_MS,
            name::TRANSACTION_PREPARED,
            name::INSTANCE_ID,
            name::TRACE_ON,
        ];
        let mut copy = Message::new(topic, message.body()).flag(message.flag());
        copy.unique_key = message.unique_key().map(str::to_owned);
        for (name, value) in message.properties() {
            if !LEFT_OUT.contains(&name) {
                copy.system.set(name.to_owned(), value);
            }
        }
        copy
    }

    /// The topic to which a dead letter was sent first. A message that was popped from a retry topic has the
    /// name of that: `%RETRY%group_topic`, or `%RETRY%group+topic`; in a namespace `%RETRY%ns%group_ns%topic`.
    fn topic_of_dead_letter(dead: &MessageView) -> Option<&str> {
        let group = dead.topic().strip_prefix(name::DLQ_PREFIX)?;
        let before = dead.property(name::RETRY_TOPIC)?;
        let popped = || {
            let rest = before.strip_prefix(name::RETRY_PREFIX)?;
            let mut groups = rest.match_indices(group);
            groups.find_map(|(at, _)| {
                let (space, of_group) = rest.split_at(at);
                let topic = of_group.strip_prefix(group)?.strip_prefix(['_', '+'])?;
                let is_space = space.is_empty() || space.ends_with('%');
                is_space.then(|| topic.strip_prefix(space).unwrap_or(topic))
            })
        };
        let topic = popped().unwrap_or(before);
        let is_known = !topic.is_empty() && !topic.starts_with(name::RETRY_PREFIX);
        is_known.then_some(topic)
    }

    pub(crate) fn shared_topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// System properties (tag, keys, ...), without user properties.
    pub(crate) fn system_properties(&self) -> &Properties {
        &self.system
    }

    /// All of it at once, for a send.
    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts {
            topic: &self.topic,
            body: &self.body,
            flag: self.flag,
            wait_store: self.wait_store,
            schedule: match &self.schedule {
                Schedule::Now => None,
                schedule => Some(schedule),
            },
            reconsume_times: self.reconsume_times,
            max_reconsume_times: self.max_reconsume_times,
            unique_key: self.unique_key.as_deref().filter(|key| !key.is_empty()),
            system: &self.system,
            user: &self.user,
        }
    }
}

/// The parts of a message.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) topic: &'a Arc<str>,
    pub(crate) body: &'a Arc<Vec<u8>>,
    pub(crate) flag: i32,
    pub(crate) wait_store: bool,
    /// If it is not just now.
    pub(crate) schedule: Option<&'a Schedule>,
    pub(crate) reconsume_times: Option<u32>,
    pub(crate) max_reconsume_times: Option<u32>,
    /// Not an empty one.
    pub(crate) unique_key: Option<&'a str>,
    /// System properties.
    pub(crate) system: &'a Properties,
    pub(crate) user: &'a Properties,
}

impl fmt::Debug for Message {
    /// Never prints the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic)
            .field("body_len", &self.body.len())
            .field("flag", &self.flag)
            .field("schedule", &self.schedule)
            .field("system", &self.system)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// The topic to which replies to messages of this cluster are sent.
pub(crate) fn reply_topic(cluster: &str) -> String {
    format!("{cluster}_REPLY_TOPIC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_join_by_a_space_and_the_last_schedule_wins() {
        let message = Message::new("T", "x")
            .key("a ")
            .key("b")
            .delay_level(3)
            .deliver_after(Duration::from_secs(2));
        assert_eq!(message.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(
            message.get_schedule().property(),
            Some((name::TIMER_DELAY_MS, 2000))
        );
    }

    #[test]
    fn debug_never_shows_the_body() {
        let text = format!("{:?}", Message::new("T", "top secret"));
        assert!(!text.contains("secret"), "{text}");
    }
}
