use std::sync::Arc;

use super::config::ProducerConfig;
use super::validate;
use crate::client::epoch_millis;
use crate::error::{Error, Result};
use crate::message::{Batch, Message, name};
use crate::protocol::properties::MAX_LEN;
use crate::protocol::{compress, message, properties, sys_flag};

/// What is the same in every attempt of a send: checked, keyed, compressed and encoded once.
pub(super) struct Outgoing {
    pub(super) topic: Arc<str>,
    pub(super) body: Arc<Vec<u8>>,
    /// The properties in their text form.
    pub(super) properties: String,
    pub(super) sys_flag: i32,
    pub(super) flag: i32,
    pub(super) batch: bool,
    /// An answer to a request, which has request codes of its own.
    pub(super) reply: bool,
    /// The broker must know who we are before it gets this: it will have something to push.
    pub(super) wants_reply: bool,
    /// The id that the receipt names: the unique key, or those of a batch's messages.
    pub(super) message_id: String,
}

impl Outgoing {
    pub(super) fn message(
        config: &ProducerConfig,
        message: &Message,
        sharding_key: Option<&str>,
        new_key: impl Fn(i64) -> String,
    ) -> Result<Outgoing> {
        validate::message(message, config.max_message_size)?;
        let key = unique_key(message, &new_key);
        let properties = encode_properties(message, &key, sharding_key)?;
        let (body, compression) = compressed(config, message);
        let system = message.system_properties();
        let half = system.get(name::TRANSACTION_PREPARED);
        let transaction = half.map_or(0, |_| sys_flag::TRANSACTION_PREPARED);
        let reply = system.get(name::MESSAGE_TYPE).is_some();
        Ok(Outgoing {
            reply,
            wants_reply: !reply && system.get(name::CORRELATION_ID).is_some(),
            topic: message.shared_topic().clone(),
            body,
            properties,
            sys_flag: compression | transaction,
            flag: message.get_flag(),
            batch: false,
            message_id: key,
        })
    }

    /// A batch is never compressed; its messages carry their own properties, the header only the
    /// batch's key.
    pub(super) fn batch(
        config: &ProducerConfig,
        batch: &Batch,
        new_key: impl Fn(i64) -> String,
    ) -> Result<Outgoing> {
        let mut body = Vec::new();
        let mut keys = String::new();
        for child in batch.messages() {
            validate::message(child, config.max_message_size)?;
            let key = unique_key(child, &new_key);
            let properties = encode_properties(child, &key, None)?;
            message::encode_batch_entry(child.get_flag(), child.body(), &properties, &mut body)
                .map_err(|e| Error::invalid(e.to_string()))?;
            if !keys.is_empty() {
                keys.push(',');
            }
            keys.push_str(&key);
        }
        validate::size("batch", body.len(), config.max_message_size)?;
        let first = &batch.messages()[0];
        let own =
            Message::new(first.shared_topic().clone(), "").wait_store(first.waits_for_store());
        let properties = encode_properties(&own, &new_key(epoch_millis()), None)?;
        Ok(Outgoing {
            topic: first.shared_topic().clone(),
            body: Arc::new(body),
            properties,
            sys_flag: 0,
            flag: 0,
            batch: true,
            reply: false,
            wants_reply: false,
            message_id: keys,
        })
    }
}

fn unique_key(message: &Message, new_key: &impl Fn(i64) -> String) -> String {
    match message.get_unique_key() {
        Some(key) if !key.is_empty() => key.to_owned(),
        _ => new_key(epoch_millis()),
    }
}

fn encode_properties(message: &Message, key: &str, sharding_key: Option<&str>) -> Result<String> {
    let schedule = message
        .get_schedule()
        .property()
        .map(|(name, value)| (name, value.to_string()));
    let wait = if message.waits_for_store() {
        "true"
    } else {
        "false"
    };
    let own = [(name::UNIQ_KEY, key), (name::WAIT, wait)].into_iter();
    let sharding = sharding_key.map(|key| (name::SHARDING_KEY, key));
    let schedule = schedule
        .as_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let all = own
        .chain(message.system_properties().iter())
        .chain(schedule)
        .chain(sharding)
        .chain(message.user_properties().iter());
    let text = properties::encode(all);
    if text.len() > MAX_LEN {
        let text = format!(
            "the properties have {} bytes; at most {MAX_LEN} fit",
            text.len()
        );
        return Err(Error::invalid(text));
    }
    Ok(text)
}

/// The body as it is sent. One that compression would not make smaller goes as it is.
fn compressed(config: &ProducerConfig, message: &Message) -> (Arc<Vec<u8>>, i32) {
    let body = message.shared_body();
    if body.len() >= config.compress_over {
        let packed = compress::zlib(body, config.compress_level);
        if packed.len() < body.len() {
            let flags = sys_flag::COMPRESSED | sys_flag::COMPRESSION_ZLIB;
            return (Arc::new(packed), flags);
        }
    }
    (body.clone(), 0)
}
