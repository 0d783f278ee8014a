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
        progress.due(|_| true).into_values().flatten().collect()
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
    let due = progress.due(|_| true);
    let ids: Vec<(&str, Vec<i32>)> = due
        .iter()
        .map(|(broker, commits)| (&**broker, commits.iter().map(|c| c.queue.id()).collect()))
        .collect();
    assert_eq!(ids, [("a", vec![1]), ("b", vec![2, 3])]);
    due.into_values().flatten().for_each(|commit| {
        progress.confirmed(commit);
    });
    assert!(progress.due(|_| true).is_empty());
    progress.broker_came_back("b");
    assert_eq!(progress.unconfirmed().count(), 2);
    let due = progress.due(|_| true);
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
    assert!(progress.due(|_| true).is_empty());
    // It moves while a commit is in flight.
    assert!(progress.advance(&logical(0), 1, 7));
    let late = progress.due_of(&logical(0)).expect("7 is not stored");
    progress.is_on(&logical(0), &b);
    assert!(!progress.has_table(&logical(0)) && progress.has_table(&logical(1)));
    assert!(!progress.confirmed(late), "the other broker lacks it");
    let due = progress.due(|_| true);
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
    /// The broker stores the request in flight, and its answer arrives or is lost. `is_kept`: no other
    /// member made the table at the same time.
    Store {
        is_answered: bool,
        is_kept: bool,
    },
    /// The request is lost on its way.
    Lose,
    /// The broker falls back to an older value, without its table, and the connection is new.
    Restart(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let store = |is_answered| {
        any::<bool>().prop_map(move |is_kept| Step::Store {
            is_answered,
            is_kept,
        })
    };
    prop_oneof![
        8 => (0u64..9).prop_map(Step::Advance),
        1 => (0u64..99).prop_map(Step::Seek),
        1 => (0u64..9).prop_map(Step::LeaveAndComeBack),
        6 => Just(Step::Send),
        4 => store(true),
        1 => store(false),
        1 => Just(Step::Lose),
        1 => (0u64..99).prop_map(Step::Restart),
    ]
}

/// A queue, and its value in the store.
struct Simulated {
    queue: MessageQueue,
    generation: u64,
    low_water: u64,
    stored: u64,
    /// The last value of this generation that the store got.
    most: u64,
    /// The commit in flight, and whether the broker had its table when it was sent.
    in_flight: Option<(Commit, bool)>,
}

/// Two queues of one topic and broker.
struct Model {
    progress: Progress,
    /// A store without tables always has one.
    has_table: bool,
    needs_table: bool,
    queues: [Simulated; 2],
}

impl Model {
    fn new(mut progress: Progress, needs_table: bool) -> Model {
        let queues = [0, 1].map(|id| {
            progress.begin(&queue(id), 1, 0, true);
            Simulated {
                queue: queue(id),
                generation: 1,
                low_water: 0,
                stored: 0,
                most: 0,
                in_flight: None,
            }
        });
        Model {
            progress,
            has_table: !needs_table,
            needs_table,
            queues,
        }
    }

    fn run(&mut self, index: usize, step: Step) -> Result<(), TestCaseError> {
        let (progress, others) = (
            &mut self.progress,
            self.queues[1 - index].in_flight.is_some(),
        );
        let one = &mut self.queues[index];
        let q = one.queue.clone();
        match step {
            Step::Advance(by) => {
                one.low_water += by;
                prop_assert!(progress.advance(&q, one.generation, one.low_water));
            }
            Step::Seek(to) => {
                (one.generation, one.low_water, one.most) = (one.generation + 1, to, 0);
                progress.seek(&q, one.generation, to);
            }
            Step::LeaveAndComeBack(by) => {
                let was_settled = progress.is_settled(&q);
                let left = progress.end(&q, one.generation);
                prop_assert_eq!(left, (!was_settled).then_some(one.low_water));
                // A queue is handed over when its commits ended.
                if let Some((commit, _)) = one.in_flight.take() {
                    progress.failed(commit);
                }
                let handed_over = if was_settled {
                    one.low_water
                } else {
                    one.stored
                };
                one.stored = one.stored.max(handed_over) + by;
                self.has_table |= by > 0;
                (one.generation, one.low_water, one.most) = (one.generation + 1, one.stored, 0);
                progress.begin(&q, one.generation, one.stored, true);
            }
            Step::Send => {
                let commit = progress.due_of(&q);
                if let Some(commit) = commit {
                    prop_assert!(one.in_flight.is_none());
                    prop_assert!(self.has_table || !others, "the first commit goes alone");
                    prop_assert_eq!(commit.offset, one.low_water);
                    one.in_flight = Some((commit, self.has_table));
                }
            }
            Step::Store {
                is_answered,
                is_kept,
            } => {
                if let Some((commit, had_table)) = one.in_flight.take() {
                    if commit.generation == one.generation {
                        let most = one.most;
                        prop_assert!(commit.offset <= one.low_water);
                        prop_assert!(commit.offset >= most, "{} after {most}", commit.offset);
                        one.most = commit.offset;
                    }
                    self.has_table = true;
                    if had_table || is_kept {
                        one.stored = commit.offset;
                    }
                    match is_answered {
                        true => drop(progress.confirmed(commit)),
                        false => progress.failed(commit),
                    }
                }
            }
            Step::Lose => {
                if let Some((commit, _)) = one.in_flight.take() {
                    progress.failed(commit);
                }
            }
            Step::Restart(to) => {
                self.has_table = !self.needs_table;
                progress.broker_came_back("a");
                for one in &mut self.queues {
                    one.stored = one.stored.min(to);
                    if let Some((commit, _)) = one.in_flight.take() {
                        progress.failed(commit);
                    }
                }
            }
        }
        for one in &self.queues {
            if self.progress.is_settled(&one.queue) {
                prop_assert_eq!(one.stored, one.low_water);
            }
        }
        Ok(())
    }

    /// All faults have ended, but for another member that makes the table at the same time.
    fn end(mut self) -> Result<(), TestCaseError> {
        for one in &mut self.queues {
            if let Some((commit, _)) = one.in_flight.take() {
                self.progress.failed(commit);
            }
        }
        for index in [0, 1, 0, 1] {
            for _ in 0..2 {
                self.run(index, Step::Send)?;
                let (is_answered, is_kept) = (true, false);
                self.run(
                    index,
                    Step::Store {
                        is_answered,
                        is_kept,
                    },
                )?;
            }
        }
        for one in &self.queues {
            prop_assert_eq!(one.stored, one.low_water);
        }
        prop_assert_eq!(self.progress.unconfirmed().count(), 0);
        Ok(())
    }
}

proptest! {
    #![proptest_config(crate::consumer::cases(100, 20_000))]
    /// Two queues and their store, which needs a table or not: the stored offset never falls within a
    /// generation, never exceeds the low-water, and in the end it is the latest value.
    #[test]
    fn the_store_follows_and_never_falls(
        steps in prop::collection::vec((0usize..2, step()), 1..120),
        needs_table in any::<bool>(),
    ) {
        let progress = match needs_table {
            true => Progress::at_brokers(),
            false => Progress::default(),
        };
        let mut model = Model::new(progress, needs_table);
        for (index, step) in steps {
            model.run(index, step)?;
        }
        model.end()?;
    }
}
