//! The requests of brokers to a member of a group, as far as their headers tell.

use crate::protocol::code::request;
use crate::protocol::consumer::asked::{
    ConsumeDirectly, OffsetsQuery, ResetOffsets, RunningInfoQuery,
};
use crate::protocol::consumer::member::GroupName;
use crate::protocol::{Command, ProtocolError};

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
