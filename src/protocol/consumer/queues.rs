//! Queues as bodies carry them: `{"brokerName":"a","queueId":0,"topic":"T"}`, also as keys of maps.

use std::collections::BTreeMap;

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::message::MessageQueue;
use crate::protocol::fastjson::{self, Object};

/// A queue on the wire; fields in fastjson's order.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Queue<S> {
    broker_name: S,
    queue_id: i32,
    topic: S,
}

impl<'a> From<&'a MessageQueue> for Queue<&'a str> {
    fn from(queue: &'a MessageQueue) -> Queue<&'a str> {
        Queue {
            broker_name: queue.broker(),
            queue_id: queue.id(),
            topic: queue.topic(),
        }
    }
}

impl From<Queue<String>> for MessageQueue {
    fn from(queue: Queue<String>) -> MessageQueue {
        MessageQueue::new(queue.topic, queue.broker_name, queue.queue_id)
    }
}

/// One queue, as the value of a field.
pub(super) mod one {
    use serde::{Deserializer, Serializer};

    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        queue: &MessageQueue,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Queue::from(queue).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<MessageQueue, D::Error> {
        let Object(queue) = Object::<Queue<String>>::deserialize(deserializer)?;
        Ok(queue.into())
    }
}

/// A set of queues; null is an empty one.
pub(super) mod set {
    use serde::{Deserializer, Serializer};

    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        queues: &[MessageQueue],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(queues.iter().map(Queue::from))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<MessageQueue>, D::Error> {
        let queues: Vec<Queue<String>> = fastjson::objects(deserializer)?;
        Ok(queues.into_iter().map(MessageQueue::from).collect())
    }
}

/// The JSON of a map with queues as keys.
pub(super) fn map_part<V: Serialize>(map: &BTreeMap<MessageQueue, V>) -> String {
    fastjson::map(map.iter().map(|(queue, value)| (Queue::from(queue), value)))
}

/// A map with queues as keys, from [standard](fastjson::standard) JSON; null is an empty one.
pub(super) fn map<'de, D, V>(deserializer: D) -> Result<BTreeMap<MessageQueue, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    let map: BTreeMap<String, V> = fastjson::few(deserializer)?;
    let queue = |(key, value): (String, V)| {
        let Object(queue): Object<Queue<String>> =
            serde_json::from_str(&key).map_err(D::Error::custom)?;
        Ok((queue.into(), value))
    };
    map.into_iter().map(queue).collect()
}
