use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::LOG;
use super::config::SendConfig;
use super::engine::Engine;
use super::hooks::Payload;
use super::queue::QueueChoice;
use super::stats::Size;
use crate::client::Identity;
use crate::error::{Error, Result};
use crate::logging;
use crate::message::{
    Batch, FORBIDDEN_TOPICS, LONGEST_TOPIC, Message, Parts, Schedule, check_name, name,
};
use crate::protocol::properties::{self, MAX_LEN, NAME_END, VALUE_END};
use crate::protocol::{id, sys_flag};
use crate::transport::{Account, Deadline, Permit, epoch_millis};

mod batch;

/// The size of the properties that brokers add to every message before they check their limit:
/// `MSG_REGION`, `TRACE_ON`, `CLUSTER` and `__CRC32#`, which are 84 bytes with the default names of
/// region and cluster. (`AbstractSendMessageProcessor`, `SendMessageProcessor`,
/// `MessageExtEncoder`, 5.4.0)
const ADDED_TO_ALL: usize = 128;

/// The size of those that they add to a scheduled message, besides its topic: `REAL_TOPIC`,
/// `REAL_QID`, `TIMER_OUT_MS`, and each time it is stored again `TIMER_ENQUEUE_MS`,
/// `TIMER_DEQUEUE_MS`, `TIMER_ROLL_TIMES`. (`HookUtils`, `TimerMessageStore`)
const ADDED_TO_SCHEDULED: usize = 160;

/// The size of those that they add to a half message, besides its topic and key:
/// `__transactionId__`, `REAL_TOPIC`, `REAL_QID`, `TRAN_PREPARED_QUEUE_OFFSET`,
/// `TRANSACTION_CHECK_TIMES`. (`TransactionalMessageBridge`)
const ADDED_TO_HALF: usize = 128;

/// An offset and a comma for each light queue, in `INNER_MULTI_QUEUE_OFFSET`.
const ADDED_TO_LIGHT_QUEUE: usize = 20;

/// The longest properties of a plain message that every broker takes.
pub(crate) const MAX_PROPERTIES: usize = MAX_LEN - ADDED_TO_ALL;

/// A send as requested.
pub(crate) struct SendCall<'a> {
    pub(crate) content: Content<'a>,
    /// The size of the content, for the statistics.
    pub(crate) size: Size,
    pub(crate) choice: Option<QueueChoice>,
    /// When it was called.
    pub(crate) start: Start,
    pub(crate) deadline: Deadline,
}

/// The content.
#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    Message(&'a Message),
    Batch(&'a Batch),
}

/// When something starts, by both clocks.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(crate) at: Instant,
    pub(crate) epoch_millis: i64,
}

/// The parts that all attempts of a send share: checked, keyed, compressed and encoded once.
pub(crate) struct PreparedMessage {
    pub(super) topic: Arc<str>,
    /// The topic as brokers know it.
    pub(super) topic_on_wire: Arc<str>,
    pub(super) body: Arc<Vec<u8>>,
    /// The properties in their text form.
    pub(super) properties: String,
    pub(super) sys_flag: i32,
    pub(super) flag: i32,
    pub(super) batch: bool,
    pub(super) reconsume_times: i32,
    pub(super) max_reconsume_times: Option<i32>,
    /// A reply to a request, which has its own request codes.
    pub(super) reply: bool,
    /// The broker must know this client before it gets this: it will have something to push.
    pub(super) wants_reply: bool,
    /// The id that the receipt names: the unique key, or those of a batch's messages.
    pub(super) message_id: Box<str>,
    /// When it was made ready, then when its current attempt began.
    pub(super) begun: Start,
    /// The hooks' view; only kept if there are hooks.
    pub(super) payload: Option<Box<Payload>>,
}

impl<'a> SendCall<'a> {
    /// A send that starts now.
    pub(crate) fn new(
        content: Content<'a>,
        choice: Option<QueueChoice>,
        timeout: Duration,
    ) -> Self {
        let start = Start::now();
        SendCall::at(start, content, choice, Deadline::after(start.at, timeout))
    }

    /// One that has started already.
    pub(crate) fn at(
        start: Start,
        content: Content<'a>,
        choice: Option<QueueChoice>,
        deadline: Deadline,
    ) -> Self {
        SendCall {
            content,
            size: content.size(),
            choice,
            start,
            deadline,
        }
    }
}

impl Content<'_> {
    /// Its size for the statistics.
    pub(crate) fn size(self) -> Size {
        match self {
            Content::Message(message) => Size::of(1, message.body().len()),
            Content::Batch(batch) => {
                let messages = batch.messages();
                let bytes = messages.iter().map(|message| message.body().len());
                Size::of(messages.len(), bytes.sum())
            }
        }
    }
}

impl Start {
    pub(crate) fn now() -> Start {
        Start {
            at: Instant::now(),
            epoch_millis: epoch_millis(),
        }
    }
}

impl PreparedMessage {
    /// Prepares a call's content. `buffer` is a reused one.
    ///
    /// # Errors
    /// `Invalid`, with the defect.
    pub(crate) fn new(
        engine: &Engine,
        call: &SendCall<'_>,
        buffer: String,
    ) -> Result<PreparedMessage> {
        match call.content {
            Content::Message(message) => {
                let sharding_key = match &call.choice {
                    Some(QueueChoice::Key(key)) => Some(key.as_str()),
                    _ => None,
                };
                PreparedMessage::message(engine, message, sharding_key, call.start, buffer)
            }
            Content::Batch(batch) => {
                let identity = &engine.core.identity;
                PreparedMessage::batch(&engine.config, batch, |now, keys| {
                    push_unique_key(identity, now, keys)
                })
            }
        }
    }

    fn message(
        engine: &Engine,
        message: &Message,
        sharding_key: Option<&str>,
        start: Start,
        buffer: String,
    ) -> Result<PreparedMessage> {
        let config = &engine.config;
        let parts = message.parts();
        let traits = check(&parts, config.max_message_size)?;
        if let Some(key) = sharding_key {
            separators(name::SHARDING_KEY, key)?;
        }
        let (topic, topic_on_wire) = match traits.reply {
            // Replies have a topic of the broker's own, without a namespace.
            true => {
                check_topic(parts.topic).map(|()| (parts.topic.clone(), parts.topic.clone()))?
            }
            false => topic_names(config, parts.topic)?,
        };
        let key: Box<str> = match parts.unique_key {
            Some(key) => key.into(),
            None => unique_key(&engine.core.identity, start.epoch_millis).into(),
        };
        let added = traits.added(&parts, &topic_on_wire, &key);
        let mut properties = buffer;
        properties.clear();
        let namespace = config.namespace.as_deref();
        append_properties(&parts, &key, sharding_key, namespace, &mut properties);
        check_properties(properties.len(), added)?;
        let (body, compression) = compressed(config, parts.body);
        let transaction = i32::from(traits.half) * sys_flag::TRANSACTION_PREPARED;
        // Brokers count with 31 bits.
        let times = |times: u32| i32::try_from(times).unwrap_or(i32::MAX);
        Ok(PreparedMessage {
            topic,
            topic_on_wire,
            body,
            properties,
            sys_flag: compression | transaction,
            flag: parts.flag,
            batch: false,
            reconsume_times: parts.reconsume_times.map_or(0, times),
            max_reconsume_times: parts.max_reconsume_times.map(times),
            reply: traits.reply,
            wants_reply: traits.request && !traits.reply,
            message_id: key,
            begun: start,
            payload: engine
                .hooked
                .then(|| Box::new(Payload::Message(message.clone()))),
        })
    }

    /// Whether it is the first half of a transaction.
    pub(super) fn is_half(&self) -> bool {
        self.sys_flag & sys_flag::TRANSACTION_PREPARED != 0
    }

    /// An error, as one of this message.
    pub(super) fn failed(&self, error: Error) -> Error {
        let error = error.on_topic(&self.topic);
        match &*self.message_id {
            // A receipt has taken it.
            "" => error,
            key => error.with_unique_key(key),
        }
    }

    /// Takes capacity in flight for its bytes, and for `messages` (0 or 1).
    ///
    /// # Errors
    /// Those of [`Account::acquire`].
    pub(crate) fn take_capacity(
        &mut self,
        account: &Arc<Account>,
        messages: usize,
        deadline: Deadline,
    ) -> Result<Permit> {
        let permit = account.acquire(messages, self.body.len(), deadline);
        let permit = permit.map_err(|error| error.with_unique_key(&self.message_id))?;
        if permit.waited() {
            // The broker did not cause that.
            self.begun = Start::now();
        }
        Ok(permit)
    }
}

/// A topic as users name it, and as brokers know it.
///
/// # Errors
/// `Invalid` if either name is illegal, or the topic belongs to the brokers.
pub(crate) fn topic_names(config: &SendConfig, topic: &Arc<str>) -> Result<(Arc<str>, Arc<str>)> {
    check_topic(topic)?;
    if config.namespace.is_none() {
        return Ok((topic.clone(), topic.clone()));
    }
    let on_wire = config.names.on_wire(topic);
    check_topic(&on_wire)?;
    Ok((config.names.for_users(topic), on_wire))
}

fn check_topic(topic: &str) -> Result<()> {
    check_name("topic", topic, LONGEST_TOPIC)?;
    if FORBIDDEN_TOPICS.contains(&topic) {
        let text = format!("the topic {topic} belongs to the brokers; clients must not send to it");
        return Err(Error::invalid(text));
    }
    Ok(())
}

/// Java's tools read the time in a key as local time, and search messages stored from then on. West
/// of UTC that would be too late; half a day earlier is safe everywhere.
const HALF_A_DAY: i64 = 12 * 3600 * 1000;

/// A new unique key for a message made at this time.
pub(crate) fn unique_key(identity: &Identity, epoch_millis: i64) -> String {
    let mut key = String::with_capacity(identity.keys.len());
    push_unique_key(identity, epoch_millis, &mut key);
    key
}

/// Appends one.
fn push_unique_key(identity: &Identity, epoch_millis: i64, text: &mut String) {
    let counter = identity.counter.fetch_add(1, Ordering::Relaxed);
    let time = id::millis_of_month(epoch_millis - HALF_A_DAY);
    identity.keys.push(time, counter, text);
}

/// The checks of a message. Properties that the send itself adds (a new unique key, a schedule) are
/// not counted.
///
/// # Errors
/// `Invalid`.
pub(crate) fn check_message(message: &Message, config: &SendConfig) -> Result<()> {
    let (_, topic_on_wire) = topic_names(config, message.shared_topic())?;
    let parts = message.parts();
    let traits = check(&parts, config.max_message_size)?;
    let key = parts.unique_key.unwrap_or_default();
    let added = traits.added(&parts, &topic_on_wire, key);
    check_properties(message.properties_len(key.len()), added)
}

/// The type of a message, by its properties.
#[derive(Default)]
struct Traits {
    /// An answer to a request.
    reply: bool,
    /// A request, which a consumer answers.
    request: bool,
    /// The first half of a transaction.
    half: bool,
    light_queues: usize,
}

impl Traits {
    /// The size of the properties that brokers may add.
    fn added(&self, parts: &Parts<'_>, topic_on_wire: &str, key: &str) -> usize {
        let mut added = ADDED_TO_ALL + self.light_queues * ADDED_TO_LIGHT_QUEUE;
        if parts.schedule.is_some_and(Schedule::is_later) {
            added += ADDED_TO_SCHEDULED + topic_on_wire.len();
        }
        if self.half {
            added += ADDED_TO_HALF + topic_on_wire.len() + key.len();
        }
        added
    }
}

/// Checks all of a message but its topic, which a batch has in common.
fn check(parts: &Parts<'_>, max_size: usize) -> Result<Traits> {
    check_size("body", parts.body.len(), max_size)?;
    let times = parts.reconsume_times.or(parts.max_reconsume_times);
    if times.is_some() && !parts.topic.starts_with(name::RETRY_PREFIX) {
        let text = "only a message to a retry topic (%RETRY%..) has times of consuming it again";
        return Err(Error::invalid(text));
    }
    let mut traits = Traits::default();
    for (key, value) in parts.user.iter() {
        if name::RESERVED.contains(&key) {
            let text = format!("the property name {key} is reserved by RocketMQ: use another one");
            return Err(Error::invalid(text));
        }
        if key.trim().is_empty() || value.trim().is_empty() {
            let text = format!("the property {key:?} has a blank name or value");
            return Err(Error::invalid(text));
        }
        separators(key, value)?;
        if key == name::LIGHT_QUEUES {
            // One for the name of the property that brokers add.
            traits.light_queues = value.split(',').count() + 2;
        }
    }
    for (key, value) in parts.system.iter() {
        separators(key, value)?;
        match key {
            name::MESSAGE_TYPE => traits.reply = true,
            name::CORRELATION_ID => traits.request = true,
            name::TRANSACTION_PREPARED => traits.half = true,
            _ => {}
        }
    }
    if let Some(key) = parts.unique_key {
        if key.contains(',') {
            return Err(Error::invalid(
                "the unique key has a comma, which separates the keys of a batch",
            ));
        }
        separators(name::UNIQ_KEY, key)?;
    }
    Ok(traits)
}

fn check_size(what: &str, len: usize, most: usize) -> Result<()> {
    if len == 0 {
        return Err(Error::invalid(format!("the message's {what} is empty")));
    }
    if len > most {
        let text = format!("the message's {what} has {len} bytes; max_message_size is {most}");
        return Err(Error::invalid(text));
    }
    Ok(())
}

/// The separators of the properties' text form would corrupt what follows them.
fn separators(key: &str, value: &str) -> Result<()> {
    let bad = |text: &str| text.contains([NAME_END, VALUE_END]);
    if bad(key) || bad(value) {
        let text = format!("the property {key:?} has \\x01 or \\x02 in its name or value");
        return Err(Error::invalid(text));
    }
    Ok(())
}

/// Brokers refuse a message whose properties, with theirs, exceed the store's limit.
fn check_properties(len: usize, added: usize) -> Result<()> {
    let most = MAX_LEN.saturating_sub(added);
    if len > most {
        let text = format!(
            "the message's properties have {len} bytes (names, values and two for each); at most \
             {most} are allowed, since brokers store {MAX_LEN} and add up to {added} of their own"
        );
        return Err(Error::invalid(text));
    }
    Ok(())
}

fn wait(parts: &Parts<'_>) -> &'static str {
    if parts.wait_store { "true" } else { "false" }
}

fn append_properties(
    parts: &Parts<'_>,
    key: &str,
    sharding_key: Option<&str>,
    namespace: Option<&str>,
    text: &mut String,
) {
    let schedule = parts.schedule.and_then(Schedule::property);
    let at = schedule.map_or_else(String::new, |(_, at)| at.to_string());
    let schedule = schedule.map(|(name, _)| (name, at.as_str()));
    let own = [(name::UNIQ_KEY, key), (name::WAIT, wait(parts))].into_iter();
    let sharding = sharding_key.map(|key| (name::SHARDING_KEY, key));
    let instance = namespace.map(|namespace| (name::INSTANCE_ID, namespace));
    let written = own
        .chain(parts.system.iter())
        .chain(schedule)
        .chain(sharding)
        .chain(instance);
    match sharding_key {
        None => properties::append(written.chain(parts.user.iter()), text),
        // A forwarded message can have the key of its first send, and readers keep the last one.
        Some(_) => {
            let user = parts.user.iter();
            let others = user.filter(|(name, _)| *name != name::SHARDING_KEY);
            properties::append(written.chain(others), text);
        }
    }
}

/// The body as it is sent. One that compression would not make smaller goes as it is.
fn compressed(config: &SendConfig, body: &Arc<Vec<u8>>) -> (Arc<Vec<u8>>, i32) {
    if body.len() >= config.compress_over {
        match config.compression.compress(body, config.compress_level) {
            Ok(packed) if packed.len() < body.len() => {
                return (Arc::new(packed), config.compression.sys_flag());
            }
            Ok(_) => {}
            Err(error) => logging::warn!(target: LOG, "a body goes uncompressed: {error}"),
        }
    }
    (body.clone(), 0)
}

#[cfg(test)]
mod tests;
