//! Messages that cannot be read, and answers that contradict themselves.

use std::collections::BTreeSet;
use std::thread;

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::{Doing, Event, OnCorrupt, PushConsumerBuilder};
use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::protocol::Command;
use rocketmq_blocking::protocol::code::response;
use rocketmq_blocking::protocol::sys_flag::{COMPRESSED, COMPRESSION_MASK, COMPRESSION_ZLIB};

use super::{HOLD, Seen, check_commits, cluster, consumer, count, end, of_queue, queue, send_to};
use crate::bench::*;
use crate::support::producer;

/// Where parts of a message are, in the form in which brokers hand it out.
const MAGIC: usize = 4;
const CHECKSUM: usize = 8;
const OFFSET: usize = 20;
const SYS_FLAG: usize = 36;

/// Changes the message at this offset of its queue in an answer, if it is there.
fn change(answer: &mut Command, offset: i64, change: impl Fn(&mut [u8])) {
    let mut rest = &mut answer.body[..];
    while let Some(length) = rest.first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let (message, others) = rest.split_at_mut(length);
        if message[OFFSET..OFFSET + 8] == offset.to_be_bytes() {
            return change(message);
        }
        rest = others;
    }
}

fn put(message: &mut [u8], at: usize, value: i32) {
    message[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

/// The checksum of the message at this offset is wrong in all answers that have it.
fn wrong_checksum(offset: i64) -> Fault {
    let flip = |message: &mut [u8]| message[CHECKSUM] ^= 1;
    let of_queue = of_queue(On::Pull, 0);
    let has_it = move |command: &Command| {
        let from = command.ext.parse::<i64>("queueOffset");
        of_queue.matches(command) && from.is_ok_and(|from| from <= Some(offset))
    };
    Fault::damage(move |answer| change(answer, offset, flip)).on(On::when(has_it))
}

/// Five messages in one queue, and the events of a consumer.
fn start(
    cluster: &Cluster,
    seen: &Seen,
    set: impl FnOnce(PushConsumerBuilder) -> PushConsumerBuilder,
) -> (rocketmq_blocking::PushConsumer, Receiver<Event>) {
    let (told, events) = unbounded();
    let builder = consumer(&cluster.name_server())
        .commit_interval(ms(10))
        .events(move |event| drop(told.send(event.clone())));
    (seen.start(set(builder)), events)
}

fn with_five() -> Cluster {
    let cluster = cluster(1);
    let producer = producer(&cluster);
    (0..5).for_each(|number| send_to(&producer, queue(0), number));
    cluster
}

/// Fetches of one message alone, from this offset.
fn refetches(cluster: &Cluster, offset: i64) -> usize {
    let offset = offset.to_string();
    let is = |command: &Command, name, value: &str| command.ext.get(name) == Some(value);
    let one = move |command: &Command| {
        is(command, "maxMsgNums", "1") && is(command, "queueOffset", &offset)
    };
    count(
        cluster,
        On::when(move |command| On::Pull.matches(command) && one(command)),
    )
}

#[track_caller]
fn corrupt_event(events: &Receiver<Event>) -> (u64, String) {
    loop {
        match events.recv_timeout(PATIENCE).expect("an event") {
            Event::Corrupt { offset, what, .. } => return (offset, what),
            _ => continue,
        }
    }
}

#[test]
fn a_damaged_message_is_fetched_three_times_more_and_then_its_policy_decides() {
    for policy in [OnCorrupt::Skip, OnCorrupt::DeadLetter, OnCorrupt::Wait] {
        let cluster = with_five();
        let broker = cluster.broker("broker-a");
        broker.inject(wrong_checksum(2));
        let seen = Seen::default();
        let (consumer, events) = start(&cluster, &seen, |builder| builder.on_corrupt(policy));
        let (offset, what) = corrupt_event(&events);
        assert_eq!(offset, 2, "{policy:?}");
        assert!(what.contains("checksum"), "{policy:?}: {what}");
        seen.wait_for(4);
        assert_eq!(refetches(&cluster, 2), 3, "{policy:?}");
        assert_eq!(consumer.stats().corrupt, 1, "{policy:?}");
        let group = cluster.group("g");
        let end_at = if policy == OnCorrupt::Wait { 2 } else { 5 };
        let committed = || group.committed(&queue(0)) == Some(end_at);
        assert!(cluster.wait_until(PATIENCE, committed), "{policy:?}");
        end(&consumer);
        let handled: BTreeSet<usize> = seen.0.lock().keys().copied().collect();
        assert_eq!(handled, BTreeSet::from([0, 1, 3, 4]), "{policy:?}");
        let dead = group.dead_letters();
        let dead: Vec<String> = dead.iter().map(|letter| letter.text()).collect();
        let expected: &[&str] = match policy {
            OnCorrupt::DeadLetter => &["2"],
            _ => &[],
        };
        assert_eq!(dead, expected, "{policy:?}");
        assert_eq!(group.committed(&queue(0)), Some(end_at), "{policy:?}");
        // The one that waits comes to the next consumer, once it can be read; those behind it come again.
        broker.clear_faults();
        if policy == OnCorrupt::Wait {
            let (next, _events) = start(&cluster, &seen, |builder| builder);
            assert!(cluster.wait_until(PATIENCE, || group.committed(&queue(0)) == Some(5)));
            end(&next);
            assert_eq!(seen.repeated_of(5), [3, 4]);
        }
        check_commits(&cluster);
    }
}

#[test]
fn a_damaged_message_that_can_be_read_the_next_time_is_no_event() {
    let cluster = with_five();
    // The first answer, and two of one message alone.
    cluster
        .broker("broker-a")
        .inject(wrong_checksum(2).times(3));
    let seen = Seen::default();
    let (consumer, events) = start(&cluster, &seen, |builder| builder);
    seen.wait_for(5);
    end(&consumer);
    seen.check_once(5);
    assert_eq!((refetches(&cluster, 2), consumer.stats().corrupt), (3, 0));
    let told: Vec<Event> = events.try_iter().collect();
    let is_corrupt = |event: &Event| matches!(event, Event::Corrupt { .. });
    assert!(!told.iter().any(is_corrupt), "{told:?}");
    assert_eq!(cluster.group("g").lag("T"), 0);
}

#[test]
fn bodies_that_cannot_be_inflated_are_reported_and_others_are_handed_out() {
    let cluster = with_five();
    let damage = |answer: &mut Command| {
        // A compression that nobody knows, and bytes that are not of their compression.
        change(answer, 1, |message| {
            put(message, SYS_FLAG, COMPRESSED | COMPRESSION_MASK);
        });
        change(answer, 3, |message| {
            put(message, SYS_FLAG, COMPRESSED | COMPRESSION_ZLIB);
        });
    };
    let fault = Fault::damage(damage).on(of_queue(On::Pull, 0));
    cluster.broker("broker-a").inject(fault);
    let seen = Seen::default();
    let skip = |builder: PushConsumerBuilder| builder.on_corrupt(OnCorrupt::Skip);
    let (consumer, events) = start(&cluster, &seen, skip);
    let reported = [corrupt_event(&events), corrupt_event(&events)];
    let offsets = BTreeSet::from(reported.map(|(offset, _)| offset));
    assert_eq!(offsets, BTreeSet::from([1, 3]));
    let committed = || cluster.group("g").committed(&queue(0)) == Some(5);
    assert!(cluster.wait_until(PATIENCE, committed));
    end(&consumer);
    let handled = seen.0.lock().clone();
    let expected = [(0, 1), (2, 1), (4, 1)];
    assert_eq!(handled.into_iter().collect::<Vec<_>>(), expected);
}

type Damage = fn(&mut Command);

/// Answers that nobody may believe.
const HOSTILE: &[(&str, Damage)] = &[
    ("a negative next offset", |answer| {
        answer.ext.set("nextBeginOffset", "-1");
    }),
    ("no progress behind messages", |answer| {
        answer.ext.set("nextBeginOffset", "0");
    }),
    ("a next offset among the messages", |answer| {
        answer.ext.set("nextBeginOffset", "2");
    }),
    ("a next offset far beyond the end", |answer| {
        answer.ext.set("nextBeginOffset", "100000");
    }),
    ("no next offset", |answer| {
        let others = answer.ext.iter();
        answer.ext = others
            .filter(|(name, _)| *name != "nextBeginOffset")
            .collect();
    }),
    ("a negative end", |answer| answer.ext.set("maxOffset", "-5")),
    ("falling offsets", |answer| {
        change(answer, 3, |message| put(message, OFFSET + 4, 1));
    }),
    ("the same offset twice", |answer| {
        change(answer, 3, |message| put(message, OFFSET + 4, 2));
    }),
    ("a negative offset", |answer| {
        change(answer, 0, |message| put(message, OFFSET, -1));
    }),
    ("a wrong magic number", |answer| {
        change(answer, 0, |message| put(message, MAGIC, 7));
    }),
    ("a message of length 0", |answer| {
        put(&mut answer.body, 0, 0)
    }),
    ("a message of length -1", |answer| {
        put(&mut answer.body, 0, -1);
    }),
    ("a message of two gibibytes", |answer| {
        put(&mut answer.body, 0, i32::MAX);
    }),
    ("a damaged length in the middle", |answer| {
        change(answer, 2, |message| put(message, 0, i32::MAX));
    }),
    ("half of the messages and a byte", |answer| {
        answer.body.truncate(answer.body.len() / 2 + 1);
    }),
    ("some text", |answer| answer.body = b"no messages".to_vec()),
];

/// Each queue has a fault of its own, three times.
#[test]
fn answers_that_contradict_themselves_skip_nothing_and_are_asked_for_again_after_a_pause() {
    let queues = HOSTILE.len();
    let cluster = cluster(queues as i32);
    let producer = producer(&cluster);
    for number in 0..5 * queues {
        send_to(&producer, queue((number / 5) as i32), number);
    }
    let broker = cluster.broker("broker-a");
    let faults = HOSTILE.iter().enumerate().map(|(id, (_, damage))| {
        let on = of_queue(On::Pull, id as i32);
        broker.inject(Fault::damage(damage).on(on).times(3))
    });
    let faults: Vec<_> = faults.collect();
    let seen = Seen::default();
    let (consumer, events) = start(&cluster, &seen, |builder| builder);
    let come = cluster.wait_until(PATIENCE, || seen.count() >= 5 * queues);
    let missing = |id: usize| {
        let seen = seen.0.lock();
        (5 * id..5 * id + 5).any(|number| !seen.contains_key(&number))
    };
    let missing = (0..queues).filter(|id| missing(*id));
    let missing: Vec<&str> = missing.map(|id| HOSTILE[id].0).collect();
    assert!(come, "lost by {missing:?}");
    eventually("all are committed", || cluster.group("g").lag("T") == 0);
    for (id, (what, _)) in HOSTILE.iter().enumerate() {
        assert_eq!(faults[id].hits(), 3, "{what}");
        let pulls = count(&cluster, of_queue(On::Pull, id as i32));
        assert!(pulls <= 8, "{what}: {pulls} pulls");
    }
    assert_eq!(consumer.stats().corrupt, 0);
    end(&consumer);
    seen.check_once(5 * queues);
    check_commits(&cluster);
    let refused = events.try_iter().any(|event| {
        let text = event.to_string();
        matches!(event, Event::Refused { .. }) && text.contains("an answer cannot be used")
    });
    assert!(refused, "the third one is reported");
    assert!(consumer.stats().pull_failures >= 3, "{}", consumer.stats());
}

/// The handler of the first message runs until the next pull is answered with these offsets: the beginning, the
/// next one and the end. The group has committed 0.
#[track_caller]
fn check_moved_while_given_up([min, next, max]: [&'static str; 3], committed: i64) {
    let cluster = cluster(1);
    let producer = producer(&cluster);
    let (answer_now, answers) = unbounded::<()>();
    let (asked, is_asked) = unbounded();
    let moved = Fault::damage(move |answer| {
        asked.send(()).ok();
        let _ = answers.recv();
        answer.code = response::PULL_OFFSET_MOVED;
        for (name, value) in [
            ("minOffset", min),
            ("nextBeginOffset", next),
            ("maxOffset", max),
        ] {
            answer.ext.set(name, value);
        }
    });
    let is_second = |command: &Command| {
        let is_ours = of_queue(On::Pull, 0).matches(command);
        is_ours && command.ext.get("queueOffset") == Some("1")
    };
    let broker = cluster.broker("broker-a");
    let _moved = broker.inject(moved.on(On::when(is_second)).once());
    let (release, gate) = unbounded::<()>();
    let seen = Seen::default();
    let own = seen.clone();
    cluster.group("g").commit(&queue(0), 0);
    let started = consumer(&cluster.name_server()).start(move |message| {
        own.note(message);
        let _ = gate.recv();
        Ok(())
    });
    let consumer = started.expect("a consumer");
    send_to(&producer, queue(0), 0);
    seen.wait_for(1);
    let next = cluster.wait_for_requests(&On::when(is_second), 1, PATIENCE);
    assert!(!next.is_empty());
    let is_parked = || cluster.group("g").parked() > 0;
    assert!(cluster.wait_until(PATIENCE, is_parked));
    thread::scope(|scope| {
        // This thread gives the answer.
        scope.spawn(|| cluster.advance(HOLD));
        is_asked.recv_timeout(PATIENCE).expect("the next pull");
        scope.spawn(|| end(&consumer));
        eventually("it gives its queue up", || {
            let mut queues = consumer.describe().queues.into_iter();
            queues.any(|state| state.doing == Doing::GivingUp && state.running == 1)
        });
        drop(answer_now);
        eventually("the answer is here", || {
            let mut queues = consumer.describe().queues.into_iter();
            queues.any(|state| state.end == max.parse().ok())
        });
        drop(release);
    });
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(committed));
    seen.check_once(1);
}

#[test]
fn an_answer_that_moves_a_queue_which_is_given_up_does_not_bring_it_back() {
    check_moved_while_given_up(["7", "7", "9"], 1);
}

#[test]
fn what_a_queue_that_is_given_up_has_done_undoes_no_reset() {
    check_moved_while_given_up(["0", "5", "9"], 0);
}
