//! The start offset of a queue. It is decided once, when the queue is taken, and committed at once. A
//! question that failed is asked again, and is never answered by a default.

use std::time::{SystemTime, UNIX_EPOCH};

/// Where a group starts in a queue for which it has no offset yet (default:
/// [`Last`](StartFrom::Last)). If it has an offset, it goes on there.
///
/// The rule is for a group that is new to a topic. If the group consumes the topic already and the topic
/// gets more queues, these are always consumed from their first message: otherwise the messages that
/// were sent before the consumer noticed the queues would be lost. The same holds for the group's retry
/// topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[doc(alias = "ConsumeFromWhere")]
#[doc(alias = "setConsumeFromWhere")]
pub enum StartFrom {
    /// After the last message: only messages that are sent from now on.
    ///
    /// Brokers up to 4.9 and early 5.x cannot say that a group has no offset while the first message
    /// of the queue is still in memory; they say 0 then. So on a young topic a new group starts at
    /// the first message there, as Java's clients do on all brokers.
    #[default]
    #[doc(alias = "CONSUME_FROM_LAST_OFFSET")]
    Last,
    /// At the first message that the broker still has.
    #[doc(alias = "CONSUME_FROM_FIRST_OFFSET")]
    First,
    /// At the first message that was stored at this time or later, to the millisecond. On a young topic of
    /// such brokers as [`Last`](StartFrom::Last) names it is the first message there.
    #[doc(alias = "CONSUME_FROM_TIMESTAMP")]
    #[doc(alias = "setConsumeTimestamp")]
    Time(SystemTime),
}

/// The group's offset in a queue, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Committed {
    Known(u64),
    /// The broker answered that the group has none.
    NotFound,
    /// The question failed, or is not answered yet.
    Unknown,
}

/// Whether a group consumed a topic before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupIs {
    /// No queue of the topic has an offset of the group.
    New,
    Known,
    /// Not all queues could be asked, and none of those that could has an offset.
    Unsure,
}

/// The facts on which the start of a queue depends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub(crate) committed: Committed,
    pub(crate) group: GroupIs,
    /// The queue was not in the route when the consumer started.
    pub(crate) is_new_queue: bool,
    pub(crate) is_retry_topic: bool,
}

/// The first offset, or how to find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    At(u64),
    /// At the offset of the next message to be stored.
    AskMax,
    /// At the lowest offset that the broker still has.
    AskMin,
    /// At the lowest offset stored at this time (epoch milliseconds) or later.
    AskTime(u64),
    /// It cannot be decided yet: ask again for the missing facts.
    AskAgain,
}

/// Decides where a queue starts.
pub(crate) fn start(from: StartFrom, question: &Question) -> Start {
    match question.committed {
        Committed::Known(offset) => return Start::At(offset),
        Committed::Unknown => return Start::AskAgain,
        Committed::NotFound => {}
    }
    if question.is_retry_topic || question.is_new_queue {
        return Start::AskMin;
    }
    match (from, question.group) {
        (StartFrom::First, _) | (_, GroupIs::Known) => Start::AskMin,
        (_, GroupIs::Unsure) => Start::AskAgain,
        (StartFrom::Last, GroupIs::New) => Start::AskMax,
        (StartFrom::Time(time), GroupIs::New) => Start::AskTime(epoch_ms(time)),
    }
}

/// Whether the group is new to a topic, from its offsets in all queues of it. `zero_may_mean_none`:
/// the broker does not know `setZeroIfNotFound`, so a 0 proves nothing.
///
/// The first member of a new group commits the start of *all* queues of the topic. Otherwise the second
/// member would find some offsets, and would treat the queues without an offset as new ones.
pub(crate) fn group_is(
    committed: impl IntoIterator<Item = Committed>,
    zero_may_mean_none: bool,
) -> GroupIs {
    let mut group = GroupIs::New;
    for committed in committed {
        match committed {
            Committed::Known(0) if zero_may_mean_none => {}
            Committed::Known(_) => return GroupIs::Known,
            Committed::Unknown => group = GroupIs::Unsure,
            Committed::NotFound => {}
        }
    }
    group
}

fn epoch_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use Committed::{Known, NotFound, Unknown};

    #[test]
    #[rustfmt::skip]
    fn the_start_follows_from_what_is_known() {
        use StartFrom::{First, Last, Time};
        const NEW: GroupIs = GroupIs::New;
        const OLD: GroupIs = GroupIs::Known;
        const UNSURE: GroupIs = GroupIs::Unsure;
        let time = Time(UNIX_EPOCH + Duration::from_micros(5_000_700));
        let ancient = Time(UNIX_EPOCH - Duration::from_secs(1));
        for (from, committed, group, new_queue, retry, expected) in [
            // A known offset decides.
            (Last, Known(7), NEW, false, false, Start::At(7)),
            (First, Known(7), UNSURE, true, false, Start::At(7)),
            (time, Known(0), OLD, false, true, Start::At(0)),
            // A question that failed is no answer.
            (Last, Unknown, NEW, false, false, Start::AskAgain),
            (First, Unknown, NEW, true, true, Start::AskAgain),
            (time, Unknown, OLD, false, false, Start::AskAgain),
            // A new group: as asked.
            (Last, NotFound, NEW, false, false, Start::AskMax),
            (First, NotFound, NEW, false, false, Start::AskMin),
            (time, NotFound, NEW, false, false, Start::AskTime(5_000)),
            (ancient, NotFound, NEW, false, false, Start::AskTime(0)),
            // A known group, or a queue that came later: from the queue's first message.
            (Last, NotFound, OLD, false, false, Start::AskMin),
            (time, NotFound, OLD, false, false, Start::AskMin),
            (First, NotFound, OLD, false, false, Start::AskMin),
            (Last, NotFound, NEW, true, false, Start::AskMin),
            (time, NotFound, UNSURE, true, false, Start::AskMin),
            // Not known whether the group is new: only First does not depend on it.
            (Last, NotFound, UNSURE, false, false, Start::AskAgain),
            (time, NotFound, UNSURE, false, false, Start::AskAgain),
            (First, NotFound, UNSURE, false, false, Start::AskMin),
            // Retries are never skipped.
            (Last, NotFound, NEW, false, true, Start::AskMin),
            (time, NotFound, NEW, false, true, Start::AskMin),
        ] {
            let question = Question { committed, group, is_new_queue: new_queue, is_retry_topic: retry };
            assert_eq!(start(from, &question), expected, "{from:?} {question:?}");
        }
        assert_eq!(StartFrom::default(), Last);
    }

    #[test]
    #[rustfmt::skip]
    fn a_group_is_new_if_no_queue_has_an_offset() {
        for (committed, zero_proves_nothing, expected) in [
            (&[][..], false, GroupIs::New),
            (&[NotFound, NotFound], false, GroupIs::New),
            (&[NotFound, Known(0)], false, GroupIs::Known),
            (&[NotFound, Known(0)], true, GroupIs::New),
            (&[Known(0), Known(1)], true, GroupIs::Known),
            (&[NotFound, Unknown], false, GroupIs::Unsure),
            (&[Unknown, Known(3)], false, GroupIs::Known),
            (&[Unknown, Known(0)], true, GroupIs::Unsure),
        ] {
            let got = group_is(committed.iter().copied(), zero_proves_nothing);
            assert_eq!(got, expected, "{committed:?}");
        }
    }
}
