use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The most messages of one request.
const MOST: usize = 32;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

fn budget(bytes: u64, queues: u32) -> Budget<u32> {
    let mut budget = Budget::new(bytes, MOST);
    (0..queues).for_each(|queue| budget.add(queue));
    budget
}

/// Fetches `bytes` in one message for `queue`, which must be allowed.
#[track_caller]
fn fetch(budget: &mut Budget<u32>, queue: u32, bytes: u64) {
    assert!(budget.ask(queue, 1).is_some(), "queue {queue} may not ask");
    assert_eq!(budget.answered(queue, 1, bytes), Answer::Kept);
}

#[test]
fn a_request_reserves_an_estimate_that_its_answer_replaces() {
    let mut budget = budget(64 * MIB, 4);
    let grant = budget.ask(0, 1000).expect("there is capacity");
    let expected = Grant {
        messages: 32,
        may_park: true,
    };
    assert_eq!(
        (grant, budget.used, budget.held()),
        (expected, 256 * KIB, 0)
    );
    assert_eq!(budget.ask(0, 1000), None, "one request at a time");
    assert_eq!(budget.answered(0, 32, 32 * KIB), Answer::Kept);
    assert_eq!((budget.used, budget.held()), (32 * KIB, 32 * KIB));
    // The size that was seen is expected again; the estimate of other queues rises a bit.
    assert_eq!(budget.ask(0, 2).map(|g| g.messages), Some(2));
    assert_eq!(
        (budget.used, budget.typical),
        (34 * KIB, 8 * KIB - 7 * KIB / 4)
    );
    budget.unanswered(0);
    budget.release(0, 30 * KIB);
    assert_eq!(budget.used, 2 * KIB);
    assert_eq!(budget.remove(0), 2 * KIB);
    budget.release(0, 2 * KIB);
    assert_eq!((budget.used, budget.accounts.len()), (0, 3));
    assert_eq!(budget.ask(0, 1), None, "the queue is gone");
}

#[test]
fn a_thousand_idle_queues_park_within_the_guaranteed_half() {
    let mut budget = budget(64 * MIB, 1000);
    for queue in 0..1000 {
        let grant = budget.ask(queue, 2000).expect("each of them may ask");
        if !grant.may_park {
            budget.answered(queue, 0, 0);
            assert!(budget.ask(queue, 2000).expect("again").may_park);
        }
    }
    assert!(budget.used <= 32 * MIB && budget.line.is_empty());
    // One of them wakes up and gets more than its share.
    assert_eq!(budget.answered(7, 32, 256 * KIB), Answer::Kept);
    let grant = budget.ask(7, 2000).expect("from the pool");
    assert_eq!((grant.messages, grant.may_park), (32, false));
}

#[test]
fn a_busy_queue_leaves_something_for_the_next_one() {
    let mut budget = budget(16 * MIB, 2);
    let mut fetches = 0;
    while budget.ask(0, 1).is_some() {
        assert_eq!(budget.answered(0, 1, 64 * KIB), Answer::Kept);
        fetches += 1;
    }
    // 4 MiB are its guarantee; the rest is half of the pool of 8 MiB.
    assert_eq!(fetches * 64 * KIB, 8 * MIB);
    fetches = 0;
    while budget.ask(1, 1).is_some() {
        assert_eq!(budget.answered(1, 1, 64 * KIB), Answer::Kept);
        fetches += 1;
    }
    // Its own 4 MiB, and half of what is left of the pool: no line, as a queue may use its own.
    assert!(fetches * 64 * KIB >= 4 * MIB, "{fetches}");
    assert_eq!(budget.waiting(), 2);
    budget.release(0, 8 * MIB);
    let served: Vec<u32> = std::iter::from_fn(|| budget.serve())
        .map(|(q, _)| q)
        .collect();
    assert_eq!(served, [0, 1]);
}

#[test]
fn a_message_larger_than_the_budget_passes_alone() {
    let mut budget = budget(8 * MIB, 2);
    fetch(&mut budget, 1, 3 * MIB);
    assert!(budget.ask(0, 32).is_some());
    assert_eq!(
        budget.answered(0, 1, 20 * MIB),
        Answer::Dropped,
        "the pool is used"
    );
    assert_eq!((budget.dropped(), budget.held()), (1, 3 * MIB));
    assert_eq!((budget.ask(0, 32), budget.serve()), (None, None));
    budget.release(1, 3 * MIB);
    let (queue, grant) = budget.serve().expect("the pool is free");
    assert_eq!((queue, grant.may_park), (0, false));
    assert_eq!(budget.answered(0, 1, 21 * MIB), Answer::Kept);
    // Nothing else passes until it is done.
    assert_eq!(budget.ask(1, 1), None);
    assert_eq!(budget.serve(), None);
    budget.release(0, 21 * MIB);
    assert_eq!(budget.serve().map(|(queue, _)| queue), Some(1));
}

#[test]
fn bytes_of_a_queue_that_went_away_count_until_they_are_released() {
    let mut budget = budget(800 * KIB, 2);
    fetch(&mut budget, 0, 200 * KIB);
    assert_eq!(budget.remove(0), 200 * KIB);
    // Its guarantee is all of the half now, and the pool is free, but not all of both.
    assert!(budget.ask(1, 1).is_some());
    assert_eq!(budget.answered(1, 1, 700 * KIB), Answer::Dropped);
    budget.release(0, 200 * KIB);
    assert!(budget.ask(1, 1).is_some());
    assert_eq!(budget.answered(1, 1, 700 * KIB), Answer::Kept);
}

#[test]
fn a_parked_request_that_brings_too_much_is_asked_again_in_line() {
    let mut budget = budget(MIB, 2);
    for queue in 0..2 {
        assert!(budget.ask(queue, 32).is_some());
        budget.answered(queue, 0, 0);
        assert!(budget.ask(queue, 32).expect("parked").may_park);
    }
    assert_eq!(budget.answered(0, 1, 600 * KIB), Answer::Kept);
    assert_eq!(budget.answered(1, 1, 600 * KIB), Answer::Dropped);
    assert_eq!((budget.ask(1, 32), budget.waiting()), (None, 1));
    budget.release(0, 600 * KIB);
    assert_eq!(budget.serve().map(|(queue, _)| queue), Some(1));
    assert_eq!(budget.answered(1, 1, 600 * KIB), Answer::Kept);
}

/// One queue of the simulation below.
struct Simulated {
    message: u64,
    is_stuck: bool,
    /// The ticks at which its messages end.
    ends: Vec<u64>,
    delivered: u64,
    fetches: u64,
    waits_since: u64,
    longest_wait: u64,
}

/// All queues have messages without end; each fetch is answered at once with what it asked for, and
/// a message takes `ticks`.
fn simulate(bytes: u64, messages: &[u64], stuck: usize, ticks: u64, until: u64) -> Vec<Simulated> {
    let mut budget = budget(bytes, messages.len() as u32);
    let simulated = |(i, message): (usize, &u64)| Simulated {
        message: *message,
        is_stuck: i < stuck,
        ends: Vec::new(),
        delivered: 0,
        fetches: 0,
        waits_since: 0,
        longest_wait: 0,
    };
    let mut queues: Vec<Simulated> = messages.iter().enumerate().map(simulated).collect();
    let largest = messages.iter().max().expect("a queue");
    for now in 0..until {
        for (i, queue) in queues.iter_mut().enumerate() {
            let before = queue.ends.len();
            queue.ends.retain(|end| *end > now || queue.is_stuck);
            budget.release(i as u32, (before - queue.ends.len()) as u64 * queue.message);
        }
        let mut fetched = |budget: &mut Budget<u32>, i: usize, grant: Grant| {
            let queue = &mut queues[i];
            let size = |n: usize| n as u64 * queue.message;
            let most = (256 * KIB / queue.message).max(1) as usize;
            let n = grant.messages.min(most);
            if budget.answered(i as u32, n, size(n)) == Answer::Kept {
                queue.ends.extend((0..n).map(|_| now + ticks));
                queue.delivered += size(n);
                queue.fetches += 1;
                queue.longest_wait = queue.longest_wait.max(now - queue.waits_since);
                queue.waits_since = now;
            }
            assert!(budget.held() <= bytes.max(bytes / 2 + largest));
        };
        for i in 0..messages.len() {
            // Another queue asks first each time.
            let i = (i + now as usize) % messages.len();
            while let Some(grant) = budget.ask(i as u32, 2000) {
                fetched(&mut budget, i, grant);
            }
        }
        while let Some((queue, grant)) = budget.serve() {
            fetched(&mut budget, queue as usize, grant);
        }
    }
    queues
}

#[test]
fn large_messages_of_many_queues_take_turns() {
    // 64 queues with messages of 4 MiB, 8 MiB: the pool has one of them at a time.
    let queues = simulate(8 * MIB, &[4 * MIB; 64], 0, 1, 2000);
    let delivered: Vec<u64> = queues.iter().map(|q| q.fetches).collect();
    let (least, most) = (delivered.iter().min(), delivered.iter().max());
    assert!(most.unwrap() - least.unwrap() <= 2, "{delivered:?}");
    let longest = queues.iter().map(|q| q.longest_wait).max();
    assert!(longest <= Some(2 * 64), "{longest:?}");
}

#[test]
fn busy_queues_get_at_least_half_of_an_equal_share() {
    const TICKS: u64 = 90;
    let sizes = [KIB, 10 * KIB, 100 * KIB, 300 * KIB, MIB, 3 * MIB];
    for (bytes, messages) in [
        (64 * MIB, vec![KIB; 16]),
        (8 * MIB, vec![100 * KIB; 64]),
        (8 * MIB, sizes.to_vec()),
        (MIB, vec![256; 1000]),
        (MIB, vec![KIB; 200]),
    ] {
        let count = messages.len() as u64;
        for queue in simulate(bytes, &messages, 0, 3, TICKS) {
            let (message, delivered) = (queue.message, queue.delivered);
            // Half of what there would be if the budget were divided among them, in whole messages,
            // used up every three ticks.
            let part = bytes / count / 2;
            let least = match message <= part {
                true => (part - part % message) * (TICKS / 3),
                // They take turns.
                false => (part * (TICKS / 3)).min(message * (TICKS / 3 / count)),
            };
            assert!(delivered >= least, "{delivered} of {least} with {message}");
        }
    }
}

#[test]
fn queues_whose_messages_never_end_do_not_stop_other_queues() {
    let queues = simulate(8 * MIB, &[16 * KIB; 32], 31, 1, 200);
    let last = &queues[31];
    assert!(last.delivered >= 190 * 8 * MIB / 64, "{}", last.delivered);
}

#[derive(Debug, Clone)]
enum Step {
    Ask(u32, usize),
    Answer(u32, u64),
    Fail(u32),
    Release(u32, u8),
    Add(u32),
    Remove(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let queue = 0u32..8;
    prop_oneof![
        6 => (queue.clone(), 0usize..50).prop_map(|(q, n)| Step::Ask(q, n)),
        6 => (queue.clone(), prop_oneof![Just(0), 1u64..3000, 1u64..200_000]).prop_map(|(q, b)| Step::Answer(q, b)),
        1 => queue.clone().prop_map(Step::Fail),
        6 => (queue.clone(), any::<u8>()).prop_map(|(q, part)| Step::Release(q, part)),
        1 => queue.clone().prop_map(Step::Add),
        1 => queue.prop_map(Step::Remove),
    ]
}

proptest! {
    #![proptest_config(crate::consumer::cases(100, 10_000))]
    /// After any sequence of events the sums are right, the bound holds, and no queue waits that could go.
    #[test]
    fn the_bound_holds(bytes in 1u64..200_000, steps in prop::collection::vec(step(), 1..200)) {
        let mut budget: Budget<u32> = Budget::new(bytes, MOST);
        let bytes = budget.bytes;
        let mut held: BTreeMap<u32, u64> = BTreeMap::new();
        let mut asked: BTreeMap<u32, Grant> = BTreeMap::new();
        let mut largest = 0;
        for step in steps {
            match step {
                Step::Ask(queue, n) => {
                    if let Some(grant) = budget.ask(queue, n) {
                        prop_assert!((1..=n.min(MOST)).contains(&grant.messages));
                        prop_assert!(asked.insert(queue, grant).is_none());
                    }
                }
                Step::Answer(queue, each) => {
                    let Some(grant) = asked.remove(&queue) else { continue };
                    let messages = if each == 0 { 0 } else { grant.messages };
                    let size = each * messages as u64;
                    if budget.answered(queue, messages, size) == Answer::Kept {
                        *held.entry(queue).or_default() += size;
                        largest = largest.max(size);
                    }
                }
                Step::Fail(queue) => {
                    asked.remove(&queue);
                    budget.unanswered(queue);
                }
                Step::Release(queue, part) => {
                    let holds = held.entry(queue).or_default();
                    let freed = if part > 200 { *holds } else { *holds * u64::from(part) / 255 };
                    *holds -= freed;
                    budget.release(queue, freed);
                }
                Step::Add(queue) => {
                    asked.remove(&queue);
                    budget.add(queue);
                }
                Step::Remove(queue) => {
                    asked.remove(&queue);
                    let still = budget.remove(queue);
                    prop_assert_eq!(still, held.get(&queue).copied().unwrap_or(0));
                }
            }
            while let Some((queue, grant)) = budget.serve() {
                prop_assert!(asked.insert(queue, grant).is_none());
            }
            prop_assert_eq!(budget.held(), held.values().sum::<u64>());
            prop_assert!(budget.held() <= bytes.max(bytes / 2 + largest));
            let used: u64 = budget.accounts.values().map(Account::used).sum();
            let guarantee = budget.guarantee();
            let pooled: u64 = budget.accounts.values().map(|a| a.pooled(guarantee)).sum();
            prop_assert_eq!((budget.used, budget.pooled), (used, pooled));
            let in_line = budget.accounts.values().filter(|a| a.is_in_line).count();
            prop_assert_eq!(in_line, budget.line.len());
            for queue in &budget.line {
                prop_assert!(budget.accounts[queue].reserved.is_none());
                prop_assert!(!budget.accounts[queue].is_removed);
            }
        }
        // When all is released and answered, all queues in line go, one after the other.
        for (queue, freed) in held {
            budget.release(queue, freed);
        }
        for queue in asked.into_keys() {
            budget.unanswered(queue);
        }
        while budget.waiting() > 0 {
            let (queue, _) = budget.serve().expect("nothing holds it up");
            budget.unanswered(queue);
        }
    }
}
