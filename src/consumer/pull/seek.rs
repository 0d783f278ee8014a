//! The target of a seek.

use std::time::SystemTime;

/// Where a queue goes on after a [`seek`](super::PullConsumer::seek).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seek {
    /// At this offset, which must be in the queue: from the offset of its first message up to its end, the
    /// offset of the next message to be stored.
    #[doc(alias = "seek")]
    Offset(u64),
    /// At the first message that was stored at this time or later, to the millisecond.
    #[doc(alias = "offsetForTimestamp")]
    Time(SystemTime),
    /// At the first message that the broker still has.
    #[doc(alias = "seekToBegin")]
    Start,
    /// After the last message: only messages that are stored from now on.
    #[doc(alias = "seekToEnd")]
    End,
}
