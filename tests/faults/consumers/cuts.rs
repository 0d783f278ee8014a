//! Answers that are cut behind any byte, after the broker did what was asked for.

use std::thread;
use std::time::Instant;

use rocketmq_blocking::consumer::{AckStatus, Doing};
use rocketmq_blocking::embedded::{Fault, Injected, On};
use rocketmq_blocking::{SimpleConsumer, StartFrom};

use super::{Seen, check_commits, cluster, consumer, end, of_queue, queue, send_to};
use crate::bench::*;
use crate::support::patient;

/// The longest answer that a consumer gets here is shorter.
const LONGEST: usize = 850;

/// One of each kind is cut.
fn kinds() -> [On; 5] {
    let of_queue = |on| of_queue(on, 0);
    let [query, pull, commit] = [On::QueryOffset, On::Pull, On::Commit].map(of_queue);
    [On::Members, On::Lock, query, pull, commit]
}

#[test]
fn an_answer_that_is_cut_anywhere_is_asked_for_again_and_no_message_is_lost_or_comes_twice() {
    // In the length, the header's length, the header, the body, and behind it all.
    check_cuts([0, 3, 8, 91, 200, 401, 600, LONGEST]);
}

#[test]
#[ignore = "slow: part of the fault slice"]
fn an_answer_that_is_cut_behind_any_byte_is_asked_for_again_and_no_message_is_lost_or_comes_twice()
{
    for first in (0..LONGEST).step_by(25) {
        check_cuts(first..first + 25);
    }
}

/// At the same time: they wait, for the most part.
#[track_caller]
fn check_cuts(cuts: impl IntoIterator<Item = usize>) {
    thread::scope(|scope| {
        for bytes in cuts {
            let name = format!("cut behind {bytes}");
            let builder = thread::Builder::new().name(name);
            let check = move || {
                check_push(bytes, bytes % 2 == 1);
                check_simple(bytes);
            };
            builder.spawn_scoped(scope, check).expect("a thread");
        }
    });
}

/// The group has an offset. An answer that was cut must not be taken for one without it.
fn check_push(bytes: usize, is_ordered: bool) {
    let cluster = cluster(1);
    let producer = patient(&cluster).start().expect("a producer");
    (0..4).for_each(|number| send_to(&producer, queue(0), number));
    cluster.group("g").commit(&queue(0), 2);
    let broker = cluster.broker("broker-a");
    let cut = |on| broker.inject(Fault::cut_after(bytes).on(on).once());
    let faults: Vec<Injected> = kinds().into_iter().map(cut).collect();
    let seen = Seen::default();
    // Those before the offset count as seen.
    seen.0.lock().extend([(0, 1), (1, 1)]);
    let builder = consumer(&cluster.name_server())
        .consume_threads(2)
        .start_from(StartFrom::Last)
        .start_timeout(PATIENCE)
        .commit_interval(ms(10));
    let own = seen.clone();
    let started = match is_ordered {
        true => builder.start_ordered(move |message| {
            own.note(message);
            Ok(())
        }),
        false => builder.start(move |message| {
            own.note(message);
            Ok(())
        }),
    };
    let consumer = started.expect("a consumer");
    seen.wait_for(4);
    send_to(&producer, queue(0), 4);
    seen.wait_for(5);
    for fault in &faults {
        assert!(fault.wait_hits(1, PATIENCE), "{fault:?} behind {bytes}");
    }
    let group = cluster.group("g");
    let committed = || group.committed(&queue(0)) == Some(5);
    assert!(cluster.wait_until(PATIENCE, committed));
    // After the last cut it asks whether another member has gone on.
    eventually("all queues are at work", || {
        let queues = consumer.describe().queues;
        !queues.is_empty() && queues.iter().all(|queue| queue.doing == Doing::Fetching)
    });
    end(&consumer);
    seen.check_once(5);
    check_commits(&cluster);
}

/// A message whose pop was cut comes again when its time is over, and one that was acknowledged does not.
fn check_simple(bytes: usize) {
    let cluster = cluster(1);
    let producer = patient(&cluster).start().expect("a producer");
    send_to(&producer, queue(0), 0);
    let broker = cluster.broker("broker-a");
    let cut = |on| broker.inject(Fault::cut_after(bytes).on(on).once());
    let faults = [On::Pop, On::Ack].map(cut);
    let started = SimpleConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .start();
    let consumer = started.expect("a consumer");
    let (start, invisible) = (Instant::now(), 30 * PATIENCE);
    let message = loop {
        // What a pop that was cut has hidden is visible again.
        if faults[0].hits() == 1 {
            cluster.advance(invisible);
        }
        let received = consumer.receive_within(1, invisible, ms(200));
        if let Some(message) = received.into_iter().flatten().next() {
            break message;
        }
        assert!(start.elapsed() < PATIENCE, "it does not come");
    };
    assert_eq!(message.text(), Ok("0"));
    // The second request may find that it is acknowledged already.
    let status = message.ack().expect("an answer");
    assert_ne!(status, AckStatus::Expired);
    for fault in &faults {
        assert!(fault.wait_hits(1, PATIENCE), "{fault:?} behind {bytes}");
    }
    assert_eq!(cluster.group("g").in_flight(), 0);
    cluster.advance(invisible);
    let again = consumer.receive_within(1, invisible, ms(50));
    assert_eq!(again.into_iter().flatten().count(), 0, "it is acknowledged");
    consumer.shutdown();
}
