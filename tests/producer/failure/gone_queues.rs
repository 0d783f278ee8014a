//! A topic that gets fewer queues under load: brokers refuse some moments before name servers know.

use rocketmq_blocking::SendFate;
use rocketmq_blocking::embedded::{Cluster, Fault, Gate, On};

use crate::support::{patient as builder, *};

#[test]
fn a_wrong_queue_is_retried_after_a_route_lookup() {
    for mode in MODES {
        let cluster = Cluster::builder().topic("T", 8).start().unwrap();
        let producer = builder(&cluster)
            .retries(5)
            .async_retries(5)
            .start()
            .unwrap();
        assert_eq!(queues_seen(&producer, "T").len(), 8);
        cluster.set_queues("T", "broker-a", 1, 1);
        cluster.clear_requests();
        for _ in 0..8 {
            assert!(mode.send(&producer, &message("x")).is_ok());
        }
        assert_eq!(cluster.requests(&On::Route).len(), 1);
        assert_eq!(queues_seen(&producer, "T").len(), 1);

        // Name servers get the change a moment later, and may answer the old route first.
        for (code, remark) in [
            (29, ""),
            (1, "request queueId[5] is illegal, TopicConfig [..]"),
        ] {
            let cluster = brokers(2);
            inject(&cluster, &Fault::answer(code, remark).on(On::Send));
            let error = error(mode.send(&self::producer(&cluster), &message("x")));
            assert_eq!(error.response_code(), Some(code.into()));
            assert_eq!(error.attempts().len(), 3);
            assert_eq!(error.fate(), SendFate::NotSent);
            assert_eq!(cluster.requests(&On::Route).len(), 3);
        }
    }
}

#[test]
fn of_many_sends_to_queues_that_are_gone_few_ask_for_the_route() {
    let cluster = Cluster::builder().topic("T", 8).start().unwrap();
    let producer = producer(&cluster);
    assert_eq!(queues_seen(&producer, "T").len(), 8);
    cluster.set_queues("T", "broker-a", 1, 1);
    cluster.clear_requests();
    let handles: Vec<_> = (0..1000).map(|_| producer.submit(message("x"))).collect();
    for handle in handles {
        assert!(handle.wait().is_ok());
    }
    let refused = sends(&cluster).len() - 1000;
    let asked = cluster.requests(&On::Route).len();
    assert!(asked < 10 + refused / 4, "{asked} of {refused} sends ask");
}

#[test]
fn a_route_lookup_from_before_a_wrong_queue_is_not_reused() {
    let cluster = Cluster::builder().topic("T", 8).start().unwrap();
    let setup = builder(&cluster).async_retries(1);
    let producer = setup.start().unwrap();
    assert_eq!(queues_seen(&producer, "T").len(), 8);
    let gate = Gate::new();
    let late = Fault::hold(&gate).after_storing().on(On::Route).once();
    let late = cluster.name_servers()[0].inject(late);
    inject(&cluster, &Fault::answer(29, "").on(first_send()));
    let first = producer.submit(message("x"));
    assert!(late.wait_hits(1, PATIENCE), "its answer has 8 queues");
    cluster.set_queues("T", "broker-a", 1, 1);
    cluster.clear_requests();
    let others: Vec<_> = (0..8).map(|_| producer.submit(message("x"))).collect();
    eventually("each has met its broker", || sends(&cluster).len() == 8);
    gate.open();
    for sent in others {
        assert!(sent.wait().is_ok());
    }
    let _ = first.wait();
}

#[test]
fn an_unanswered_route_lookup_leaves_time_for_another_attempt() {
    in_each_mode(|mode| {
        let cluster = brokers(2);
        let setup = builder(&cluster).send_timeout(ms(4000));
        let producer = setup.start().unwrap();
        assert_eq!(queues_seen(&producer, "T").len(), 8);
        inject(&cluster, &Fault::answer(29, "").on(first_send()));
        let unanswered = cluster.name_servers()[0].inject(Fault::silence());
        let receipt = mode.send(&producer, &message("x")).unwrap();
        assert_eq!(receipt.attempts(), 2);
        assert!(unanswered.wait_hits(1, PATIENCE));
    });
}
