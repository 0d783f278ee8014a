//! What a broker answered before it was killed may be written down after that. (`consumer::ledger_checker` tests the
//! rest of the checker.)

use super::check::{Expected, History, Report, Violation};
use super::copies::Cause;
use super::record::{Enter, Outcome, Place, Queue, Record, SECOND, What};

fn check(story: &[(i64, What)]) -> Report {
    let records = story.iter().map(|(tenths, what)| Record {
        at: tenths * SECOND / 10,
        what: what.clone(),
    });
    let expected = Expected {
        is_ordered: true,
        commits_within: SECOND,
        broker_forgets: 5 * SECOND,
        takeover_within: 5 * SECOND,
    };
    History::new(records.collect()).check(&expected)
}

#[test]
fn what_a_killed_broker_answered_last_may_be_forgotten_when_it_is_written_down_after_its_death() {
    let broker = || "b".to_owned();
    let queue = || Queue {
        topic: "T".to_owned(),
        broker: broker(),
        id: 0,
    };
    let place = || Place {
        queue: queue(),
        offset: 0,
    };
    let owns = |member: &str, has_it: bool| What::Assigned {
        member: member.to_owned(),
        queues: has_it.then(queue).into_iter().collect(),
    };
    let enter = |member: &str| Enter {
        member: member.to_owned(),
        place: place(),
        key: 0,
        attempt: 0,
        repeated: member != "one",
    };
    let done = |member: &str| What::Outcome {
        enter: enter(member),
        outcome: Outcome::Done,
    };
    let commit = |member: &str, sent: i64| What::Commit {
        member: member.to_owned(),
        queue: queue(),
        offset: 1,
        sent: sent * SECOND / 10,
    };
    let has = |offset| What::Offset {
        queue: queue(),
        offset,
    };
    let (key, place) = (0, place());
    let mut story = vec![
        (0, What::Stored { key, place }),
        (0, owns("one", true)),
        (46, What::Enter(enter("one"))),
        (47, done("one")),
        (50, What::BrokerKilled { broker: broker() }),
        (51, commit("one", 49)),
        (51, has(1)),
        (52, owns("one", false)),
        // It serves before it counts as back.
        (57, has(0)),
        (57, owns("two", true)),
        (58, What::Enter(enter("two"))),
        (59, done("two")),
        (60, What::BrokerBack { broker: broker() }),
        (61, has(0)),
    ];
    let report = check(&story);
    assert_eq!(report.violations, []);
    assert_eq!(report.copies, [(Cause::BrokerKilled, 1)].into());

    // What it answers after its return is kept.
    story.extend([
        (62, commit("two", 61)),
        (63, has(1)),
        (64, has(0)),
        (65, owns("two", false)),
        (65, owns("three", true)),
        (66, What::Enter(enter("three"))),
        (67, done("three")),
    ]);
    let violations = check(&story).violations;
    let (from, to, committed) = (1, 0, 1);
    for expected in [
        Violation::Settled {
            enter: enter("three"),
            committed,
        },
        Violation::Fell {
            queue: queue(),
            from,
            to,
        },
    ] {
        assert!(violations.contains(&expected), "{violations:?}");
    }
}
