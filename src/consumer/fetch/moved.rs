//! What to do when the asked offset does not exist at the broker.

use std::time::Duration;

use super::verdict::Moved;

/// How long a broker whose queue ends before the asked offset may take to catch up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a consumer does when the broker says that the offset of a queue does not exist any more, or
/// not yet (default: [`Follow`](OffsetMoved::Follow)).
///
/// Each policy reports an event with the old and the new offset. A reset by an operator is always
/// followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
#[doc(alias = "OFFSET_ILLEGAL")]
pub enum OffsetMoved {
    /// The queue goes on where messages are. If the offset is below the queue's first message (the
    /// messages in between have expired), it goes on at that message. If the offset is above the end
    /// (a replica that is behind, or lost data), the master is asked for up to 30 s, then the queue
    /// goes on at the end. If the topic was deleted and created again, it goes on at the first
    /// message. It never goes back to 0 without a reason.
    #[default]
    Follow,
    /// The queue stops until a seek or a reset. For programs that must notice a gap before they go
    /// on.
    Fail,
}

/// The decision about the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// Begin a new generation at this offset, and commit it.
    Go { to: u64 },
    /// Keep the offset, and ask the master again after the pause.
    Stay { pause: Duration },
    /// Stop the queue until a seek or a reset.
    Stop,
}

/// `since` is how long brokers have been answering like this. `from_master`: the master gave the last
/// answer. `is_new_topic`: the oldest message of the queue is younger than one that was fetched.
pub(crate) fn judge_move(
    policy: OffsetMoved,
    moved: Moved,
    since: Duration,
    from_master: bool,
    is_new_topic: bool,
) -> Move {
    const AGAIN: Move = Move::Stay {
        pause: Duration::from_secs(1),
    };
    match (moved, policy) {
        (Moved::Reset { to }, _) => Move::Go { to },
        (_, _) if !from_master => AGAIN,
        (Moved::TooLarge { .. }, _) if since < PATIENCE && !is_new_topic => AGAIN,
        (_, OffsetMoved::Fail) => Move::Stop,
        (Moved::TooSmall { min }, _) => Move::Go { to: min },
        (Moved::TooLarge { min, .. }, _) if is_new_topic => Move::Go { to: min },
        (Moved::TooLarge { max, .. }, _) => Move::Go { to: max },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn the_policy_decides() {
        use OffsetMoved::{Fail, Follow};
        const STAY: Move = Move::Stay { pause: Duration::from_secs(1) };
        let (small, large) = (Moved::TooSmall { min: 5 }, Moved::TooLarge { min: 5, max: 9 });
        let reset = Moved::Reset { to: 7 };
        for (policy, moved, since, from_master, is_new, expected) in [
            (Follow, small, 0, true, false, Move::Go { to: 5 }),
            (Follow, small, 60, false, false, STAY),
            (Fail, small, 0, true, false, Move::Stop),
            (Follow, large, 0, true, false, STAY),
            (Follow, large, 29, true, false, STAY),
            (Follow, large, 30, true, false, Move::Go { to: 9 }),
            (Follow, large, 30, false, false, STAY),
            (Follow, large, 0, true, true, Move::Go { to: 5 }),
            (Fail, large, 29, true, false, STAY),
            (Fail, large, 30, true, false, Move::Stop),
            (Fail, large, 0, true, true, Move::Stop),
            (Follow, reset, 0, false, false, Move::Go { to: 7 }),
            (Fail, reset, 0, true, false, Move::Go { to: 7 }),
        ] {
            let got = judge_move(policy, moved, Duration::from_secs(since), from_master, is_new);
            assert_eq!(got, expected, "{policy:?} {moved:?} {since} {from_master} {is_new}");
        }
    }
}
