//! Delayed messages: stored in a topic of the broker's own, and in their topic when they are due.

use std::sync::Arc;

use super::delays::{Delay, Held};
use crate::embedded::broker::state::BrokerState;
use crate::embedded::broker::text::{append_property, remove_property};
use crate::embedded::store::{Appended, Draft, Parts};
use crate::message::name;

/// Stores a message in the broker's own topic, and in its queue as soon as it is due.
pub(in crate::embedded) fn hold_back(
    broker: &BrokerState,
    message: &Parts<'_>,
    unique_key: &str,
    delay: &Delay,
) -> Appended {
    let mut properties = message.properties.to_owned();
    append_property("REAL_TOPIC", message.topic, &mut properties);
    append_property("REAL_QID", &message.queue_id.to_string(), &mut properties);
    let message = Parts {
        properties: &properties,
        ..message.clone()
    };
    let waiting = Parts {
        topic: &Arc::from(delay.topic()),
        queue_id: delay.queue_id(),
        ..message.clone()
    };
    let wanted = broker.store.wants_messages();
    let draft = Draft::new(&waiting, wanted);
    let appended = broker
        .store
        .append(broker.index, waiting.topic, waiting.queue_id, vec![draft]);
    // Like a real broker, which removes the level: a copy must not be delayed again.
    let mut properties = properties.clone();
    remove_property(name::DELAY, &mut properties);
    let due = Parts {
        properties: &properties,
        ..message.clone()
    };
    let held = Held {
        broker: broker.index,
        topic: Arc::clone(message.topic),
        queue_id: message.queue_id,
        unique_key: unique_key.to_owned(),
        draft: Draft::new(&due, wanted),
    };
    broker.delays.hold(delay.due(), held);
    appended
}
