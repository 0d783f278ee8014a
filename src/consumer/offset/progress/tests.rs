use proptest::prelude::*;

use super::*;

fn queue(id: i32) -> MessageQueue {
    MessageQueue::new("T", if id < 2 { "a" } else { "b" }, id)
}

#[test]
fn the_latest_value_is_committed_until_it_is_confirmed() {
    let mut progress = Progress::default();
    let q = queue(0);
    progress.begin(&q, 1, 5, true);
    assert!(progress.is_settled(&q) && progress.due_of(&q).is_none());
    assert!(progress.advance(&q, 1, 7));
    let commit = progress.due_of(&q).expect("7 is not stored");
    assert!(progress.advance(&q, 1, 9));
    assert_eq!(progress.due_of(&q), None, "one at a time");
    assert_eq!(commit.offset, 7);
    progress.failed(commit);
    let commit = progress.due_of(&q).expect("9 is not stored");
    assert_eq!(commit.offset, 9);
    assert!(progress.confirmed(commit));
    assert_eq!(
        (progress.stored(&q), progress.latest(&q)),
        (Some(9), Some(9))
    );
    assert_eq!(progress.end(&q, 1), None);
    assert_eq!((progress.latest(&q), progress.is_settled(&q)), (None, true));
}

#[test]
fn a_start_that_was_decided_is_committed_at_once() {
    let mut progress = Progress::default();
    progress.begin(&queue(0), 1, 5, false);
    assert_eq!(progress.due_of(&queue(0)).map(|c| c.offset), Some(5));
}

/// A broker that creates a table may lose one of two commits that come at once.
#[test]
fn the_first_commit_of_a_topic_at_a_broker_is_sent_alone_and_twice() {
    let mut progress = Progress::at_brokers();
    let topic = |name: &str| MessageQueue::new(name, "a", 0);
    let queues = [queue(0), queue(1), queue(2), topic("U")];
    for queue in &queues {
        progress.begin(queue, 1, 5, false);
    }
    let sent = |progress: &mut Progress| -> Vec<Commit> {
        progress.due().into_values().flatten().collect()
    };
    let places = |commits: &[Commit]| -> Vec<MessageQueue> {
        commits.iter().map(|commit| commit.queue.clone()).collect()
    };
    let first = sent(&mut progress);
    assert_eq!(places(&first), [queue(0), topic("U"), queue(2)]);
    assert_eq!(
        progress.due_of(&queue(1)),
        None,
        "it waits for the first one"
    );
    let mut first = first.into_iter();
    progress.failed(first.next().expect("of queue 0"));
    let again = progress
        .due_of(&queue(1))
        .expect("no other one is in flight");
    assert!(!progress.has_table(&queue(1)));
    assert!(!progress.confirmed(again), "it may have been lost");
    assert!(progress.has_table(&queue(0)) && !progress.is_settled(&queue(1)));
    let second = sent(&mut progress);
    assert_eq!(places(&second), [queue(0), queue(1)]);
    assert!(second.into_iter().all(|commit| progress.confirmed(commit)));
    assert!(progress.is_settled(&queue(0)) && progress.is_settled(&queue(1)));
    // A broker that restarted may lack it again.
    progress.broker_came_back("a");
    assert!(!progress.has_table(&queue(0)));
}

#[test]
fn lower_and_older_values_are_refused_but_for_a_seek() {
    let mut progress = Progress::default();
    let q = queue(0);
    assert!(!progress.advance(&q, 1, 5));
    progress.begin(&q, 2, 5, true);
    assert!(!progress.advance(&q, 2, 4) && !progress.advance(&q, 1, 9));
    assert_eq!((progress.refused(), progress.latest(&q)), (3, Some(5)));
    progress.seek(&q, 3, 1);
    assert!(!progress.advance(&q, 2, 9) && progress.advance(&q, 3, 2));
    assert_eq!(progress.due_of(&q).map(|c| c.offset), Some(2));
}

#[test]
fn a_seek_waits_for_the_commit_in_flight() {
    let mut progress = Progress::default();
    let q = queue(0);
    progress.begin(&q, 1, 5, false);
    let old = progress.due_of(&q).expect("due");
    progress.seek(&q, 2, 1);
    assert_eq!(progress.due_of(&q), None);
    assert!(!progress.confirmed(old));
    let seek = progress.due_of(&q).expect("due");
    assert_eq!((seek.offset, progress.confirmed(seek)), (1, true));
}

#[test]
fn a_queue_that_comes_back_waits_for_the_commit_of_its_past() {
    let mut progress = Progress::default();
    let q = queue(0);
    progress.begin(&q, 1, 5, false);
    let old = progress.due_of(&q).expect("due");
    assert_eq!(progress.end(&q, 1), Some(5));
    assert_eq!(
        (progress.end(&q, 1), progress.unconfirmed().count()),
        (None, 0)
    );
    progress.begin(&q, 2, 8, true);
    assert_eq!(progress.due_of(&q), None);
    progress.failed(old);
    // The broker may have the old value, so 8 is committed although the store had it.
    assert_eq!(progress.due_of(&q).map(|c| c.offset), Some(8));
}

#[test]
fn commits_are_grouped_by_broker_and_made_again_when_one_comes_back() {
    let mut progress = Progress::default();
    (0..4).for_each(|id| progress.begin(&queue(id), 1, 5, id == 0));
    let due = progress.due();
    let ids: Vec<(&str, Vec<i32>)> = due
        .iter()
        .map(|(broker, commits)| (&**broker, commits.iter().map(|c| c.queue.id()).collect()))
        .collect();
    assert_eq!(ids, [("a", vec![1]), ("b", vec![2, 3])]);
    due.into_values().flatten().for_each(|commit| {
        progress.confirmed(commit);
    });
    assert!(progress.due().is_empty());
    progress.broker_came_back("b");
    assert_eq!(progress.unconfirmed().count(), 2);
    let due = progress.due();
    assert_eq!(due.keys().map(|b| &**b).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_queue_that_moves_to_another_broker_is_committed_there_and_its_first_commit_too() {
    let mut progress = Progress::at_brokers();
    let logical = |id| MessageQueue::new("T", "logical", id);
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    for id in [0, 1] {
        progress.is_on(&logical(id), &a);
        progress.begin(&logical(id), 1, 5, id == 0);
    }
    let first = progress.due_of(&logical(1)).expect("it is not stored");
    progress.confirmed(first);
    let again = progress.due_of(&logical(1)).expect("the first may be lost");
    assert!(progress.confirmed(again) && progress.has_table(&logical(0)));
    assert!(progress.due().is_empty());
    // It moves while a commit is in flight.
    assert!(progress.advance(&logical(0), 1, 7));
    let late = progress.due_of(&logical(0)).expect("7 is not stored");
    progress.is_on(&logical(0), &b);
    assert!(!progress.has_table(&logical(0)) && progress.has_table(&logical(1)));
    assert!(!progress.confirmed(late), "the other broker lacks it");
    let due = progress.due();
    assert_eq!(due.keys().map(|b| &**b).collect::<Vec<_>>(), ["b"]);
    due.into_values().flatten().for_each(|commit| {
        progress.confirmed(commit);
    });
    let again = progress.due_of(&logical(0)).expect("the first may be lost");
    assert!(progress.confirmed(again) && progress.is_settled(&logical(0)));
    progress.broker_came_back("a");
    let open: Vec<_> = progress
        .unconfirmed()
        .map(|(queue, _)| queue.id())
        .collect();
    assert_eq!(open, [1]);
}

#[derive(Debug, Clone)]
enum Step {
    Advance(u64),
    Seek(u64),
    /// Another member has the queue for a while, and moves it.
    LeaveAndComeBack(u64),
    Send,
    /// The broker stores the request in flight, and its answer arrives or is lost.
    Store {
        is_answered: bool,
    },
    /// The request is lost on its way.
    Lose,
    /// The broker falls back to an older value, and the connection is new.
    Restart(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u64..9).prop_map(Step::Advance),
        1 => (0u64..99).prop_map(Step::Seek),
        1 => (0u64..9).prop_map(Step::LeaveAndComeBack),
        6 => Just(Step::Send),
        4 => Just(Step::Store { is_answered: true }),
        1 => Just(Step::Store { is_answered: false }),
        1 => Just(Step::Lose),
        1 => (0u64..99).prop_map(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(crate::consumer::cases(100, 20_000))]
    /// One queue and its broker: the stored offset never falls within a generation, never
    /// exceeds the low-water, and in the end it is the latest value.
    #[test]
    fn the_store_follows_and_never_falls(steps in prop::collection::vec(step(), 1..120)) {
        let q = queue(0);
        let mut progress = Progress::default();
        let (mut stored, mut generation, mut low_water) = (0u64, 1u64, 0u64);
        progress.begin(&q, generation, 0, true);
        let mut in_flight: Option<Commit> = None;
        // The last value of this generation that the broker stored.
        let mut most = 0;
        for step in steps {
            match step {
                Step::Advance(by) => {
                    low_water += by;
                    prop_assert!(progress.advance(&q, generation, low_water));
                }
                Step::Seek(to) => {
                    (generation, low_water, most) = (generation + 1, to, 0);
                    progress.seek(&q, generation, to);
                }
                Step::LeaveAndComeBack(by) => {
                    let was_settled = progress.is_settled(&q);
                    let left = progress.end(&q, generation);
                    prop_assert_eq!(left, (!was_settled).then_some(low_water));
                    // A queue is handed over when its commits ended.
                    if let Some(commit) = in_flight.take() {
                        progress.failed(commit);
                    }
                    stored = stored.max(if was_settled { low_water } else { stored }) + by;
                    (generation, low_water, most) = (generation + 1, stored, 0);
                    progress.begin(&q, generation, stored, true);
                }
                Step::Send => {
                    let commit = progress.due_of(&q);
                    if let Some(commit) = commit {
                        prop_assert!(in_flight.is_none());
                        prop_assert_eq!(commit.offset, low_water);
                        in_flight = Some(commit);
                    }
                }
                Step::Store { is_answered } => if let Some(commit) = in_flight.take() {
                    if commit.generation == generation {
                        prop_assert!(commit.offset <= low_water);
                        prop_assert!(commit.offset >= most, "{} after {}", commit.offset, most);
                        most = commit.offset;
                    }
                    stored = commit.offset;
                    match is_answered {
                        true => { progress.confirmed(commit); }
                        false => progress.failed(commit),
                    }
                },
                Step::Lose => if let Some(commit) = in_flight.take() {
                    progress.failed(commit);
                },
                Step::Restart(to) => {
                    stored = stored.min(to);
                    progress.broker_came_back("a");
                    if let Some(commit) = in_flight.take() {
                        progress.failed(commit);
                    }
                }
            }
            if progress.is_settled(&q) {
                prop_assert_eq!(stored, low_water);
            }
        }
        if let Some(commit) = in_flight.take() {
            progress.failed(commit);
        }
        while let Some(commit) = progress.due_of(&q) {
            stored = commit.offset;
            progress.confirmed(commit);
        }
        prop_assert_eq!(stored, low_water);
        prop_assert_eq!(progress.unconfirmed().count(), 0);
    }
}
