//! Whether the member that had a queue before has handed it over.
//!
//! It has, if it committed all that it did and then unlocked the queue: members of this library unlock a queue only
//! then. That its lock can be had does not show this: a member that is killed commits nothing more, and its lock
//! expires. So the committed offset is asked for while that member still has the lock. If the offset is higher once
//! the lock is had, the member was alive after the question. It had a lock that counted then, which the broker keeps
//! for 30 s more at least: within that time nothing but an unlock can have ended it, or a restart of the broker, which
//! is noticed.
//!
//! Two cases are not seen: an operator sets the offset between the questions; and a member that goes on without a
//! lease, which a killed one still has, commits in the few seconds in which a third one waits for it.

use std::time::{Duration, Instant};

use super::lock::COUNTS_HERE;

/// How old a question is when the next one is asked: a hand-over may take long.
const AGAIN: Duration = Duration::from_secs(20);

/// What is known of that. It begins when the lock is first refused.
#[derive(Debug, Default)]
pub(crate) struct HandOver {
    /// When the committed offset was last asked for.
    asked: Option<Instant>,
    is_in_flight: bool,
    /// The question was asked before the broker may have forgotten its locks.
    is_stale: bool,
    /// The last answer (0 if there is no offset), and when it was asked for.
    seen: Option<(u64, Instant)>,
}

impl HandOver {
    /// Whether to ask for the committed offset.
    pub(crate) fn must_ask(&self, now: Instant) -> bool {
        let is_old = |asked: Instant| now.saturating_duration_since(asked) >= AGAIN;
        !self.is_in_flight && self.asked.is_none_or(is_old)
    }

    /// The question is sent.
    pub(crate) fn ask(&mut self, now: Instant) {
        (self.asked, self.is_in_flight) = (Some(now), true);
    }

    /// The question was answered; `None`: it failed.
    pub(crate) fn answered(&mut self, committed: Option<u64>) {
        if self.is_stale {
            *self = HandOver::default();
        }
        self.is_in_flight = false;
        if let (Some(committed), Some(asked)) = (committed, self.asked) {
            self.seen = Some((committed, asked));
        }
    }

    /// The broker may have forgotten its locks: it gives them to anybody.
    pub(crate) fn forget(&mut self) {
        match self.is_in_flight {
            true => (self.is_stale, self.seen) = (true, None),
            false => *self = HandOver::default(),
        }
    }

    /// The lock is had now: if the committed offset is higher than this one, the queue was handed over.
    pub(crate) fn shown_above(&self, now: Instant) -> Option<u64> {
        let (offset, asked) = self.seen?;
        let is_recent = now.saturating_duration_since(asked) < COUNTS_HERE;
        is_recent.then_some(offset)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::lock::{Broker, Need, QueueLock};
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_member_that_went_on_after_the_question_has_unlocked_the_queue() {
        let zero = Instant::now();
        let mut hand_over = HandOver::default();
        assert!(hand_over.must_ask(zero));
        assert_eq!(hand_over.shown_above(zero), None);
        hand_over.ask(zero);
        assert!(!hand_over.must_ask(zero + ms(60_000)), "it is in flight");
        assert_eq!(hand_over.shown_above(zero), None, "no answer yet");
        hand_over.answered(Some(7));
        assert_eq!(hand_over.shown_above(zero + ms(29_999)), Some(7));
        // Its lock may have expired.
        assert_eq!(hand_over.shown_above(zero + ms(30_000)), None);
    }

    #[test]
    fn it_is_asked_again_as_long_as_the_other_member_has_the_lock() {
        let zero = Instant::now();
        let at = |s: u64| zero + ms(s * 1_000);
        let mut hand_over = HandOver::default();
        hand_over.ask(zero);
        hand_over.answered(None);
        assert!(!hand_over.must_ask(at(19)) && hand_over.must_ask(at(20)));
        hand_over.ask(at(20));
        hand_over.answered(Some(7));
        hand_over.ask(at(40));
        assert_eq!(hand_over.shown_above(at(41)), Some(7));
        hand_over.answered(None);
        assert_eq!(hand_over.shown_above(at(49)), Some(7), "that one failed");
        assert_eq!(hand_over.shown_above(at(50)), None);
        hand_over.ask(at(60));
        hand_over.answered(Some(8));
        assert_eq!(hand_over.shown_above(at(89)), Some(8));
    }

    #[test]
    fn an_answer_of_before_a_broken_link_shows_nothing() {
        let zero = Instant::now();
        let mut hand_over = HandOver::default();
        hand_over.ask(zero);
        hand_over.forget();
        assert!(!hand_over.must_ask(zero), "it is in flight");
        hand_over.answered(Some(7));
        assert_eq!(hand_over.shown_above(zero), None);
        assert!(hand_over.must_ask(zero), "again");
        // The same, if it failed with the link.
        hand_over.ask(zero);
        hand_over.answered(None);
        hand_over.forget();
        assert!(hand_over.must_ask(zero), "once more");
        hand_over.ask(zero);
        hand_over.answered(Some(8));
        assert_eq!(hand_over.shown_above(zero), Some(8));
        hand_over.forget();
        assert_eq!(hand_over.shown_above(zero), None);
    }

    proptest! {
        #![proptest_config(crate::consumer::cases(1_000, 50_000))]

        /// A member renews its lock, with losses, commits, and is killed at some time or hands the queue over. The
        /// next one takes the queue at any time. The broker restarts now and then, without its locks. Never does the
        /// next one take the queue for handed over that was not.
        #[test]
        fn the_queue_of_a_killed_member_was_never_handed_over(
            steps in prop::collection::vec((0_u64..8_000, 0_u8..40), 1..60),
            ends_after in 1_usize..40,
            is_killed in any::<bool>(),
            taken_after in 0_usize..60,
        ) {
            let zero = Instant::now();
            let (mut now, mut broker) = (zero, Broker { holder: None });
            let mut owner = QueueLock::new(Need::Required, zero);
            let (mut has_ended, mut has_unlocked) = (false, false);
            let (mut done, mut committed) = (0, 0);
            let mut next = None::<(QueueLock, HandOver)>;
            for (n, (after, what)) in steps.into_iter().enumerate() {
                now += ms(after);
                let works = !has_ended && owner.is_held(now);
                done += u64::from(works);
                match what {
                    0..=23 if !has_ended && owner.ask_at().is_some_and(|at| at <= now) => {
                        owner.ask(now);
                        match what < 4 {
                            true => owner.failed(),
                            false if broker.lock(0, now) => _ = owner.granted(),
                            false => owner.refused(now),
                        }
                    }
                    24..=38 if !has_ended && !owner.is_in_doubt(now) => committed = done,
                    39 => {
                        broker.holder = None;
                        owner.link_broke(now);
                        if let Some((lock, hand_over)) = &mut next {
                            lock.link_broke(now);
                            hand_over.forget();
                        }
                    }
                    _ => {}
                }
                if n == ends_after && !has_ended {
                    has_ended = true;
                    if !is_killed && works {
                        committed = done;
                        broker.holder = None;
                        has_unlocked = true;
                    }
                }
                if n == taken_after {
                    next = Some((QueueLock::new(Need::Required, now), HandOver::default()));
                }
                let Some((lock, hand_over)) = &mut next else {
                    continue;
                };
                if lock.ask_at().is_some_and(|at| at <= now) {
                    lock.ask(now);
                    match broker.lock(1, now) {
                        true => _ = lock.granted(),
                        false => lock.refused(now),
                    }
                }
                if lock.is_held(now) {
                    let was_handed_over = hand_over.shown_above(now).is_some_and(|at| committed > at);
                    prop_assert!(!was_handed_over || has_unlocked);
                    break;
                }
                if lock.had_to_wait() && hand_over.must_ask(now) {
                    hand_over.ask(now);
                    hand_over.answered(Some(committed));
                }
            }
        }
    }
}
