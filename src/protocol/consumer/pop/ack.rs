use serde::{Deserialize, Serialize};

use super::handle::Handle;
use super::mark::Mark;
use crate::protocol::base64::Alphabet;
use crate::protocol::fastjson::{self, objects};
use crate::protocol::{ExtFields, FieldSink, Fields, ProtocolError};

/// Acknowledges a message (200051). An answer `SUCCESS` does not mean that it was in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The consumer group.
    pub consumer_group: String,
    /// The topic in which the message is stored ([`Mark::real_topic`]).
    pub topic: String,
    /// The message's handle.
    pub handle: Handle,
}

impl Ack {
    /// The acknowledgement of a message that was popped from this topic.
    pub fn of(handle: Handle, topic: &str, group: &str) -> Ack {
        Ack {
            consumer_group: group.to_owned(),
            topic: handle.mark.real_topic(topic, group),
            handle,
        }
    }

    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<Ack, ProtocolError> {
        Ok(Ack {
            consumer_group: ext.must("consumerGroup")?,
            topic: ext.must("topic")?,
            handle: ext.must_text("extraInfo")?.parse()?,
        })
    }
}

impl Fields for Ack {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text("consumerGroup", &self.consumer_group);
        sink.text("topic", &self.topic);
        sink.number("queueId", self.handle.queue_id.into());
        sink.display("extraInfo", &self.handle);
        sink.number("offset", self.handle.queue_offset);
        sink.text("bname", &self.handle.broker);
    }
}

/// Changes when a message comes again (200053).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeInvisible {
    /// The fields of an acknowledgement.
    pub ack: Ack,
    /// The new invisible time, from now on, in milliseconds.
    pub invisible_time: i64,
}

impl ChangeInvisible {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<ChangeInvisible, ProtocolError> {
        Ok(ChangeInvisible {
            ack: Ack::decode(ext)?,
            invisible_time: ext.must("invisibleTime")?,
        })
    }
}

impl Fields for ChangeInvisible {
    fn visit(&self, sink: &mut dyn FieldSink) {
        self.ack.visit(sink);
        sink.number("invisibleTime", self.invisible_time);
    }
}

/// The answer to [`ChangeInvisible`]. All zero: the message was acknowledged already, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeAnswer {
    /// When the broker noted it, by its clock, epoch milliseconds.
    pub pop_time: i64,
    /// How long the message is hidden, in milliseconds.
    pub invisible_time: i64,
    /// The queue of the broker's own log that remembers it now.
    pub revive_queue: i32,
}

impl ChangeAnswer {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<ChangeAnswer, ProtocolError> {
        Ok(ChangeAnswer {
            pop_time: ext.must("popTime")?,
            invisible_time: ext.must("invisibleTime")?,
            revive_queue: ext.must("reviveQid")?,
        })
    }

    /// The message's handle from now on; the old one is void. `None` if it was acknowledged already.
    pub fn handle(&self, old: &Handle) -> Option<Handle> {
        (self.pop_time != 0).then(|| Handle {
            start_offset: old.queue_offset,
            pop_time: self.pop_time,
            invisible_time: self.invisible_time,
            revive_queue: self.revive_queue,
            ..old.clone()
        })
    }
}

impl Fields for ChangeAnswer {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.number("popTime", self.pop_time);
        sink.number("invisibleTime", self.invisible_time);
        sink.number("reviveQid", self.revive_queue.into());
    }
}

/// Acknowledges several messages of one broker (200151, brokers from 5.1.3 on). The answer has no
/// result per message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchAck {
    /// One entry for each queue of each pop.
    #[serde(default, deserialize_with = "objects")]
    pub acks: Vec<AckBatch>,
    /// The broker's name.
    pub broker_name: String,
}

/// The messages of one queue of one pop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckBatch {
    /// One bit per offset from the start on, set if acknowledged; in base64.
    #[serde(rename = "b", alias = "bitSet")]
    bits: String,
    /// The consumer group.
    #[serde(rename = "c", alias = "consumerGroup")]
    pub consumer_group: String,
    /// See [`Handle::invisible_time`].
    #[serde(rename = "it", alias = "invisibleTime")]
    pub invisible_time: i64,
    /// See [`Handle::pop_time`].
    #[serde(rename = "pt", alias = "popTime")]
    pub pop_time: i64,
    /// The queue's number.
    #[serde(rename = "q", alias = "queueId")]
    pub queue_id: i32,
    /// The text of a [`Mark`].
    #[serde(rename = "r", alias = "retry")]
    mark: String,
    /// See [`Handle::revive_queue`].
    #[serde(rename = "rq", alias = "reviveQueueId")]
    pub revive_queue: i32,
    /// See [`Handle::start_offset`].
    #[serde(rename = "so", alias = "startOffset")]
    pub start_offset: i64,
    /// The topic that was popped, not its retry topic.
    #[serde(rename = "t", alias = "topic")]
    pub topic: String,
}

/// A pop returns at most 32 messages, but they may be spread over many filtered ones.
const WIDEST: i64 = 1 << 16;

impl BatchAck {
    /// Builds it from handles of one broker. Returns the handles that do not fit: their offset is too far
    /// from their pop's start.
    pub fn of<'a>(
        broker: &str,
        topic: &str,
        group: &str,
        handles: &'a [Handle],
    ) -> (BatchAck, Vec<&'a Handle>) {
        let mut batches: Vec<(AckBatch, Vec<u8>)> = Vec::new();
        let mut left = Vec::new();
        for handle in handles {
            let distance = handle.queue_offset.checked_sub(handle.start_offset);
            let Some(bit) = distance
                .filter(|distance| (0..WIDEST).contains(distance))
                .and_then(|distance| usize::try_from(distance).ok())
            else {
                left.push(handle);
                continue;
            };
            let batch = AckBatch {
                bits: String::new(),
                consumer_group: group.to_owned(),
                invisible_time: handle.invisible_time,
                pop_time: handle.pop_time,
                queue_id: handle.queue_id,
                mark: handle.mark.to_string(),
                revive_queue: handle.revive_queue,
                start_offset: handle.start_offset,
                topic: topic.to_owned(),
            };
            let at = batches.iter().position(|(known, _)| *known == batch);
            let at = at.unwrap_or_else(|| {
                batches.push((batch, Vec::new()));
                batches.len() - 1
            });
            let bits = &mut batches[at].1;
            bits.resize(bits.len().max(bit / 8 + 1), 0);
            bits[bit / 8] |= 1 << (bit % 8);
        }
        let acks = batches.into_iter().map(|(batch, bits)| AckBatch {
            bits: Alphabet::Standard.encode(&bits),
            ..batch
        });
        let ack = BatchAck {
            acks: acks.collect(),
            broker_name: broker.to_owned(),
        };
        (ack, left)
    }

    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        fastjson::encode(self)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is not valid.
    pub fn decode(body: &[u8]) -> Result<BatchAck, ProtocolError> {
        let ack: BatchAck = fastjson::decode("batch of acknowledgements", body)?;
        ack.acks.iter().try_for_each(|batch| batch.check())?;
        Ok(ack)
    }
}

impl AckBatch {
    /// The topic from which the messages came.
    pub fn mark(&self) -> Mark {
        Mark::parse(&self.mark).unwrap_or(Mark::Normal)
    }

    /// The acknowledged offsets.
    pub fn offsets(&self) -> impl Iterator<Item = i64> {
        let bytes = Alphabet::Standard.decode(&self.bits).unwrap_or_default();
        let start = self.start_offset;
        (0..bytes.len() * 8)
            .filter(move |bit| bytes[bit / 8] & (1 << (bit % 8)) != 0)
            .map(move |bit| start.saturating_add(bit as i64))
    }

    fn check(&self) -> Result<(), ProtocolError> {
        Mark::parse(&self.mark)?;
        match Alphabet::Standard.decode(&self.bits) {
            Some(_) => Ok(()),
            None => Err(ProtocolError::new("the offsets are not base64")),
        }
    }
}
