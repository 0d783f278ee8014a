//! The questions that find the start offset of a queue, one after the other. Pure: time is an argument.

use std::time::{Duration, Instant};

use super::start::{Committed, GroupIs, Question, Start, StartFrom, start};

/// The pause after a question that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// The state of finding a queue's start offset.
#[derive(Debug)]
pub(crate) struct Starting {
    is_new_queue: bool,
    is_retry_topic: bool,
    committed: Committed,
    /// How far this member was before the queue's broker went away.
    past: Option<u64>,
    is_asking: bool,
    not_before: Instant,
}

/// The next step of a queue that is about to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// A question is in flight.
    Wait,
    /// Not before this time.
    Until(Instant),
    AskCommitted,
    /// Ask for a bound of the queue, by the rule.
    AskBound(Start),
    /// Whether the group is new is not known yet.
    AskGroup,
    /// It starts here.
    Begin {
        offset: u64,
        /// The broker has this offset for the group.
        is_stored: bool,
    },
}

impl Starting {
    pub(crate) fn new(
        is_new_queue: bool,
        is_retry_topic: bool,
        past: Option<u64>,
        not_before: Instant,
    ) -> Starting {
        Starting {
            is_new_queue,
            is_retry_topic,
            committed: Committed::Unknown,
            past,
            is_asking: false,
            not_before,
        }
    }

    pub(crate) fn next(&self, from: StartFrom, group: GroupIs, now: Instant) -> Next {
        if self.is_asking {
            return Next::Wait;
        }
        if now < self.not_before {
            return Next::Until(self.not_before);
        }
        let question = Question {
            committed: self.at_least(),
            group,
            is_new_queue: self.is_new_queue,
            is_retry_topic: self.is_retry_topic,
        };
        match start(from, &question) {
            Start::At(offset) => Next::Begin {
                offset,
                is_stored: self.committed == Committed::Known(offset),
            },
            Start::AskAgain if self.committed == Committed::Unknown => Next::AskCommitted,
            Start::AskAgain => Next::AskGroup,
            bound => Next::AskBound(bound),
        }
    }

    /// The group's offset, or this member's own one if the broker knows less.
    fn at_least(&self) -> Committed {
        match (self.committed, self.past) {
            (Committed::Known(offset), Some(past)) => Committed::Known(offset.max(past)),
            (Committed::NotFound, Some(past)) => Committed::Known(past),
            (committed, _) => committed,
        }
    }

    /// A question was sent.
    pub(crate) fn asked(&mut self) {
        self.is_asking = true;
    }

    /// The broker answered the group's offset.
    pub(crate) fn committed(&mut self, committed: Committed) {
        self.is_asking = false;
        self.committed = committed;
    }

    /// The question failed, or cannot be sent now: it is due again in a second.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.is_asking = false;
        self.not_before = now + AGAIN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_asks_one_question_after_the_other_and_repeats_one_that_failed() {
        let zero = Instant::now();
        let later = zero + AGAIN;
        let mut starting = Starting::new(false, false, None, zero);
        let next = |starting: &Starting, group, now| starting.next(StartFrom::Last, group, now);
        assert_eq!(next(&starting, GroupIs::Unsure, zero), Next::AskCommitted);
        starting.asked();
        assert_eq!(next(&starting, GroupIs::Unsure, later), Next::Wait);
        starting.failed(zero);
        assert_eq!(next(&starting, GroupIs::New, zero), Next::Until(later));
        assert_eq!(next(&starting, GroupIs::New, later), Next::AskCommitted);
        starting.asked();
        starting.committed(Committed::NotFound);
        assert_eq!(next(&starting, GroupIs::Unsure, later), Next::AskGroup);
        let expected = Next::AskBound(Start::AskMax);
        assert_eq!(next(&starting, GroupIs::New, later), expected);
        starting.asked();
        starting.failed(later);
        assert_eq!(next(&starting, GroupIs::New, later + AGAIN), expected);
    }

    #[test]
    fn an_offset_that_is_known_needs_no_other_question() {
        let now = Instant::now();
        let mut starting = Starting::new(true, true, None, now);
        starting.asked();
        starting.committed(Committed::Known(7));
        let next = starting.next(StartFrom::Last, GroupIs::Unsure, now);
        let (offset, is_stored) = (7, true);
        assert_eq!(next, Next::Begin { offset, is_stored });
    }

    #[test]
    fn a_queue_that_is_back_goes_on_where_this_member_was_if_its_broker_knows_less() {
        let now = Instant::now();
        for (committed, offset, is_stored) in [
            (Committed::Known(5), 7, false),
            (Committed::Known(7), 7, true),
            (Committed::Known(9), 9, true),
            (Committed::NotFound, 7, false),
        ] {
            let mut starting = Starting::new(false, false, Some(7), now);
            let next = starting.next(StartFrom::Last, GroupIs::New, now);
            assert_eq!(next, Next::AskCommitted, "the broker is asked in any case");
            starting.asked();
            starting.committed(committed);
            let next = starting.next(StartFrom::Last, GroupIs::New, now);
            assert_eq!(next, Next::Begin { offset, is_stored }, "{committed:?}");
        }
    }
}
