//! The requests of brokers to a member of a group, as far as their headers tell.

use std::collections::BTreeMap;

use super::observe::QueueState;
use super::topics::Topics;
use crate::message::MessageQueue;
use crate::protocol::code::request;
use crate::protocol::consumer::asked::{
    ConsumeDirectly, OffsetsQuery, PopQueueInfo, ResetOffsets, RunningInfo, RunningInfoQuery,
};
use crate::protocol::consumer::member::GroupName;
use crate::protocol::{Command, ProtocolError};
use crate::transport::epoch_millis;

/// The subject of a broker's request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The members of the group have changed.
    Members,
    /// Queues go on at other offsets, which are in the body.
    Reset,
    /// The offsets of the queues of this topic.
    Offsets {
        topic: String,
    },
    RunningInfo,
    /// The message in the body must be handled now; this broker stores it.
    Consume {
        broker: Option<String>,
    },
}

/// The group (on the wire) and the subject of a request; `None` if it is of another kind.
pub(super) fn read(command: &Command) -> Result<Option<(String, Subject)>, ProtocolError> {
    let ext = &command.ext;
    let read = match command.code {
        request::NOTIFY_CONSUMER_IDS_CHANGED => {
            let name = GroupName::decode(ext)?;
            (name.consumer_group, Subject::Members)
        }
        request::RESET_CONSUMER_CLIENT_OFFSET => {
            let reset = ResetOffsets::decode(ext)?;
            (reset.group, Subject::Reset)
        }
        request::GET_CONSUMER_STATUS_FROM_CLIENT => {
            let query = OffsetsQuery::decode(ext)?;
            let topic = query.topic;
            (query.group, Subject::Offsets { topic })
        }
        request::GET_CONSUMER_RUNNING_INFO => {
            let query = RunningInfoQuery::decode(ext)?;
            (query.consumer_group, Subject::RunningInfo)
        }
        request::CONSUME_MESSAGE_DIRECTLY => {
            let consume = ConsumeDirectly::decode(ext)?;
            let broker = consume.broker_name;
            (consume.consumer_group, Subject::Consume { broker })
        }
        _ => return Ok(None),
    };
    Ok(Some(read))
}

/// What every consumer says of itself; `started` are epoch milliseconds. `properties` are those of its kind:
/// Java's tools print them.
pub(super) fn running_info(
    group: &str,
    topics: &Topics,
    started: i64,
    properties: impl IntoIterator<Item = (&'static str, String)>,
) -> RunningInfo {
    const VERSION: &str = concat!("rocketmq-blocking ", env!("CARGO_PKG_VERSION"));
    let of_all = [
        ("consumerGroup", group.to_owned()),
        ("PROP_CLIENT_VERSION", VERSION.to_owned()),
        // Java's tools fail without it.
        ("PROP_CONSUMER_START_TIMESTAMP", started.to_string()),
    ];
    let owned = |(name, value): (&str, String)| (name.to_owned(), value);
    let topics = topics.iter();
    RunningInfo {
        properties: of_all.into_iter().chain(properties).map(owned).collect(),
        subscription_set: topics
            .map(|(_, topic)| topic.subscription.clone())
            .collect(),
        ..RunningInfo::default()
    }
}

/// What is popped, as Java's tools print it.
pub(super) fn popped<'a>(
    states: impl IntoIterator<Item = &'a QueueState>,
    topics: &Topics,
) -> BTreeMap<MessageQueue, PopQueueInfo> {
    let now = epoch_millis();
    let info = |state: &QueueState| PopQueueInfo {
        droped: false,
        last_pop_timestamp: state
            .last_fetch
            .map_or(0, |ago| now - i64::try_from(ago.as_millis()).unwrap_or(0)),
        wait_ack_count: state.held.try_into().unwrap_or(i32::MAX),
    };
    let states = states.into_iter();
    states
        .map(|state| (topics.on_wire(&state.queue), info(state)))
        .collect()
}
