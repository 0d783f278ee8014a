//! Group C: connections that are slow, or take less than they are given.

use rocketmq_blocking::SendFate;
use rocketmq_blocking::error::Wait;

use crate::bench::script::{Script, Signal, Step};
use crate::bench::*;

/// More than the buffers of the sockets and the proxy take while the server does not read.
const LARGE: usize = 15 << 20;

#[test]
fn case_25_an_answer_that_drips_costs_its_send_only() {
    check(1, |bench| {
        let faster = Signal::new();
        // No answer is over in the time of the short one.
        let drip = Step::Drip(1, ms(100), faster.clone());
        bench
            .broker()
            .next(Script::replies([Step::UntilSend, drip]));
        let producer = bench.taught(|setup| setup);
        let slow = bench.submit(&producer, SHORT);
        let patient = bench.submit(&producer, LONG);
        check_timeout(slow.outcome(), Wait::Response, SendFate::MaybeStored);
        faster.raise();
        assert!(patient.outcome().is_ok());
        assert_eq!(bench.broker().accepted(), 1, "bytes came all the time");
    });
}

#[test]
fn case_27_a_peer_that_drips_reads_gets_no_second_frame_behind_half_a_one() {
    for mode in MODES {
        check(1, |bench| {
            let never = Signal::new();
            let drip = Step::Drip(1024, ms(100), never);
            let script = Script::requests([Step::UntilSend, drip]);
            bench.broker().next(script);
            let producer =
                bench.taught(|setup| setup.max_message_size(LARGE).compress_over(usize::MAX));
            let result = bench.send_bytes(mode, &producer, SHORT, LARGE);
            check_timeout(result, Wait::Write, SendFate::NotSent);
            bench.check_heals(&producer);
            assert_eq!(bench.broker().accepted(), 2);
        });
    }
}

/// Scaled: the link takes some megabytes a second.
#[test]
fn case_30_a_narrow_link_keeps_deadlines_and_bodies() {
    check(1, |bench| {
        let never = Signal::new();
        let narrow = Script::requests([Step::Drip(64 << 10, ms(1), never)]);
        bench.broker().always(narrow);
        let producer = bench.producer(|setup| {
            let setup = setup.retries(0).async_retries(0);
            setup.max_message_size(LARGE).compress_over(usize::MAX)
        });
        for mode in MODES {
            assert!(bench.send_bytes(mode, &producer, LONG, 4 << 20).is_ok());
        }
        for bytes in [1, 100, 4 << 20, LARGE] {
            // The ledger checks whatever the outcome is.
            let _ = bench.send_bytes(Mode::Async, &producer, ms(100), bytes);
        }
    });
}
