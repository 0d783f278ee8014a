//! Group D: brokers that take longer than a send has.

use rocketmq_blocking::embedded::{Fault, Gate, On};
use rocketmq_blocking::error::Wait;
use rocketmq_blocking::{SendFate, SendStatus};

use crate::bench::*;

/// Stored at once, and confirmed when the disk is done: too late. This applies to all that wait for
/// the same flush; the late answers are ignored.
#[test]
fn case_44_a_flush_that_is_slower_than_the_timeout_may_have_stored() {
    check(1, |bench| {
        let broker = &bench.cluster.brokers()[0];
        for (mode, code) in [(Mode::Sync, 0), (Mode::Async, 10)] {
            let disk = Gate::new();
            let producer = bench.patient();
            assert!(bench.send(&producer, LONG).is_ok());
            let flush = broker.inject(Fault::hold(&disk).after_storing().on(On::Send));
            let behind = bench.submit(&producer, LONG);
            let result = bench.send_in(mode, &producer, SHORT);
            check_timeout(result, Wait::Response, SendFate::MaybeStored);
            assert!(flush.wait_hits(2, PATIENCE));
            flush.remove();
            // The broker reports a wait that was too long for itself.
            let late = broker.inject(Fault::answer(code, "late").after_storing().on(On::Send));
            disk.open();
            let _ = behind.outcome();
            let status = bench.send(&producer, LONG).map(|receipt| receipt.status());
            let expected = match code {
                10 => SendStatus::FlushDiskTimeout,
                _ => SendStatus::Ok,
            };
            assert_eq!(status.expect("a receipt"), expected);
            late.remove();
        }
    });
}
