//! Group B: answers and the sends that wait for them.

use rocketmq_blocking::embedded::{Fault, Gate, On};
use rocketmq_blocking::protocol::{Command, HeaderFormat};

use crate::bench::script::{Script, Signal, Step};
use crate::bench::*;

/// Numbers of requests may be the same on two connections, and a broker may lie about them.
#[test]
fn case_14_an_answer_on_another_brokers_connection_is_ignored() {
    check(2, |bench| {
        let (waits, go) = (Signal::new(), Signal::new());
        let hold = [
            Step::UntilSend,
            Step::Raise(waits.clone()),
            Step::Wait(go.clone()),
        ];
        bench.brokers[0].next(Script::replies(hold));
        // Refusals for every number that can be in use, before the answer.
        let lies = Step::insert_for(|send| {
            let mut bytes = Vec::new();
            for opaque in (0..200).filter(|opaque| *opaque != send.opaque) {
                let mut lie = Command::response_to(send, 16);
                lie.opaque = opaque;
                lie.encode(HeaderFormat::Json, &mut bytes);
            }
            bytes
        });
        bench.brokers[1].next(Script::replies([Step::UntilSend, lies]));
        let producer = bench.patient();
        let held = bench.submit_to("broker-a", &producer, LONG);
        waits.wait();
        let other = bench.submit_to("broker-b", &producer, LONG);
        assert!(other.outcome().is_ok());
        assert!(!held.is_over(), "the answer came from another broker");
        go.raise();
        assert!(held.outcome().is_ok());
        assert!(bench.brokers.iter().all(|broker| broker.accepted() == 1));
    });
}

/// The ledger compares each receipt with the message that is stored under the send's key.
#[test]
fn case_15_answers_in_any_order_find_their_own_sends() {
    check(1, |bench| {
        const SENDS: usize = 2000;
        bench.broker().next(Script::replies([Step::Shuffle(SENDS)]));
        let producer = bench.patient();
        let sent: Vec<_> = (0..SENDS).map(|_| bench.submit(&producer, LONG)).collect();
        assert!(sent.iter().all(|sent| sent.outcome().is_ok()));
    });
}

#[test]
fn case_18_with_a_thousand_in_flight_the_old_connection_drains_while_a_new_one_serves() {
    check(1, |bench| {
        const SENDS: usize = 1000;
        let broker = &bench.cluster.brokers()[0];
        let gate = Gate::new();
        let held = broker.inject(Fault::hold(&gate).on(On::Send).times(SENDS));
        broker.inject(Fault::go_away().on(On::Send).once());
        let producer = bench.patient();
        let sent: Vec<_> = (0..SENDS).map(|_| bench.submit(&producer, LONG)).collect();
        assert!(held.wait_hits(SENDS, PATIENCE));
        assert!(
            bench.send(&producer, LONG).is_ok(),
            "it went away, and was sent again"
        );
        assert_eq!(bench.broker().accepted(), 2);
        assert!(bench.send(&producer, LONG).is_ok());
        gate.open();
        assert!(sent.iter().all(|sent| sent.outcome().is_ok()));
        eventually("the old connection ends", || bench.broker().live() == 1);
        assert_eq!(bench.broker().accepted(), 2);
    });
}
