//! A batch made ready: its messages as one body.

use std::sync::Arc;

use super::{
    PreparedMessage, Start, append_properties, check, check_properties, check_size, topic_names,
    wait,
};
use crate::error::{Error, Result};
use crate::message::{Batch, name};
use crate::protocol::{message, properties};
use crate::send::config::SendConfig;
use crate::send::hooks::Payload;
use crate::transport::epoch_millis;

/// Memory for the properties that every message has, and a few more; also for what a message of a
/// batch has besides its body.
const USUAL_PROPERTIES: usize = 192;

/// Keys of one millisecond differ by a number of 16 bits, which all producers of the client share: the
/// clock is read again after this many of a batch.
const KEYS_OF_A_TIME: usize = 1024;

impl PreparedMessage {
    /// A batch is never compressed; its messages carry their own properties, the header only those
    /// of the whole, the namespace among them.
    ///
    /// Unlike Java 5.4.0, and like 4.9.7, it has no unique key of its own in the header. Brokers
    /// append the header's properties to those of each message, and those from before the fix of
    /// apache/rocketmq#9416 would store all messages of the batch under that one key.
    pub(super) fn batch(
        config: &SendConfig,
        batch: &Batch,
        push_new_key: impl Fn(i64, &mut String),
    ) -> Result<PreparedMessage> {
        let messages = batch.messages();
        let first = messages[0].parts();
        let (topic, topic_on_wire) = topic_names(config, first.topic)?;
        let namespace = config.namespace.as_deref();
        let namespace = namespace.map(|own| (name::INSTANCE_ID, own));
        let own = [(name::WAIT, wait(&first))].into_iter().chain(namespace);
        let header = properties::encode(own);
        let sizes = messages.iter().map(|m| m.body().len() + USUAL_PROPERTIES);
        let mut body = Vec::with_capacity(sizes.sum());
        let mut keys = String::with_capacity(messages.len() * 33);
        let start = Start::now();
        let mut properties = String::with_capacity(USUAL_PROPERTIES);
        let mut made_at = start.epoch_millis;
        for (i, child) in messages.iter().enumerate() {
            if i > 0 && i % KEYS_OF_A_TIME == 0 {
                made_at = epoch_millis();
            }
            let parts = child.parts();
            let traits = check(&parts, config.max_message_size)?;
            if !keys.is_empty() {
                keys.push(',');
            }
            let before = keys.len();
            match parts.unique_key {
                Some(key) => keys.push_str(key),
                None => push_new_key(made_at, &mut keys),
            }
            let key = &keys[before..];
            properties.clear();
            append_properties(&parts, key, None, None, &mut properties);
            // Brokers append the header's properties to those of each message.
            let added = traits.added(&parts, &topic_on_wire, key) + header.len();
            check_properties(properties.len(), added)?;
            message::encode_batch_entry(parts.flag, parts.body, &properties, &mut body)
                .map_err(|e| Error::invalid(e.to_string()))?;
        }
        check_size("batch", body.len(), config.max_message_size)?;
        let hooked = config.hooks.watch_sends();
        Ok(PreparedMessage {
            topic,
            topic_on_wire,
            body: Arc::new(body),
            properties: header,
            sys_flag: 0,
            flag: 0,
            batch: true,
            reconsume_times: 0,
            max_reconsume_times: None,
            reply: false,
            wants_reply: false,
            message_id: keys.into(),
            begun: start,
            payload: hooked.then(|| Box::new(Payload::Batch(batch.clone()))),
        })
    }
}
