//! What to do when the offset that we ask for does not exist at the broker.

use std::time::Duration;

use super::verdict::Moved;

/// How long a broker whose queue ends before our offset is given to catch up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a consumer does when the broker says that the offset of a queue does not exist any more, or
/// not yet (default: [`Follow`](OffsetMoved::Follow)).
///
/// Both are reported as an event with the old and the new offset. A reset by an operator is followed
/// in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
#[doc(alias = "OFFSET_ILLEGAL")]
pub enum OffsetMoved {
    /// Goes on where messages are. Below the queue's first message (the messages in between have
    /// expired): at the first one. Above its end (a replica that is behind, or lost data): the
    /// master is asked for up to 30 s, then at its end. If the topic was deleted and made anew, at
    /// its first message. Never at 0 by itself.
    #[default]
    Follow,
    /// The queue stops, and waits for a seek or a reset. For programs that must notice a gap before
    /// they go on.
    Fail,
}

/// What becomes of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// Begin a new generation at this offset, and commit it.
    Go { to: u64 },
    /// Keep the offset, and ask the master again after the pause.
    Stay { pause: Duration },
    /// Stop the queue until somebody seeks or resets it.
    Stop,
}

/// `since` is how long brokers have been answering like this; `from_master` says who answered last,
/// and `is_new_topic` that the oldest message of the queue is younger than one that we had.
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
