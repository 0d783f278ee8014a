//! The checker of the ledger finds each kind of mistake, and explains each kind of copy.

use crate::ledger::check::{Expected, History, Report, Violation};
use crate::ledger::copies::Cause;
use crate::ledger::record::{Enter, Outcome, Place, Queue, Record, SECOND, What};

fn queue() -> Queue {
    Queue {
        topic: "T".to_owned(),
        broker: "b".to_owned(),
        id: 0,
    }
}

fn place(offset: i64) -> Place {
    let queue = queue();
    Place { queue, offset }
}

/// The messages of the stories have their offsets as keys.
fn enter(member: &str, offset: i64) -> Enter {
    Enter {
        member: member.to_owned(),
        place: place(offset),
        key: offset as u64,
        attempt: 0,
        repeated: false,
    }
}

/// What happened, each thing at a second.
#[derive(Clone, Default)]
struct Story(Vec<Record>);

impl Story {
    fn at(mut self, tenths: i64, what: What) -> Story {
        let at = tenths * SECOND / 10;
        self.0.push(Record { at, what });
        self
    }

    fn stored(self, offset: i64) -> Story {
        let (key, place) = (offset as u64, place(offset));
        self.at(0, What::Stored { key, place })
    }

    fn owns(self, tenths: i64, member: &str, has_it: bool) -> Story {
        let queues = has_it.then(queue).into_iter().collect();
        let member = member.to_owned();
        self.at(tenths, What::Assigned { member, queues })
    }

    /// Handled within a tenth.
    fn handled(self, tenths: i64, enter: Enter, outcome: Outcome) -> Story {
        let story = self.at(tenths, What::Enter(enter.clone()));
        story.at(tenths + 1, What::Outcome { enter, outcome })
    }

    fn done(self, tenths: i64, member: &str, offset: i64) -> Story {
        self.handled(tenths, enter(member, offset), Outcome::Done)
    }

    fn repeated(self, tenths: i64, member: &str, offset: i64) -> Story {
        let mut enter = enter(member, offset);
        enter.repeated = true;
        self.handled(tenths, enter, Outcome::Done)
    }

    fn committed(self, tenths: i64, offset: i64) -> Story {
        let commit = What::Commit {
            member: "one".to_owned(),
            queue: queue(),
            offset,
            sent: tenths * SECOND / 10,
        };
        self.at(tenths, commit)
    }

    fn offset(self, tenths: i64, offset: i64) -> Story {
        let queue = queue();
        self.at(tenths, What::Offset { queue, offset })
    }

    fn killed(self, tenths: i64, member: &str) -> Story {
        let member = member.to_owned();
        self.at(tenths, What::Killed { member })
    }

    fn left(self, tenths: i64, member: &str) -> Story {
        let member = member.to_owned();
        let left_over = None;
        self.at(tenths, What::Left { member, left_over })
    }

    fn broker_killed(self, from: i64, to: i64) -> Story {
        let broker = || "b".to_owned();
        let story = self.at(from, What::BrokerKilled { broker: broker() });
        story.at(to, What::BrokerBack { broker: broker() })
    }

    fn check(self, is_ordered: bool) -> Report {
        let expected = Expected {
            is_ordered,
            commits_within: SECOND,
            broker_forgets: 5 * SECOND,
            takeover_within: 5 * SECOND,
        };
        History::new(self.0).check(&expected)
    }
}

/// One member that has handled the messages 0 and 1.
fn good() -> Story {
    let story = Story::default().stored(0).stored(1).owns(0, "one", true);
    let story = story.done(10, "one", 0).done(20, "one", 1);
    story.committed(30, 2).offset(25, 1).offset(31, 2)
}

/// The same, and then the queue is another one's.
fn moved() -> Story {
    good().owns(40, "one", false).owns(40, "two", true)
}

#[track_caller]
fn check_fine(story: Story) -> Report {
    let report = story.check(true);
    assert_eq!(report.violations, []);
    report
}

#[track_caller]
fn check_found(story: Story, expected: Violation) {
    assert_eq!(story.check(true).violations, [expected]);
}

#[test]
fn nothing_is_wrong_with_a_good_run() {
    let report = check_fine(good().left(50, "one"));
    assert_eq!((report.messages, report.handled), (2, 2));
    assert!(report.copies.is_empty());
    check_fine(moved().stored(2).done(50, "two", 2));
}

#[test]
fn a_message_that_never_came_is_lost_and_one_that_was_only_refused_is_unfinished() {
    let (key, place) = (2, place(2));
    let expected = Violation::Lost {
        key,
        place: place.clone(),
    };
    check_found(good().stored(2), expected);
    let refused = good()
        .stored(2)
        .handled(40, enter("one", 2), Outcome::Later);
    check_found(refused, Violation::Unfinished { key, place });
}

#[test]
fn what_was_committed_must_not_come_again() {
    let story = moved().repeated(50, "two", 1);
    let violations = story.check(false).violations;
    let settled =
        |violation: &Violation| matches!(violation, Violation::Settled { committed: 2, .. });
    assert!(violations.iter().any(settled), "{violations:?}");
}

#[test]
fn a_commit_must_not_pass_an_open_message() {
    let story = good()
        .stored(2)
        .stored(3)
        .done(50, "one", 3)
        .committed(55, 4);
    let violations = story.done(60, "one", 2).check(false).violations;
    let queue = queue();
    let (committed, open) = (4, 2);
    let skipped = Violation::Skipped {
        queue,
        committed,
        open,
    };
    // 3 is not entered again, and 2 came below the committed offset.
    assert!(violations.contains(&skipped), "{violations:?}");
}

#[test]
fn ordered_handlers_must_not_overlap_nor_overtake() {
    let story = good().stored(2).stored(3);
    let open = story.clone().at(40, What::Enter(enter("one", 2)));
    let outcome = Outcome::Done;
    let enter = enter("one", 2);
    let late = open
        .at(60, What::Outcome { enter, outcome })
        .done(50, "one", 3);
    let queue = queue();
    let (first, second) = (2, 3);
    let overlap = Violation::Overlap {
        queue: queue.clone(),
        first,
        second,
    };
    let (came, open) = (3, 2);
    let inversion = Violation::Inversion { queue, came, open };
    let found = late.check(true).violations;
    assert_eq!(found, [overlap, inversion.clone()]);
    check_found(story.done(40, "one", 3).done(50, "one", 2), inversion);
}

#[test]
fn the_offset_of_a_broker_falls_only_with_the_broker() {
    let (queue, from, to) = (queue(), 2, 1);
    let fell = Violation::Fell { queue, from, to };
    check_found(good().offset(40, 1), fell);
    check_fine(good().broker_killed(35, 36).offset(40, 1));
}

#[test]
fn a_queue_has_one_owner_in_the_end() {
    let owners = |owners: &[&str]| Violation::Owners {
        queue: queue(),
        owners: owners.iter().map(|owner| (*owner).to_owned()).collect(),
    };
    let both = good().owns(1, "two", true);
    check_found(both, owners(&["one", "two"]));
    let nobody = good().owns(15, "one", false);
    check_found(nobody, owners(&[]));
}

#[test]
fn a_copy_without_a_cause_is_found() {
    let story = good().stored(2).done(41, "one", 2);
    let again = story.owns(50, "one", false).owns(50, "two", true);
    let again = again.repeated(60, "two", 2).check(true);
    let [Violation::Unexplained { before, again }] = &again.violations[..] else {
        panic!("{again}");
    };
    assert_eq!((&*before.member, &*again.member), ("one", "two"));
}

#[test]
fn a_killed_member_explains_what_it_had_not_committed_and_no_more() {
    let story = good().stored(2).stored(3).done(41, "one", 2);
    let story = story.at(50, What::Enter(enter("one", 3)));
    let killed = story.killed(50, "one").owns(52, "two", true);
    let both = killed.repeated(60, "two", 2).repeated(61, "two", 3);
    let report = check_fine(both.clone());
    assert_eq!(report.copies, [(Cause::MemberKilled, 2)].into());
    assert_eq!(report.takeovers, [SECOND]);
    // It is done again, and not committed again.
    let twice = both.clone().killed(65, "two").owns(66, "three", true);
    let report = twice.repeated(67, "three", 2).check(true);
    assert_eq!(report.copies, [(Cause::MemberKilled, 3)].into(), "{report}");
    // It was done two seconds before, and all below it was.
    let old = both.killed(85, "two").owns(86, "three", true);
    let report = old.repeated(87, "three", 2).check(false);
    assert!(
        matches!(report.violations[..], [Violation::Unexplained { .. }]),
        "{report}"
    );
}

#[test]
fn a_copy_must_be_marked() {
    let story = good().stored(2).done(41, "one", 2).killed(50, "one");
    let story = story.owns(52, "two", true).done(60, "two", 2);
    let (again, cause) = (enter("two", 2), Cause::MemberKilled);
    check_found(story, Violation::Unmarked { again, cause });
    // The member in between had not come that far.
    let story = good().stored(2).done(41, "one", 2).killed(50, "one");
    let between = story.owns(52, "two", true).owns(54, "two", false);
    check_fine(between.owns(54, "three", true).done(60, "three", 2));
}

#[test]
fn a_killed_broker_explains_copies_of_queues_that_moved() {
    let story = good().stored(2).done(41, "one", 2).broker_killed(50, 60);
    let kept = story.clone().repeated(70, "one", 2).check(true);
    assert!(
        matches!(kept.violations[..], [Violation::Unexplained { .. }]),
        "{kept}"
    );
    let moved = story.owns(55, "one", false).owns(61, "two", true);
    let report = check_fine(moved.clone().repeated(70, "two", 2));
    assert_eq!(report.copies, [(Cause::BrokerKilled, 1)].into());
    assert_eq!(report.returns, [SECOND]);
    // Nothing but the broker's death lets it forget what it had confirmed.
    let report = check_fine(moved.repeated(70, "two", 1));
    assert_eq!(report.copies, [(Cause::BrokerKilled, 1)].into());
}

/// It comes back without its locks, and gives the queue to another member before its owner has asked again.
#[test]
fn a_killed_broker_explains_copies_of_an_owner_that_still_has_what_it_read() {
    let story = good().stored(2).broker_killed(50, 52);
    let shared = story.clone().owns(53, "two", true).repeated(54, "two", 2);
    let report = check_fine(shared.clone().done(56, "one", 2).owns(57, "one", false));
    assert_eq!(report.copies, [(Cause::BrokerKilled, 1)].into());
    // One that reads on much later, or that had given the queue up, has no such reason.
    let given_up = shared.clone().owns(55, "one", false).owns(55, "one", true);
    let late = shared.done(110, "one", 2).owns(111, "one", false);
    for story in [given_up.done(56, "one", 2).owns(57, "one", false), late] {
        let (before, again) = (enter("two", 2), enter("one", 2));
        let before = Enter {
            repeated: true,
            ..before
        };
        check_found(story, Violation::Unexplained { before, again });
    }
}

#[test]
fn a_member_that_died_with_its_broker_explains_what_both_forgot() {
    let story = good().stored(2).done(41, "one", 2).broker_killed(50, 52);
    let story = story.killed(55, "one").owns(60, "two", true);
    let report = check_fine(story.repeated(61, "two", 1).repeated(62, "two", 2));
    assert_eq!(report.copies, [(Cause::BothKilled, 2)].into());
}

#[test]
fn a_queue_that_was_given_up_too_early_explains_a_copy() {
    let story = good().stored(2).done(41, "one", 2);
    let (member, queue) = ("one".to_owned(), queue());
    let story = story.at(50, What::Lost { member, queue });
    let story = story.owns(50, "one", false).owns(50, "two", true);
    let report = check_fine(story.repeated(60, "two", 2));
    assert_eq!(report.copies, [(Cause::Drained, 1)].into());
}

#[test]
fn a_retry_that_was_asked_for_is_no_copy_and_a_second_one_is() {
    let refused = good()
        .stored(2)
        .handled(40, enter("one", 2), Outcome::Later);
    let retry = |offset| {
        let mut retry = enter("one", offset);
        retry.place.queue.topic = "%RETRY%g".to_owned();
        (retry.key, retry.attempt) = (2, 1);
        retry
    };
    let once = refused.handled(60, retry(0), Outcome::Done);
    let report = once.clone().check(false);
    assert!(
        report.violations.is_empty() && report.copies.is_empty(),
        "{report}"
    );
    let twice = once.handled(70, retry(1), Outcome::Done);
    let report = twice.clone().check(false);
    assert!(
        matches!(report.violations[..], [Violation::Unexplained { .. }]),
        "{report}"
    );
    let report = twice.broker_killed(42, 43).check(false);
    assert_eq!(report.copies, [(Cause::RetriedTwice, 1)].into());
    assert!(report.violations.is_empty(), "{report}");
    // In place, and in its order.
    let mut again = enter("one", 2);
    again.attempt = 1;
    let in_place = good()
        .stored(2)
        .handled(40, enter("one", 2), Outcome::Later);
    check_fine(in_place.clone().handled(50, again, Outcome::Done));
    let moved = in_place.owns(45, "one", false).owns(45, "two", true);
    check_fine(moved.done(50, "two", 2));
}

#[test]
fn a_member_that_has_left_handles_nothing_and_leaves_nothing_over() {
    let ghost = good()
        .stored(2)
        .left(35, "one")
        .owns(36, "two", true)
        .done(50, "one", 2);
    let enter = enter("one", 2);
    check_found(ghost, Violation::Ghost { enter });
    let (member, what) = ("two".to_owned(), "one message".to_owned());
    let left_over = Some(what.clone());
    let left = What::Left {
        member: member.clone(),
        left_over,
    };
    check_found(good().at(50, left), Violation::LeftOver { member, what });
}

#[test]
fn a_killed_members_queue_that_stands_still_is_late() {
    let until = |tenths: i64, member: &str| {
        let story = good().stored(2).killed(40, "one");
        let story = story.owns(41, member, true);
        let late = Violation::Late {
            queue: queue(),
            waited: (tenths - 40) * SECOND / 10,
        };
        (story.done(tenths, member, 2), late)
    };
    let (story, late) = until(91, "two");
    assert_eq!(story.check(false).violations, [late]);
    // Its lock is kept for a minute, for itself.
    check_fine(until(690, "two").0);
    let (story, late) = until(691, "two");
    check_found(story, late);
    let (story, late) = until(91, "one-again");
    check_found(story, late);
}
