//! The volume of the log.

use std::time::Instant;

use log::Level;
use rocketmq_blocking::Batch;
use rocketmq_blocking::embedded::{Fault, On};

use super::*;

#[test]
fn success_logs_nothing_per_message() {
    in_a_process_of_its_own!();
    logged::start();
    let cluster = brokers(2);
    let producer = producer(&cluster);
    let send_all = || {
        let _receipt = producer.send(&message()).unwrap();
        let _receipt = producer.submit(message()).wait().unwrap();
        producer.send_oneway(&message()).unwrap();
        let batch = Batch::new([message(), message()]).unwrap();
        let _receipt = producer.send_batch(&batch).unwrap();
    };
    // Both brokers are known and connected then.
    (0..2).for_each(|_| send_all());
    producer.flush(PATIENCE).unwrap();
    logged::clear();
    (0..50).for_each(|_| send_all());
    producer.flush(PATIENCE).unwrap();
    let lines = logged::lines();
    assert!(lines.is_empty(), "{lines:#?}");
}

#[test]
fn a_broker_that_fails_every_send_cannot_flood_the_log_with_warnings() {
    const SENDS: usize = 300;
    in_a_process_of_its_own!();
    logged::start();
    let cluster = brokers(2);
    let producer = builder(&cluster).retries(1).start().unwrap();
    cluster
        .broker("broker-a")
        .inject(Fault::answer(1, "no").on(On::Send));
    let start = Instant::now();
    (0..SENDS).for_each(|_| drop(producer.send(&message()).unwrap()));
    let seconds = start.elapsed().as_secs() as usize + 1;
    let retries = producer.stats().retries as usize;
    assert!(retries >= SENDS / 3, "{retries}");
    let lines = logged::lines();
    let of = |level| {
        lines
            .iter()
            .filter(move |l| l.level == level && l.text.contains("trying again"))
    };
    let (warnings, others) = (of(Level::Warn).count(), of(Level::Debug).count());
    assert!(
        (1..=10 * seconds).contains(&warnings),
        "{warnings} in {seconds} s"
    );
    assert_eq!(warnings + others, retries, "none is lost");
}
