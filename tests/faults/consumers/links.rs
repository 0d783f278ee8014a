//! Links that die, break or are slow, and brokers that do not answer.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;
use rocketmq_blocking::consumer::{Doing, QueueState, Seek};
use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::{ClientOptions, PullConsumer, StartFrom};

use super::{Behind, Seen, check_commits, cluster, consumer, count, end, of_queue, queue};
use super::{send, send_to};
use crate::bench::measure::asked;
use crate::bench::script::{Script, Signal, Step};
use crate::bench::*;
use crate::support::{SLACK, noise, producer};

/// The connections over which consumers have pulled.
fn connections(cluster: &Cluster) -> BTreeSet<u64> {
    let pulls = cluster.requests(&On::Pull).into_iter();
    pulls.map(|pull| pull.connection()).collect()
}

/// The link dies under a long poll. Returns how late the message came that was stored then.
fn late_behind_a_dead_link(options: ClientOptions) -> Duration {
    let behind = Behind::start(cluster(1));
    let seen = Seen::default();
    let consumer = seen.start(consumer(&behind.name_server()).options(options));
    let producer = producer(&behind.cluster);
    let group = behind.cluster.group("g");
    eventually("a long poll", || group.parked() > 0);
    behind.broker().lose();
    let stored = Instant::now();
    send(&producer, 1, 0..1);
    while seen.count() == 0 {
        assert!(stored.elapsed() < 2 * PATIENCE, "it does not come");
        behind.cluster.wait_until(ms(100), || seen.count() > 0);
    }
    let late = stored.elapsed();
    end(&consumer);
    seen.check_once(1);
    check_commits(&behind.cluster);
    late
}

#[test]
fn a_link_that_dies_under_a_long_poll_is_noticed_by_the_next_heartbeat() {
    let options = ClientOptions::new()
        .heartbeat_interval(ms(100))
        .api_timeout(ms(1000));
    let late = late_behind_a_dead_link(options);
    assert!(late < Duration::from_secs(10), "{late:?}");
}

/// With the defaults. What notices it first is a renewed lock, or the end of the long poll.
#[test]
#[ignore = "slow: part of the fault slice"]
fn a_link_that_dies_under_a_long_poll_is_noticed_within_25_seconds() {
    let late = late_behind_a_dead_link(ClientOptions::new());
    assert!(late < Duration::from_secs(25) + SLACK, "{late:?}");
}

/// One queue's first pull, or the first ones of all queues.
#[test]
#[ignore = "slow: part of the fault slice"]
fn pulls_that_are_never_answered_are_made_again_and_hold_up_nothing_else() {
    thread::scope(|scope| {
        scope.spawn(|| check_silent(1));
        scope.spawn(|| check_silent(2));
    });
}

/// The first pulls of so many of the two queues get no answer.
fn check_silent(silent: usize) {
    let cluster = cluster(2);
    let faults: Vec<_> = (0..silent as i32)
        .map(|id| {
            let fault = Fault::silence().on(of_queue(On::Pull, id)).once();
            cluster.broker("broker-a").inject(fault)
        })
        .collect();
    let seen = Seen::default();
    let consumer = seen.start(consumer(&cluster.name_server()));
    for fault in &faults {
        assert!(fault.wait_hits(1, PATIENCE));
    }
    let start = Instant::now();
    let producer = producer(&cluster);
    send(&producer, 2, 0..2);
    if silent < 2 {
        eventually("the other queue's", || seen.count() == 1);
        assert!(start.elapsed() < 5 * SLACK, "{:?}", start.elapsed());
    }
    while seen.count() < 2 {
        assert!(start.elapsed() < Duration::from_secs(25) + SLACK);
        cluster.wait_until(ms(100), || seen.count() == 2);
    }
    for id in 0..silent as i32 {
        let pulls = cluster.requests(&of_queue(On::Pull, id));
        let offset = |nth: usize| pulls[nth].command().ext.text("queueOffset");
        assert_eq!((offset(0), offset(1)), (Some("0".into()), Some("0".into())));
    }
    assert_eq!(connections(&cluster).len(), 1, "the link stays");
    end(&consumer);
    seen.check_once(2);
}

const QUEUES: i32 = 64;

/// How often the link is closed.
const ROUNDS: &str = "CLOSED_ROUNDS";

#[test]
fn a_link_that_closes_during_64_long_polls_costs_one_dial_and_no_message_comes_twice() {
    check_closed_links(asked(ROUNDS, 8));
}

#[test]
#[ignore = "slow: part of the fault slice"]
fn a_link_that_closes_during_64_long_polls_again_and_again_costs_one_dial_each_time() {
    check_closed_links(asked(ROUNDS, 200));
}

#[track_caller]
fn check_closed_links(rounds: usize) {
    let behind = Behind::start(cluster(QUEUES));
    let cluster = &*behind.cluster;
    let seen = Seen::default();
    let consumer = seen.start(consumer(&behind.name_server()));
    let producer = producer(cluster);
    let all_parked = || cluster.group("g").parked() >= QUEUES as usize;
    let each = QUEUES as usize;
    let start = Instant::now();
    let (mut pulls, mut commits, mut locks) = (0, 0, 0);
    for round in 0..rounds {
        assert!(cluster.wait_until(PATIENCE, all_parked), "round {round}");
        send(&producer, QUEUES, round * each..(round + 1) * each);
        seen.wait_for((round + 1) * each);
        assert!(cluster.wait_until(PATIENCE, all_parked), "round {round}");
        pulls += count(cluster, On::Pull);
        commits += count(cluster, On::Commit);
        locks += count(cluster, On::Lock);
        cluster.clear_requests();
        behind.broker().cut();
    }
    let seconds = start.elapsed().as_secs() as usize + 2;
    end(&consumer);
    seen.check_once(rounds * each);
    assert_eq!(cluster.group("g").lag("T"), 0);
    let (dials, stats) = (behind.broker().accepted(), consumer.stats());
    println!(
        "{rounds} rounds, {seconds} s: {dials} dials, {pulls} pulls, {commits} commits, {locks} locks; {stats}"
    );
    assert!(dials <= rounds + 1, "{dials} dials");
    assert!(stats.rebalances <= seconds as u64, "{stats}");
    // Each queue pulls its message, and then parks. The rest is for pulls that the cut has met.
    assert!(pulls <= 3 * rounds * each, "{pulls} pulls");
    // One by itself each second, and one when the link is back.
    assert!(commits <= (rounds + seconds) * each, "{commits} commits");
    assert!(locks <= 2 * rounds + 3 * seconds, "{locks} locks");
}

#[test]
fn a_broker_that_goes_away_moves_64_long_polls_and_no_message_comes_twice() {
    let cluster = cluster(QUEUES);
    let (seen, (release, gate)) = (Seen::default(), unbounded::<()>());
    let own = seen.clone();
    let started = consumer(&cluster.name_server())
        .consume_threads(QUEUES as usize)
        .start(move |message| {
            own.note(message);
            let _ = gate.recv();
            Ok(())
        });
    let consumer = started.expect("a consumer");
    let producer = producer(&cluster);
    let all = 10 * QUEUES as usize;
    send(&producer, QUEUES, 0..all);
    let group = cluster.group("g");
    eventually("each thread has one", || {
        seen.count() == QUEUES as usize && consumer.stats().fetched as usize == all
    });
    let all_parked = || group.parked() >= QUEUES as usize;
    assert!(cluster.wait_until(PATIENCE, all_parked));
    cluster.clear_requests();
    // A question that is due soon is answered so.
    let broker = cluster.broker("broker-a");
    let away = broker.inject(Fault::go_away().on(On::Members).once());
    group.notify_members();
    assert!(away.wait_hits(1, PATIENCE));
    let last = |id| {
        let pulls = cluster.requests(&of_queue(On::Pull, id));
        pulls.last().map(|pull| pull.connection())
    };
    let moved = || {
        let links: BTreeSet<_> = (0..QUEUES).map(last).collect();
        links.len() == 1 && !links.contains(&None) && all_parked()
    };
    let moved = cluster.wait_until(PATIENCE, moved);
    assert!(moved, "all are parked on the new link");
    drop(release);
    seen.wait_for(all);
    send(&producer, QUEUES, all..all + QUEUES as usize);
    seen.wait_for(all + QUEUES as usize);
    end(&consumer);
    seen.check_once(all + QUEUES as usize);
    assert_eq!(group.lag("T"), 0);
    check_commits(&cluster);
}

/// Whether another member went on meanwhile must be known before anything is handed out or committed.
#[test]
fn after_a_broken_link_the_committed_offset_is_asked_for_once_a_second_until_it_is_known() {
    let behind = Behind::start(cluster(1));
    let cluster = &*behind.cluster;
    let seen = Seen::default();
    let consumer = seen.start(consumer(&behind.name_server()));
    let producer = producer(cluster);
    send(&producer, 1, 0..1);
    seen.wait_for(1);
    let broker = cluster.broker("broker-a");
    let busy = broker.inject(Fault::busy().on(of_queue(On::QueryOffset, 0)));
    let start = Instant::now();
    behind.broker().cut();
    assert!(busy.wait_hits(3, PATIENCE));
    assert!(start.elapsed() > ms(1900), "{:?}", start.elapsed());
    send(&producer, 1, 1..2);
    busy.remove();
    seen.wait_for(2);
    end(&consumer);
    seen.check_once(2);
    assert_eq!(cluster.group("g").lag("T"), 0);
}

/// The link of a consumer that has handled a message breaks before its commit, and whether another member has
/// gone on cannot be asked until the consumer ends. Meanwhile that one may have committed.
#[track_caller]
fn check_end_in_doubt(by_another: Option<i64>, committed: i64) {
    let behind = Behind::start(cluster(1));
    let cluster = &*behind.cluster;
    let group = cluster.group("g");
    let producer = producer(cluster);
    send(&producer, 1, 0..1);
    let seen = Seen::default();
    let consumer = seen.start(consumer(&behind.name_server()).commit_interval(ms(10)));
    let is_committed =
        |offset| cluster.wait_until(PATIENCE, || group.committed(&queue(0)) == offset);
    assert!(is_committed(Some(1)));
    let broker = cluster.broker("broker-a");
    let lost = broker.inject(Fault::busy().on(of_queue(On::Commit, 0)));
    let busy = broker.inject(Fault::busy().on(of_queue(On::QueryOffset, 0)));
    send(&producer, 1, 1..2);
    seen.wait_for(2);
    assert!(lost.wait_hits(1, PATIENCE));
    behind.broker().cut();
    assert!(busy.wait_hits(1, PATIENCE));
    // The producer's link and the new one: no commit can come over the broken one any more.
    assert!(broker.wait_for_connections(2, PATIENCE));
    lost.remove();
    if let Some(offset) = by_another {
        group.commit(&queue(0), offset);
    }
    thread::scope(|scope| {
        scope.spawn(|| end(&consumer));
        let is_ending = || {
            let doing = |state: &QueueState| state.doing == Doing::GivingUp;
            consumer.describe().queues.iter().any(doing)
        };
        eventually("it gives its queue up", is_ending);
        busy.remove();
    });
    assert_eq!(group.committed(&queue(0)), Some(committed));
    seen.check_once(2);
}

#[test]
fn a_consumer_that_ends_after_a_broken_link_commits_what_it_has_handled() {
    check_end_in_doubt(None, 2);
}

#[test]
fn a_consumer_that_ends_after_a_broken_link_undoes_no_commit_of_another_one() {
    check_end_in_doubt(Some(5), 5);
}

/// What the broker has committed is of before the seek, and no other member's.
#[test]
fn a_seek_that_is_not_committed_when_the_link_breaks_counts_all_the_same() {
    let behind = Behind::start(cluster(1));
    let cluster = &*behind.cluster;
    let group = cluster.group("g");
    send(&producer(cluster), 1, 0..3);
    let started = PullConsumer::builder("g")
        .name_server(behind.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .commit_interval(ms(10))
        .start();
    let consumer = started.expect("a consumer");
    let mut messages = consumer.messages();
    let mut next = || {
        let message = messages.next().expect("a message").expect("no error");
        let offset = message.queue_offset();
        assert!(message.done());
        offset
    };
    assert_eq!([next(), next(), next()], [0, 1, 2]);
    assert!(cluster.wait_until(PATIENCE, || group.committed(&queue(0)) == Some(3)));
    let broker = cluster.broker("broker-a");
    let busy = broker.inject(Fault::busy().on(of_queue(On::Commit, 0)));
    consumer
        .seek(&queue(0), Seek::Offset(1))
        .expect("it has the queue");
    assert!(busy.wait_hits(1, PATIENCE));
    cluster.clear_requests();
    behind.broker().cut();
    let asked = cluster.wait_for_requests(&of_queue(On::QueryOffset, 0), 1, PATIENCE);
    assert!(!asked.is_empty(), "it asks who has gone on");
    assert_eq!([next(), next()], [1, 2]);
    busy.remove();
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert_eq!(group.committed(&queue(0)), Some(3));
}

/// Scaled: eight queues with two messages of 128 KiB each over a link of a mebibyte a second.
#[test]
fn a_narrow_link_carries_the_messages_of_all_queues_and_the_commits_beside_them() {
    const QUEUES: i32 = 8;
    let behind = Behind::start(cluster(QUEUES));
    let never = Signal::new();
    let narrow = Script::replies([Step::Drip(16 << 10, ms(16), never)]);
    behind.broker().always(narrow);
    let producer = crate::support::builder(&behind.cluster)
        .compress_over(usize::MAX)
        .start()
        .expect("a producer");
    for nth in 0..2 * QUEUES {
        let message = rocketmq_blocking::Message::new("T", noise(128 << 10));
        let to = queue(nth % QUEUES);
        assert!(producer.prepare(&message).queue(to).send().is_ok());
    }
    let (seen, handled) = unbounded();
    let builder = consumer(&behind.name_server()).commit_interval(ms(10));
    let start = Instant::now();
    let consumer = builder.start(move |message| {
        seen.send((message.queue_id(), message.queue_offset())).ok();
        Ok(())
    });
    let consumer = consumer.expect("a consumer");
    let mut got = BTreeSet::new();
    let mut firsts = BTreeSet::new();
    while got.len() < 2 * QUEUES as usize {
        let place = handled.recv_timeout(PATIENCE).expect("a message in time");
        assert!(got.insert(place), "{place:?} comes twice");
        if firsts.insert(place.0) {
            let waited = start.elapsed();
            assert!(waited < Duration::from_secs(10) + SLACK, "{waited:?}");
        }
    }
    let took = start.elapsed();
    assert!(took > Duration::from_secs(1), "no narrow link: {took:?}");
    end(&consumer);
    let stats = consumer.stats();
    assert_eq!((stats.pull_failures, stats.commit_failures), (0, 0));
    assert_eq!(behind.broker().accepted(), 1);
    assert_eq!(behind.cluster.group("g").lag("T"), 0);
}

/// From a commit on it reads nothing over this link: what it has read already it answers.
#[test]
#[ignore = "slow: part of the fault slice"]
fn a_broker_that_stops_reading_is_left_and_each_message_comes_once() {
    let cluster = cluster(4);
    let seen = Seen::default();
    let consumer = seen.start(consumer(&cluster.name_server()).commit_interval(ms(10)));
    let producer = producer(&cluster);
    let parked = || cluster.group("g").parked() >= 4;
    assert!(cluster.wait_until(PATIENCE, parked));
    let broker = cluster.broker("broker-a");
    let stuck = broker.inject(Fault::stop_reading().on(On::Commit).once());
    send_to(&producer, queue(0), 0);
    assert!(stuck.wait_hits(1, PATIENCE) || stuck.hits() == 1);
    let start = Instant::now();
    send(&producer, 4, 1..4);
    seen.wait_for(4);
    assert!(start.elapsed() < 5 * SLACK, "parked pulls are answered");
    send(&producer, 4, 4..12);
    while seen.count() < 12 {
        assert!(start.elapsed() < Duration::from_secs(25) + SLACK);
        cluster.wait_until(ms(100), || seen.count() == 12);
    }
    println!("left after {:?}", start.elapsed());
    end(&consumer);
    seen.check_once(12);
    assert_eq!(cluster.group("g").lag("T"), 0);
    check_commits(&cluster);
}
