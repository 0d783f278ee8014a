//! The sent messages, compared with those that the Java client reads.

use std::collections::{BTreeMap, HashMap};

use rocketmq_blocking::{Batch, Message, SendReceipt, SendStatus};
use serde::{Deserialize, Deserializer, de::Error};

use crate::servers::Version;

/// The bits of a message's sys flag that name its compression. (Bit 0 says that it is compressed,
/// and Java's 5.x client clears it when it inflates the body.)
const COMPRESSION: i32 = 0x700;
const ZLIB: i32 = 0x300;

/// Properties that brokers and the reading client add.
const ADDED: [&str; 5] = [
    "CLUSTER",
    "MSG_REGION",
    "TRACE_ON",
    "MIN_OFFSET",
    "MAX_OFFSET",
];

/// A message as `ReadBack.java` prints it.
#[derive(Deserialize)]
pub struct Stored {
    pub topic: String,
    pub broker: String,
    pub queue_id: i32,
    pub queue_offset: i64,
    pub msg_id: String,
    pub offset_msg_id: String,
    pub tags: Option<String>,
    pub keys: Option<String>,
    pub flag: i32,
    pub sys_flag: i32,
    pub born_timestamp: i64,
    pub store_timestamp: i64,
    #[serde(rename = "body_base64", deserialize_with = "base64")]
    pub body: Vec<u8>,
    pub properties: BTreeMap<String, String>,
}

/// A message that was sent, and all that is known of where it went.
#[derive(Clone)]
pub struct Sent {
    pub message: Message,
    /// None for oneway.
    pub place: Option<Place>,
    /// Properties beyond those of the message.
    pub properties: Vec<(&'static str, String)>,
    pub compressed: bool,
    pub batch: bool,
}

/// A receipt's data of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub broker: String,
    pub queue_id: i32,
    pub queue_offset: i64,
    pub message_id: String,
    pub offset_message_id: String,
}

impl Sent {
    pub fn oneway(message: Message) -> Sent {
        Sent {
            message,
            place: None,
            properties: Vec::new(),
            compressed: false,
            batch: false,
        }
    }

    pub fn stored(message: Message, receipt: &SendReceipt) -> Sent {
        let place = Some(Place::of(receipt));
        Sent {
            place,
            ..Sent::oneway(message)
        }
    }

    /// A batch has one receipt: ids joined by commas, and the offset of the first message.
    pub fn batch(batch: &Batch, receipt: &SendReceipt) -> Vec<Sent> {
        let whole = Place::of(receipt);
        let ids: Vec<_> = whole.message_id.split(',').collect();
        let offset_ids: Vec<_> = whole.offset_message_id.split(',').collect();
        assert_eq!(ids.len(), batch.messages().len(), "{receipt:?}");
        assert_eq!(offset_ids.len(), batch.messages().len(), "{receipt:?}");
        let each = batch.messages().iter().enumerate();
        each.map(|(i, message)| Sent {
            place: Some(Place {
                queue_offset: whole.queue_offset + i as i64,
                message_id: ids[i].to_owned(),
                offset_message_id: offset_ids[i].to_owned(),
                ..whole.clone()
            }),
            batch: true,
            ..Sent::oneway(message.clone())
        })
        .collect()
    }

    pub fn compressed(self, compressed: bool) -> Sent {
        Sent { compressed, ..self }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Sent {
        self.properties.push((name, value.to_owned()));
        self
    }
}

impl Place {
    pub fn of(receipt: &SendReceipt) -> Place {
        assert_eq!(receipt.status(), SendStatus::Ok, "{receipt:?}");
        Place::whatever_its_status(receipt)
    }

    pub fn whatever_its_status(receipt: &SendReceipt) -> Place {
        Place {
            broker: receipt.queue().broker().to_owned(),
            queue_id: receipt.queue().id(),
            queue_offset: receipt.queue_offset(),
            message_id: receipt.message_id().to_owned(),
            offset_message_id: receipt.offset_message_id().to_owned(),
        }
    }
}

impl Stored {
    pub fn place(&self) -> Place {
        Place {
            broker: self.broker.clone(),
            queue_id: self.queue_id,
            queue_offset: self.queue_offset,
            message_id: self.msg_id.clone(),
            offset_message_id: self.offset_msg_id.clone(),
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Every message sent is stored, once, as it was sent. Bodies must differ from each other.
#[track_caller]
pub fn check(version: Version, sent: &[Sent], stored: &[Stored]) {
    let mut by_body: HashMap<&[u8], &Stored> = HashMap::new();
    for stored in stored {
        let twice = by_body.insert(&stored.body, stored).is_some();
        assert!(!twice, "stored twice: {}", head(&stored.body));
    }
    for sent in sent {
        let name = head(sent.message.body());
        let found = by_body.remove(sent.message.body());
        check_one(version, &name, sent, found.expect(&name));
    }
    let more: Vec<String> = by_body.keys().map(|body| head(body)).collect();
    assert!(more.is_empty(), "stored, but not sent: {more:?}");
}

#[track_caller]
fn check_one(version: Version, name: &str, sent: &Sent, stored: &Stored) {
    let message = &sent.message;
    assert_eq!(stored.topic, message.topic(), "{name}");
    assert_eq!(stored.tags.as_deref(), message.get_tag(), "{name}");
    let keys: Vec<&str> = message.keys().collect();
    let keys = (!keys.is_empty()).then(|| keys.join(" "));
    assert_eq!(stored.keys, keys, "{name}");
    assert_eq!(stored.flag, message.get_flag(), "{name}");
    let compression = if sent.compressed { ZLIB } else { 0 };
    assert_eq!(stored.sys_flag & COMPRESSION, compression, "{name}");
    match &sent.place {
        Some(place) => assert_eq!(&stored.place(), place, "{name}"),
        None => assert!((0..4).contains(&stored.queue_id), "{name}"),
    }

    let mut left = stored.properties.clone();
    let mut take = |key: &str| left.remove(key);
    assert_eq!(take("TAGS"), stored.tags, "{name}");
    assert_eq!(take("KEYS"), stored.keys, "{name}");
    assert_eq!(take("UNIQ_KEY").as_ref(), Some(&stored.msg_id), "{name}");
    // 4.9 removes the property from stored messages, except those of a batch.
    let wait = match (version, sent.batch) {
        (Version::V4, false) => None,
        _ => Some(message.get_wait_store().to_string()),
    };
    assert_eq!(take("WAIT"), wait, "{name}");
    for (key, value) in message.user_properties().iter() {
        assert_eq!(take(key).as_deref(), Some(value), "{name}: {key:?}");
    }
    for (key, value) in &sent.properties {
        assert_eq!(take(key).as_ref(), Some(value), "{name}: {key}");
    }
    left.retain(|key, _| !ADDED.contains(&key.as_str()));
    assert!(left.is_empty(), "{name}: unexpected properties {left:?}");
}

fn head(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(60)]);
    format!("{text:?} ({} bytes)", body.len())
}

fn base64<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<u8>, D::Error> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = String::deserialize(input)?;
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut bits = 0u32;
        for c in four {
            let digit = ALPHABET.iter().position(|a| a == c);
            bits = bits << 6 | digit.ok_or_else(|| D::Error::custom("not base64"))? as u32;
        }
        bits <<= 6 * (4 - four.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    Ok(out)
}
