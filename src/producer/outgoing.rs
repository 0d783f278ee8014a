use std::sync::Arc;

use super::LOG;
use super::attempt::Start;
use super::config::ProducerConfig;
use super::hook::Payload;
use super::validate;
use crate::client::epoch_millis;
use crate::error::{Error, Result};
use crate::logging;
use crate::message::{Batch, Message, name};
use crate::protocol::properties::MAX_LEN;
use crate::protocol::{message, properties, sys_flag};
use crate::transport::{Account, Deadline, Permit};

/// Room for the properties that every message has, and a few more; also for what a message of a
/// batch has besides its body.
const USUAL_PROPERTIES: usize = 192;

/// Keys of one millisecond differ by a number of 16 bits, which all producers of the client share: the
/// clock is looked at again for so many of a batch.
const KEYS_OF_A_TIME: usize = 1024;

/// What is the same in every attempt of a send: checked, keyed, compressed and encoded once.
pub(super) struct Outgoing {
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
    /// An answer to a request, which has request codes of its own.
    pub(super) reply: bool,
    /// The broker must know who we are before it gets this: it will have something to push.
    pub(super) wants_reply: bool,
    /// The id that the receipt names: the unique key, or those of a batch's messages.
    pub(super) message_id: Box<str>,
    /// When it was made ready, then when its current attempt began.
    pub(super) begun: Start,
    /// What hooks are shown; only kept where there are some.
    pub(super) payload: Option<Box<Payload>>,
}

impl Outgoing {
    /// `buffer` is one that served before.
    pub(super) fn message(
        config: &ProducerConfig,
        message: &Message,
        sharding_key: Option<&str>,
        new_key: impl FnOnce(i64) -> String,
        start: Start,
        buffer: String,
    ) -> Result<Outgoing> {
        validate::message(message, config.max_message_size)?;
        validate::sharding_key(sharding_key.unwrap_or_default())?;
        let watched = config.hooks.watch_sends();
        let system = message.system_properties();
        let reply = system.get(name::MESSAGE_TYPE).is_some();
        let (topic, topic_on_wire) = match reply {
            // Replies have a topic of the broker's own.
            true => (
                message.shared_topic().clone(),
                message.shared_topic().clone(),
            ),
            false => config.topics(message.shared_topic())?,
        };
        let key = given_key(message).map(str::to_owned);
        let key = key.unwrap_or_else(|| new_key(start.epoch_millis));
        let namespace = config.names.namespace();
        let mut properties = buffer;
        properties.clear();
        append_properties(message, &key, sharding_key, namespace, &mut properties)?;
        let (body, compression) = compressed(config, message);
        let half = system.get(name::TRANSACTION_PREPARED);
        let transaction = half.map_or(0, |_| sys_flag::TRANSACTION_PREPARED);
        Ok(Outgoing {
            reply,
            wants_reply: !reply && system.get(name::CORRELATION_ID).is_some(),
            topic,
            topic_on_wire,
            body,
            properties,
            sys_flag: compression | transaction,
            flag: message.get_flag(),
            batch: false,
            reconsume_times: message.get_reconsume_times().map_or(0, times),
            max_reconsume_times: message.get_max_reconsume_times().map(times),
            message_id: key.into(),
            begun: start,
            payload: watched.then(|| Box::new(Payload::Message(message.clone()))),
        })
    }

    /// A batch is never compressed; its messages carry their own properties, the header only those
    /// of the whole, the namespace among them.
    ///
    /// Unlike Java 5.4.0, and like 4.9.7, it has no unique key of its own in the header. Brokers
    /// append the header's properties to those of each message, and those from before the fix of
    /// apache/rocketmq#9416 would store all messages of the batch under that one key.
    pub(super) fn batch(
        config: &ProducerConfig,
        batch: &Batch,
        push_new_key: impl Fn(i64, &mut String),
    ) -> Result<Outgoing> {
        validate::topic(batch.topic())?;
        // With room for what a message usually carries besides its body.
        let sizes = batch.messages().iter().map(|child| child.body().len());
        let bodies = sizes.map(|len| len + USUAL_PROPERTIES);
        let mut body = Vec::with_capacity(bodies.sum());
        let mut keys = String::with_capacity(batch.messages().len() * 33);
        let watched = config.hooks.watch_sends();
        let start = Start::now();
        let mut properties = String::with_capacity(USUAL_PROPERTIES);
        let mut made_at = start.epoch_millis;
        for (i, child) in batch.messages().iter().enumerate() {
            if i > 0 && i % KEYS_OF_A_TIME == 0 {
                made_at = epoch_millis();
            }
            validate::contents(child, config.max_message_size)?;
            if !keys.is_empty() {
                keys.push(',');
            }
            let before = keys.len();
            match given_key(child) {
                Some(key) => keys.push_str(key),
                None => push_new_key(made_at, &mut keys),
            }
            properties.clear();
            append_properties(child, &keys[before..], None, None, &mut properties)?;
            message::encode_batch_entry(child.get_flag(), child.body(), &properties, &mut body)
                .map_err(|e| Error::invalid(e.to_string()))?;
        }
        validate::size("batch", body.len(), config.max_message_size)?;
        let first = &batch.messages()[0];
        let namespace = config
            .names
            .namespace()
            .map(|namespace| (name::INSTANCE_ID, namespace));
        let own = [(name::WAIT, wait(first))].into_iter().chain(namespace);
        let properties = properties::encode(own);
        let (topic, topic_on_wire) = config.topics(first.shared_topic())?;
        Ok(Outgoing {
            topic,
            topic_on_wire,
            body: Arc::new(body),
            properties,
            sys_flag: 0,
            flag: 0,
            batch: true,
            reconsume_times: 0,
            max_reconsume_times: None,
            reply: false,
            wants_reply: false,
            message_id: keys.into(),
            begun: start,
            payload: watched.then(|| Box::new(Payload::Batch(batch.clone()))),
        })
    }
}

impl Outgoing {
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

    /// Takes room in flight for it, and for so many messages (0 or 1).
    ///
    /// # Errors
    /// Those of [`Account::acquire`].
    pub(super) fn take_room(
        &mut self,
        account: &Arc<Account>,
        messages: usize,
        deadline: Deadline,
    ) -> Result<Permit> {
        let permit = account.acquire(messages, self.body.len(), deadline);
        let permit = permit.map_err(|error| error.with_unique_key(&self.message_id))?;
        if permit.waited() {
            // That was not the broker's doing.
            self.begun = Start::now();
        }
        Ok(permit)
    }
}

/// Brokers count with 31 bits.
fn times(times: u32) -> i32 {
    i32::try_from(times).unwrap_or(i32::MAX)
}

fn given_key(message: &Message) -> Option<&str> {
    message.get_unique_key().filter(|key| !key.is_empty())
}

fn wait(message: &Message) -> &'static str {
    if message.get_wait_store() {
        "true"
    } else {
        "false"
    }
}

fn append_properties(
    message: &Message,
    key: &str,
    sharding_key: Option<&str>,
    namespace: Option<&str>,
    text: &mut String,
) -> Result<()> {
    let schedule = message
        .get_schedule()
        .property()
        .map(|(name, value)| (name, value.to_string()));
    let own = [(name::UNIQ_KEY, key), (name::WAIT, wait(message))].into_iter();
    let sharding = sharding_key.map(|key| (name::SHARDING_KEY, key));
    let instance = namespace.map(|namespace| (name::INSTANCE_ID, namespace));
    let schedule = schedule
        .as_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let all = own
        .chain(message.system_properties().iter())
        .chain(schedule)
        .chain(sharding)
        .chain(instance)
        .chain(message.user_properties().iter());
    properties::append(all, text);
    if text.len() > MAX_LEN {
        let text = format!(
            "the properties have {} bytes; at most {MAX_LEN} fit",
            text.len()
        );
        return Err(Error::invalid(text));
    }
    Ok(())
}

/// The body as it is sent. One that compression would not make smaller goes as it is.
fn compressed(config: &ProducerConfig, message: &Message) -> (Arc<Vec<u8>>, i32) {
    let body = message.shared_body();
    if body.len() >= config.compress_over {
        match config.compression.compress(body, config.compress_level) {
            Ok(packed) if packed.len() < body.len() => {
                return (Arc::new(packed), config.compression.sys_flag());
            }
            Ok(_) => {}
            Err(error) => {
                logging::warn!(target: LOG, "a body goes uncompressed: {error}")
            }
        }
    }
    (body.clone(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_brokers_no_key_that_could_replace_those_of_its_messages() {
        let message = || Message::new("T", "x").wait_store(false).tag("a");
        let batch = Batch::new([message(), message()]).unwrap();
        let config = ProducerConfig::new("g".to_owned());
        let out = Outgoing::batch(&config, &batch, |_, keys| keys.push_str("key")).unwrap();
        let header: Vec<_> = properties::decode(&out.properties)
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(header, ["WAIT=false"]);
        assert_eq!(&*out.message_id, "key,key");
    }
}
