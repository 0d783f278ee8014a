//! What is known of a consumer group.

use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use crate::message::MessageQueue;

/// The members of a consumer group and their subscriptions; see [`GroupAdmin::members`](super::GroupAdmin::members).
/// Its `Display` has a line for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "ConsumerConnection")]
pub struct GroupMembers {
    /// The members, sorted by client id, each once.
    pub members: Vec<GroupMember>,
    /// The subscriptions, sorted by topic. All members share them: brokers keep one per topic.
    pub subscriptions: Vec<GroupSubscription>,
    /// Whether each member gets all messages. False without members.
    pub broadcasting: bool,
}

/// A member of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupMember {
    /// The id of its client.
    pub client_id: String,
    /// Its address, as a broker sees it.
    pub address: Option<SocketAddr>,
    /// The language of its client, by Java's names: `JAVA`, `RUST`, .. Empty if the broker does not know it.
    pub language: String,
    /// The version of the protocol that its client states, by Java's numbers (`MQVersion`).
    pub version: i32,
}

/// The subscription of a topic by a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "SubscriptionData")]
pub struct GroupSubscription {
    /// The topic.
    pub topic: String,
    /// `TAG` or `SQL92`.
    pub expression_type: String,
    /// The expression; `*` are all messages.
    pub expression: String,
}

impl fmt::Display for GroupMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} members", self.members.len())?;
        if self.broadcasting {
            f.write_str(", broadcasting")?;
        }
        for member in &self.members {
            write!(f, "\n  {}", member.client_id)?;
            if let Some(address) = member.address {
                write!(f, " at {address}")?;
            }
            if !member.language.is_empty() {
                write!(f, " ({} {})", member.language, member.version)?;
            }
        }
        for subscription in &self.subscriptions {
            let GroupSubscription {
                topic, expression, ..
            } = subscription;
            let kind = &subscription.expression_type;
            write!(f, "\n  {topic}: {kind} {expression}")?;
        }
        Ok(())
    }
}

/// How far a consumer group is in a topic; see [`GroupAdmin::progress`](super::GroupAdmin::progress). Its
/// `Display` has a line for each queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "ConsumeStats")]
pub struct GroupProgress {
    /// The topic.
    pub topic: String,
    /// Its readable queues, sorted.
    pub queues: Vec<QueueProgress>,
}

/// How far a consumer group is in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "OffsetWrapper")]
pub struct QueueProgress {
    /// The queue.
    pub queue: MessageQueue,
    /// The committed offset: that of the first message that the group has not consumed. `None` if it has none.
    pub committed: Option<i64>,
    /// The offset of the oldest message that the broker still has.
    pub begin: i64,
    /// The end of the queue: the offset that its next message will have.
    pub end: i64,
}

impl GroupProgress {
    /// The messages that the group has not consumed, in all queues.
    #[doc(alias = "computeTotalDiff")]
    pub fn lag(&self) -> u64 {
        self.queues.iter().map(QueueProgress::lag).sum()
    }
}

impl QueueProgress {
    /// The messages that the group has not consumed: those behind the committed offset. Without one, all
    /// messages that the broker has.
    pub fn lag(&self) -> u64 {
        let from = self.committed.unwrap_or(self.begin);
        self.end.saturating_sub(from).try_into().unwrap_or(0)
    }
}

impl fmt::Display for GroupProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages behind in {}", self.lag(), self.topic)?;
        self.queues
            .iter()
            .try_for_each(|queue| write!(f, "\n  {queue}"))
    }
}

impl fmt::Display for QueueProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queue, end, lag) = (&self.queue, self.end, self.lag());
        match self.committed {
            Some(committed) => write!(f, "{queue}: committed {committed} of {end}, lag {lag}"),
            None => write!(f, "{queue}: nothing committed of {end}, lag {lag}"),
        }
    }
}

/// Where a consumer group goes on after a [reset](super::GroupAdmin::reset).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetTo {
    /// At the oldest message that the broker of the queue has.
    Start,
    /// Behind the last message.
    End,
    /// At the first message that was stored at this time or later, to the millisecond. Brokers 4.x take the
    /// message nearest to it.
    Time(SystemTime),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_never_negative_and_counts_all_messages_without_an_offset() {
        let queue = |committed, begin, end| QueueProgress {
            queue: MessageQueue::new("T", "a", 0),
            committed,
            begin,
            end,
        };
        for (committed, begin, end, lag) in [
            (Some(3), 0, 9, 6),
            (Some(9), 0, 9, 0),
            // Messages that are gone count too, as in Java's tools.
            (Some(3), 5, 9, 6),
            // A commit overtook the question for the end.
            (Some(10), 0, 9, 0),
            (None, 2, 9, 7),
            (None, 0, 0, 0),
        ] {
            assert_eq!(queue(committed, begin, end).lag(), lag);
        }
        let progress = GroupProgress {
            topic: "T".into(),
            queues: vec![queue(Some(3), 0, 9), queue(None, 2, 9)],
        };
        let text = "13 messages behind in T\n  T@a:0: committed 3 of 9, lag 6\n  \
                    T@a:0: nothing committed of 9, lag 7";
        assert_eq!(progress.to_string(), text);
    }
}
