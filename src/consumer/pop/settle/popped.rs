//! The invisible time of a popped message, and the meaning of the answers to its ack.
//!
//! A popped message is hidden from others for its invisible time, which runs on the broker's clock.
//! The consumer counts it on its own clock, from moments that are never too late: an ack counts as
//! confirmed only if the broker must have had it in time.

use std::time::{Duration, Instant};

use crate::protocol::consumer::pop::Handle;

/// The result of an ack, or of a change of the invisible time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "only what is Confirmed is done"]
#[doc(alias = "AckResult")]
pub enum AckStatus {
    /// The broker had it in time. An acked message does not come again, unless the broker dies within the
    /// next seconds, before it has saved that.
    Confirmed,
    /// The invisible time ended before the broker got the request, or the broker does not know the message
    /// any more: it comes again, or another member has it.
    Expired,
    /// No answer in time, or one that proves nothing: the message may come again.
    Unknown,
}

/// A message that was received by POP.
#[derive(Debug, Clone)]
pub(in crate::consumer) struct Popped {
    /// The handle of this delivery at the broker. A renewal replaces it.
    handle: Handle,
    invisible: Duration,
    from: Instant,
    /// The answer to a renewal was lost: the broker may know another handle.
    is_doubtful: bool,
}

impl Popped {
    /// An answer with the message arrived. It left the broker a bit earlier, which
    /// [`expires_at`](Popped::expires_at) allows for.
    pub(in crate::consumer) fn new(
        handle: Handle,
        invisible: Duration,
        arrived: Instant,
    ) -> Popped {
        Popped {
            handle,
            invisible,
            from: arrived,
            is_doubtful: false,
        }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// From when on the broker may give the message to somebody else: a tenth of the time, at most
    /// half a second, before it is over.
    pub(super) fn expires_at(&self) -> Instant {
        let margin = (self.invisible / 10).min(Duration::from_millis(500));
        self.from + (self.invisible - margin)
    }

    /// For how long it has been hidden.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.from)
    }

    /// When two thirds of the time are over.
    pub(super) fn renew_at(&self) -> Instant {
        self.from + self.invisible / 3 * 2
    }

    /// Whether a handler may start, and an ack makes sense.
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        now >= self.expires_at()
    }

    /// The broker hid it for longer: from now on it is known by the new handle. The time counts from
    /// when the request was sent.
    pub(super) fn renewed(&mut self, handle: Handle, invisible: Duration, sent: Instant) {
        let is_doubtful = self.is_doubtful;
        *self = Popped::new(handle, invisible, sent);
        // What was lost may have hidden it a second time, which nothing ends.
        self.is_doubtful = is_doubtful;
    }

    /// A renewal was sent, and its answer was not read. The old handle may be dead; the old time
    /// still counts.
    pub(super) fn renewal_was_lost(&mut self) {
        self.is_doubtful = true;
    }
}

/// The requests that ack one message, until the outcome is known.
#[derive(Debug, Clone)]
pub(super) struct Acking {
    expires_at: Instant,
    deadline: Instant,
    is_doubtful: bool,
    /// Some request was sent, and its answer was not read.
    was_lost: bool,
}

impl Acking {
    /// Acks `message`, for as long as that makes sense and until the deadline.
    pub(super) fn new(message: &Popped, deadline: Instant) -> Acking {
        Acking {
            expires_at: message.expires_at(),
            deadline,
            is_doubtful: message.is_doubtful,
            was_lost: false,
        }
    }

    /// Whether another request may be sent.
    pub(super) fn may_send(&self, now: Instant) -> bool {
        now < self.expires_at && now < self.deadline
    }

    /// A request was answered with this code. `None`: to be tried again if it
    /// [may](Acking::may_send), else [given up](Acking::give_up).
    pub(super) fn answered(&self, code: i32, now: Instant) -> Option<AckStatus> {
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
    pub(super) fn unanswered(&mut self) {
        self.was_lost = true;
    }

    /// The outcome when no further request is sent.
    pub(super) fn give_up(&self, now: Instant) -> AckStatus {
        match now >= self.expires_at {
            true if !self.was_lost && !self.is_doubtful => AckStatus::Expired,
            _ => AckStatus::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn handle(queue_offset: i64) -> Handle {
        let handle = format!("0 1 60000 0 0 broker-a 0 {queue_offset}");
        handle.parse().expect("a handle")
    }

    #[test]
    fn the_time_ends_early_and_a_renewal_counts_from_its_request_on() {
        let zero = Instant::now();
        for (invisible_ms, expires_ms) in [(30_000, 29_500), (3_000, 2_700), (0, 0)] {
            let at = |ms| zero + Duration::from_millis(ms);
            let mut message = Popped::new(handle(1), Duration::from_millis(invisible_ms), zero);
            assert_eq!(message.expires_at(), at(expires_ms));
            assert!(message.is_expired(at(expires_ms)));
            message.renewed(handle(2), 3 * SECOND, at(100));
            assert_eq!(*message.handle(), handle(2));
            assert_eq!(message.renew_at(), at(2_100));
            assert_eq!(message.expires_at(), at(2_800));
        }
    }

    #[test]
    fn a_lost_renewal_stays_in_doubt_after_another_one() {
        let now = Instant::now();
        let mut message = Popped::new(handle(1), 60 * SECOND, now);
        message.renewal_was_lost();
        message.renewed(handle(2), 60 * SECOND, now);
        let acking = Acking::new(&message, now + SECOND);
        assert_eq!(acking.answered(0, now), Some(AckStatus::Unknown));
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
            let mut message = Popped::new(handle(1), 10 * SECOND, zero);
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
        let acking = Acking::new(&Popped::new(handle(1), SECOND, now), now + 60 * SECOND);
        assert!(!acking.may_send(now + SECOND));
        assert_eq!(acking.give_up(now + SECOND), AckStatus::Expired);
    }
}
