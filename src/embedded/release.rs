//! The release of RocketMQ that the servers imitate.

use crate::protocol::code::request;

/// The release of RocketMQ that the brokers of a [`Cluster`](super::Cluster) imitate towards consumers; see
/// [`ClusterBuilder::release`](super::ClusterBuilder::release).
///
/// | | 5.4.0 | 4.9.7 |
/// |---|---|---|
/// | `LITE_PULL_MESSAGE`, `QUERY_ASSIGNMENT`, `SET_MESSAGE_REQUEST_MODE`, POP, `RECALL_MESSAGE`, `QUERY_TOPICS_BY_CONSUMER` | served | code 3 |
/// | a pull of a queue that does not exist | code 29 | code 1 |
/// | `setZeroIfNotFound`, `boundaryType` | obeyed | ignored |
/// | no committed offset, and the queue is empty | code 22 | offset 0 |
/// | a commit for an unknown group or topic | code 26 or 17 | stored |
/// | an offset is reset by an administrator | the next pull gets code 21 | members are notified (220) |
/// | a send to `%RETRY%` goes to the dead letters | above the limit, or while the group holds a lock | at the limit |
/// | fields of answers to pulls and heartbeats | those of 5.4.0 | those of 4.9.7 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Release {
    /// RocketMQ 4.9.7.
    V4_9_7,
    /// RocketMQ 5.4.0.
    #[default]
    V5_4_0,
}

impl Release {
    /// The server's version in answers (Java's `MQVersion` ordinal).
    pub(super) fn version(self) -> i32 {
        match self {
            Release::V4_9_7 => 407,
            Release::V5_4_0 => 493,
        }
    }

    pub(super) fn is_5(self) -> bool {
        self == Release::V5_4_0
    }

    /// Whether brokers of this release know the request.
    pub(super) fn knows(self, code: i32) -> bool {
        let since_5 = matches!(
            code,
            request::LITE_PULL_MESSAGE
                | request::QUERY_ASSIGNMENT
                | request::SET_MESSAGE_REQUEST_MODE
                | request::RECALL_MESSAGE
                | request::POP_MESSAGE
                | request::ACK_MESSAGE
                | request::BATCH_ACK_MESSAGE
                | request::CHANGE_MESSAGE_INVISIBLETIME
                | request::NOTIFICATION
                | request::POLLING_INFO
                | request::QUERY_TOPICS_BY_CONSUMER
        );
        self.is_5() || !since_5
    }
}
