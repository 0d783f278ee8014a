//! Nothing is lost, and what comes twice is explained, while acks and answers are lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use rocketmq_blocking::ErrorKind;
use rocketmq_blocking::consumer::AckStatus;
use rocketmq_blocking::embedded::{Fault, On};

use super::{consumer, start};
use crate::common::send;
use crate::support::{PATIENCE, brokers, ms, producer};

/// The deliveries of one message: what the ack of each achieved.
type Deliveries = Vec<AckStatus>;

#[test]
fn with_acks_and_answers_that_get_lost_every_message_is_handled_and_each_repetition_explained() {
    const MESSAGES: usize = 200;
    let cluster = brokers(2);
    let sent = send(&producer(&cluster), 0..MESSAGES);
    // Each 20th ack is lost on its way, or its answer is; one of 10 answers to pops is lost.
    for broker in cluster.brokers() {
        broker.inject(Fault::hang_up().on(each(On::Ack, 20)));
        broker.inject(Fault::hang_up().after_storing().on(each(On::Ack, 23)));
        broker.inject(Fault::hang_up().after_storing().on(each(On::Pop, 10)));
    }
    let consumer = start(consumer(&cluster).wait(ms(500)));
    let (done, outcomes) = crossbeam_channel::unbounded();
    let threads: Vec<_> = (0..3)
        .map(|n| {
            let (consumer, done) = (consumer.clone(), done.clone());
            thread::spawn(move || {
                loop {
                    // If both brokers fail for the whole wait, that is an error; it passes.
                    let received = match consumer.receive(8, ms(4_000)) {
                        Ok(received) => received,
                        Err(error) if error.kind() == ErrorKind::Closed => return,
                        Err(_) => continue,
                    };
                    // One of them acks together.
                    let statuses = match n {
                        0 => consumer.ack_all(&received),
                        _ => received.iter().map(|message| message.ack()).collect(),
                    };
                    let Ok(statuses) = statuses else {
                        return;
                    };
                    for (message, status) in received.iter().zip(statuses) {
                        let body = message.text().expect("text").to_owned();
                        done.send((body, status)).expect("heard");
                    }
                }
            })
        })
        .collect();
    let mut ledger: BTreeMap<String, Deliveries> = BTreeMap::new();
    let start = Instant::now();
    let is_done = |ledger: &BTreeMap<String, Deliveries>| {
        let mut of_all = ledger.values();
        let is_final = |all: &Deliveries| all.contains(&AckStatus::Confirmed);
        ledger.len() == MESSAGES && of_all.all(is_final)
    };
    while !is_done(&ledger) || cluster.group("g").in_flight() > 0 {
        let open: Vec<_> = ledger
            .iter()
            .filter(|(_, all)| !all.contains(&AckStatus::Confirmed))
            .collect();
        let hidden = cluster.group("g").in_flight();
        let missing = MESSAGES - ledger.len();
        assert!(
            start.elapsed() < 4 * PATIENCE,
            "{missing} missing, {hidden} hidden, {open:?}"
        );
        if let Ok((body, status)) = outcomes.recv_timeout(ms(100)) {
            ledger.entry(body).or_default().push(status);
        }
    }
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    for thread in threads {
        thread.join().expect("no panic");
    }
    for (body, status) in outcomes.try_iter() {
        ledger.entry(body).or_default().push(status);
    }
    assert!(ledger.keys().eq(&sent), "none lost, none invented");
    for (body, deliveries) in &ledger {
        let confirmed = |status: &AckStatus| *status == AckStatus::Confirmed;
        let place = deliveries.iter().position(confirmed);
        // After a confirmed ack it does not come again.
        assert_eq!(place, Some(deliveries.len() - 1), "{body}: {deliveries:?}");
    }
}

/// One of so many of these requests.
fn each(on: On, many: usize) -> On {
    let seen = AtomicUsize::new(0);
    On::when(move |request| {
        let is_one = on.matches(request);
        is_one && (seen.fetch_add(1, Ordering::Relaxed) + 1) % many == 0
    })
}
