//! The time of a popped message, and what the answers to its ack tell.
//!
//! A popped message is hidden from others for its invisible time, which runs on the broker's clock.
//! Here it is counted on our own clock, from moments that are never too late: an ack counts as
//! confirmed only if the broker must have had it in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// What an ack of a popped message achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "AckResult")]
pub enum AckStatus {
    /// The broker had it in time: the message does not come again.
    Confirmed,
    /// The invisible time was over before the broker had it, or the broker knows no such message
    /// any more: it comes again, or somebody else has it.
    Expired,
    /// No answer in time, or one that proves nothing: the message may come again.
    Unknown,
}

/// A message that was received by POP.
#[derive(Debug, Clone)]
pub(crate) struct Popped {
    /// What the broker knows this delivery by. A renewal replaces it.
    handle: Arc<str>,
    invisible: Duration,
    from: Instant,
    /// The answer to a renewal was lost: the broker may know another handle.
    is_doubtful: bool,
}

impl Popped {
    /// An answer with the message arrived. It left the broker a bit earlier, which
    /// [`expires_at`](Popped::expires_at) allows for.
    pub(crate) fn new(
        handle: impl Into<Arc<str>>,
        invisible: Duration,
        arrived: Instant,
    ) -> Popped {
        Popped {
            handle: handle.into(),
            invisible,
            from: arrived,
            is_doubtful: false,
        }
    }

    pub(crate) fn handle(&self) -> &Arc<str> {
        &self.handle
    }

    /// From when on the broker may give the message to somebody else: a tenth of the time, at most
    /// half a second, before it is over.
    pub(crate) fn expires_at(&self) -> Instant {
        let margin = (self.invisible / 10).min(Duration::from_millis(500));
        self.from + (self.invisible - margin)
    }

    /// Whether a handler may start, and an ack makes sense.
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        now >= self.expires_at()
    }

    /// When the time is renewed while a handler runs: after two thirds of it.
    pub(crate) fn renew_at(&self) -> Instant {
        self.from + self.invisible * 2 / 3
    }

    /// The broker hid it for longer: from now on it is known by the new handle. The time counts from
    /// when the request was sent.
    pub(crate) fn renewed(
        &mut self,
        handle: impl Into<Arc<str>>,
        invisible: Duration,
        sent: Instant,
    ) {
        *self = Popped::new(handle, invisible, sent);
    }

    /// A renewal was sent, and its answer was not read. The old handle may be dead; the old time
    /// still counts.
    pub(crate) fn renewal_was_lost(&mut self) {
        self.is_doubtful = true;
    }
}

/// The requests that ack one message, until the outcome is known.
#[derive(Debug, Clone)]
pub(crate) struct Acking {
    expires_at: Instant,
    deadline: Instant,
    is_doubtful: bool,
    /// Some request was sent, and its answer was not read.
    was_lost: bool,
}

impl Acking {
    /// Acks `message`, for as long as that makes sense and until the deadline.
    pub(crate) fn new(message: &Popped, deadline: Instant) -> Acking {
        Acking {
            expires_at: message.expires_at(),
            deadline,
            is_doubtful: message.is_doubtful,
            was_lost: false,
        }
    }

    /// Whether another request may be sent.
    pub(crate) fn may_send(&self, now: Instant) -> bool {
        now < self.expires_at && now < self.deadline
    }

    /// A request was answered with this code. `None`: to be tried again if it
    /// [may](Acking::may_send), else [given up](Acking::give_up).
    pub(crate) fn answered(&self, code: i32, now: Instant) -> Option<AckStatus> {
        match code {
            // 0 is also the answer to an ack that is too late or repeated.
            0 if now >= self.expires_at || self.is_doubtful => Some(AckStatus::Unknown),
            0 => Some(AckStatus::Confirmed),
            // MESSAGE_ILLEGAL, TOPIC_NOT_EXIST, NO_MESSAGE: the broker knows no such delivery. An
            // ack that was lost may have ended it.
            13 | 17 | 208 if self.was_lost || self.is_doubtful => Some(AckStatus::Unknown),
            13 | 17 | 208 => Some(AckStatus::Expired),
            _ => None,
        }
    }

    /// A request may have reached the broker, and its answer was not read.
    pub(crate) fn unanswered(&mut self) {
        self.was_lost = true;
    }

    /// The outcome when no further request is sent.
    pub(crate) fn give_up(&self, now: Instant) -> AckStatus {
        match now >= self.expires_at {
            true if !self.was_lost && !self.is_doubtful => AckStatus::Expired,
            _ => AckStatus::Unknown,
        }
    }
}

/// For how long a message is hidden after it failed, as Java's consumers do it: by the number of its
/// earlier failures.
pub(crate) fn retry_delay(failures: u32) -> Duration {
    const SECONDS: [u64; 16] = [
        10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200,
    ];
    let last = SECONDS.len() - 1;
    Duration::from_secs(SECONDS[(failures as usize).min(last)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_time_ends_early_and_is_renewed_after_two_thirds() {
        let zero = Instant::now();
        for (invisible_ms, renew_ms, expires_ms) in
            [(30_000, 20_000, 29_500), (3_000, 2_000, 2_700), (0, 0, 0)]
        {
            let at = |ms| zero + Duration::from_millis(ms);
            let mut message = Popped::new("handle", Duration::from_millis(invisible_ms), zero);
            assert_eq!(message.renew_at(), at(renew_ms));
            assert_eq!(message.expires_at(), at(expires_ms));
            assert!(message.is_expired(at(expires_ms)));
            message.renewed("other", SECOND, at(100));
            assert_eq!(
                (&**message.handle(), message.expires_at()),
                ("other", at(1000))
            );
        }
    }

    #[test]
    fn what_an_ack_achieved_follows_from_its_answers() {
        use AckStatus::*;
        const LOST: i32 = i32::MIN;
        // (deadline in s, renewal lost, answers as (code, s), expected); the message expires at 9.5.
        for (deadline, renewal_lost, answers, expected) in [
            (60, false, &[(0, 1)][..], Confirmed),
            (60, false, &[(0, 10)], Unknown),
            (60, true, &[(0, 1)], Unknown),
            (60, false, &[(2, 1), (1, 2), (0, 3)], Confirmed),
            (60, false, &[(LOST, 3), (0, 4)], Confirmed),
            (60, false, &[(208, 1)], Expired),
            (60, false, &[(13, 1)], Expired),
            (60, false, &[(17, 1)], Expired),
            (60, false, &[(LOST, 3), (13, 4)], Unknown),
            (60, true, &[(13, 4)], Unknown),
            (60, false, &[(2, 8), (2, 10)], Expired),
            (60, false, &[(LOST, 8), (2, 10)], Unknown),
            (5, false, &[(2, 1), (2, 6)], Unknown),
            (60, false, &[(LOST, 20)], Unknown),
        ] {
            let zero = Instant::now();
            let mut message = Popped::new("handle", 10 * SECOND, zero);
            if renewal_lost {
                message.renewal_was_lost();
            }
            let mut acking = Acking::new(&message, zero + SECOND * deadline as u32);
            let mut status = None;
            let mut now = zero;
            for (code, s) in answers {
                assert!(status.is_none() && acking.may_send(now), "{answers:?}");
                now = zero + SECOND * *s as u32;
                match *code {
                    LOST => acking.unanswered(),
                    code => status = acking.answered(code, now),
                }
            }
            assert!(status.is_some() || !acking.may_send(now), "{answers:?}");
            assert_eq!(
                status.unwrap_or_else(|| acking.give_up(now)),
                expected,
                "{answers:?}"
            );
        }
    }

    #[test]
    fn an_ack_that_is_too_late_is_not_sent() {
        let now = Instant::now();
        let acking = Acking::new(&Popped::new("handle", SECOND, now), now + 60 * SECOND);
        assert!(!acking.may_send(now + SECOND));
        assert_eq!(acking.give_up(now + SECOND), AckStatus::Expired);
    }

    #[test]
    fn failed_messages_stay_hidden_for_longer_each_time() {
        let seconds = [0, 1, 2, 12, 15, 16, 1000].map(|n| retry_delay(n).as_secs());
        assert_eq!(seconds, [10, 30, 60, 1200, 7200, 7200, 7200]);
    }
}
