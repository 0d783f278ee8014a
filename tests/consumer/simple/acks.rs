//! What an ack achieves, and what becomes of a message without one.

use std::collections::BTreeSet;
use std::time::Instant;

use rocketmq_blocking::consumer::{AckStatus, ReceivedMessage};
use rocketmq_blocking::embedded::{Fault, On, Release};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{ErrorKind, ResponseCode};

use super::{LONG, MEDIUM, SHORT, ack, bodies, consumer, expire, nothing_comes, receive, start};
use crate::common::send;
use crate::support::{PATIENCE, brokers, cluster, eventually, ms, producer};

fn statuses(messages: &[ReceivedMessage]) -> Vec<AckStatus> {
    let status = |message: &ReceivedMessage| message.ack().expect("no error");
    messages.iter().map(status).collect()
}

#[test]
fn many_messages_are_acked_with_one_request_per_broker() {
    let cluster = brokers(2);
    send(&producer(&cluster), 0..40);
    let consumer = start(consumer(&cluster));
    let received = receive(&consumer, 40, LONG);
    let statuses = consumer.ack_all(&received).expect("no error");
    assert_eq!(statuses, [AckStatus::Confirmed; 40]);
    assert_eq!(cluster.group("g").in_flight(), 0);
    let batches = cluster.requests(&On::Code(request::BATCH_ACK_MESSAGE));
    assert_eq!(batches.len(), 2);
    assert_eq!(cluster.requests(&On::Code(request::ACK_MESSAGE)).len(), 0);
    // Once more: nothing is asked.
    let again = consumer.ack_all(&received).expect("no error");
    assert_eq!(again, [AckStatus::Confirmed; 40]);
    assert_eq!(cluster.requests(&On::Ack).len(), 2);
    assert_eq!(consumer.ack_all([]).expect("no error"), []);
}

#[test]
fn brokers_without_batches_get_an_ack_for_each_message() {
    let cluster = cluster();
    let unknown = Fault::answer(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, "no such request");
    let broker = cluster.broker("broker-a");
    broker.inject(unknown.on(On::Code(request::BATCH_ACK_MESSAGE)));
    send(&producer(&cluster), 0..5);
    let consumer = start(consumer(&cluster));
    let received = receive(&consumer, 5, LONG);
    let statuses = consumer.ack_all(&received).expect("no error");
    assert_eq!(statuses, [AckStatus::Confirmed; 5]);
    assert_eq!(cluster.group("g").in_flight(), 0);
}

#[test]
fn an_ack_that_fails_is_sent_again() {
    for fault in [
        Fault::busy(),
        Fault::hang_up(),
        Fault::go_away(),
        Fault::answer(1, "an error"),
        Fault::hang_up().after_storing(),
    ] {
        let cluster = cluster();
        send(&producer(&cluster), 0..1);
        let consumer = start(consumer(&cluster));
        let received = receive(&consumer, 1, LONG);
        let what = format!("{fault:?}");
        cluster
            .broker("broker-a")
            .inject(fault.on(On::Ack).times(2));
        assert_eq!(statuses(&received), [AckStatus::Confirmed], "{what}");
        assert_eq!(cluster.group("g").in_flight(), 0, "{what}");
    }
}

#[test]
fn an_ack_without_an_answer_is_unknown_and_can_be_tried_again() {
    let cluster = cluster();
    send(&producer(&cluster), 0..1);
    let consumer = start(consumer(&cluster).ack_timeout(ms(200)));
    let received = receive(&consumer, 1, LONG);
    let silence = Fault::silence().on(On::Ack);
    let silence = cluster.broker("broker-a").inject(silence);
    assert_eq!(statuses(&received), [AckStatus::Unknown]);
    silence.remove();
    // An answer may be late again.
    eventually("confirmed", || {
        matches!(received[0].ack(), Ok(AckStatus::Confirmed))
    });
}

#[test]
fn an_expired_message_is_not_acked_and_comes_again() {
    let cluster = cluster();
    let sent = send(&producer(&cluster), 0..1);
    let consumer = start(consumer(&cluster));
    let received = receive(&consumer, 1, SHORT);
    expire(&received[0]);
    assert_eq!(statuses(&received), [AckStatus::Expired]);
    assert_eq!(
        received[0].extend(LONG).expect("no error"),
        AckStatus::Expired
    );
    assert_eq!(
        received[0].dead_letter().expect("no error"),
        AckStatus::Expired
    );
    assert_eq!(cluster.requests(&On::Ack).len(), 0, "no need to ask");
    let again = receive(&consumer, 1, LONG);
    assert_eq!(bodies(&again), sent);
    // The earlier delivery does not touch this one.
    assert_eq!(statuses(&received), [AckStatus::Expired]);
    again.iter().for_each(ack);
    assert_eq!(cluster.group("g").in_flight(), 0);
}

#[test]
fn a_message_is_hidden_for_longer_under_a_new_handle() {
    let cluster = cluster();
    send(&producer(&cluster), 0..1);
    let consumer = start(consumer(&cluster));
    let received = receive(&consumer, 1, MEDIUM);
    let before = received[0].expires_at();
    assert_eq!(
        received[0].extend(LONG).expect("no error"),
        AckStatus::Confirmed
    );
    assert!(received[0].expires_at() > before + LONG / 2);
    let over = before + ms(1_000);
    eventually("its first time is over", || Instant::now() >= over);
    nothing_comes(&consumer);
    assert_eq!(
        received[0].extend(LONG).expect("no error"),
        AckStatus::Confirmed
    );
    assert_eq!(statuses(&received), [AckStatus::Confirmed]);
    assert_eq!(cluster.group("g").in_flight(), 0);
}

#[test]
fn after_a_lost_extension_an_ack_proves_nothing() {
    let cluster = cluster();
    send(&producer(&cluster), 0..1);
    let consumer = start(consumer(&cluster));
    let received = receive(&consumer, 1, LONG);
    let change = On::Code(request::CHANGE_MESSAGE_INVISIBLETIME);
    let lost = Fault::hang_up().after_storing().on(change).once();
    cluster.broker("broker-a").inject(lost);
    assert_eq!(
        received[0].extend(LONG).expect("no error"),
        AckStatus::Unknown
    );
    assert_eq!(statuses(&received), [AckStatus::Unknown]);
}

#[test]
fn a_message_that_is_given_back_comes_again_after_its_time() {
    let cluster = cluster();
    let sent = send(&producer(&cluster), 0..1);
    let consumer = start(consumer(&cluster));
    let received = receive(&consumer, 1, LONG);
    assert_eq!(
        received[0].retry_after(SHORT).expect("no error"),
        AckStatus::Confirmed
    );
    assert_eq!(
        statuses(&received),
        [AckStatus::Expired],
        "it was given back"
    );
    let again = receive(&consumer, 1, LONG);
    assert_eq!(bodies(&again), sent);
    assert_eq!(again[0].reconsume_times(), 1);
    again.iter().for_each(ack);
}

#[test]
fn a_message_becomes_a_dead_letter_on_demand_and_after_its_last_delivery() {
    let cluster = cluster();
    let sent = send(&producer(&cluster), 0..2);
    let consumer = start(consumer(&cluster).max_attempts(2));
    let mut received = receive(&consumer, 2, MEDIUM);
    let on_demand = received.remove(0);
    assert_eq!(
        on_demand.dead_letter().expect("no error"),
        AckStatus::Confirmed
    );
    assert_eq!(statuses(&[on_demand]), [AckStatus::Confirmed]);
    assert_eq!(cluster.group("g").dead_letters().len(), 1);
    drop(received);
    drop(receive(&consumer, 1, MEDIUM));
    let buried = || {
        nothing_comes(&consumer);
        cluster.group("g").dead_letters().len() == 2
    };
    assert!(cluster.wait_until(PATIENCE, buried));
    let dead = cluster.group("g").dead_letters();
    let texts: BTreeSet<String> = dead.iter().map(|m| m.text()).collect();
    assert_eq!(texts, sent);
    assert_eq!(cluster.group("g").in_flight(), 0);
}

#[test]
fn an_ack_waits_for_a_broker_that_restarts() {
    let cluster = cluster();
    send(&producer(&cluster), 0..3);
    let consumer = start(consumer(&cluster).ack_timeout(PATIENCE));
    let received = receive(&consumer, 3, LONG);
    let broker = cluster.broker("broker-a");
    // One that is killed forgets how far the group was.
    broker.shut_down();
    let acking = std::thread::spawn(move || {
        let statuses = consumer.ack_all(&received).expect("no error");
        (consumer, statuses)
    });
    broker.restart().expect("its port is free");
    let (consumer, statuses) = acking.join().expect("no panic");
    assert_eq!(statuses, [AckStatus::Confirmed; 3]);
    nothing_comes(&consumer);
}

#[test]
fn acks_of_a_broker_that_stays_away_are_unknown_at_the_deadline() {
    let cluster = cluster();
    send(&producer(&cluster), 0..2);
    let consumer = start(consumer(&cluster).ack_timeout(ms(300)));
    let received = receive(&consumer, 2, LONG);
    cluster.broker("broker-a").kill();
    let before = Instant::now();
    let statuses = consumer.ack_all(&received).expect("no error");
    assert_eq!(statuses, [AckStatus::Unknown; 2]);
    assert!((ms(300)..PATIENCE).contains(&before.elapsed()));
}

#[test]
fn messages_of_another_consumer_are_refused() {
    let cluster = cluster();
    send(&producer(&cluster), 0..2);
    let ours = start(consumer(&cluster));
    let others = start(consumer(&cluster));
    let received = receive(&others, 2, LONG);
    let error = ours.ack_all(&received).expect_err("foreign");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(cluster.group("g").in_flight(), 2);
    let statuses = others.ack_all(&received).expect("no error");
    assert_eq!(statuses, [AckStatus::Confirmed; 2]);
}

#[test]
fn a_handle_that_the_broker_does_not_know_is_expired() {
    let cluster = cluster();
    send(&producer(&cluster), 0..2);
    let consumer = start(consumer(&cluster));
    let received = receive(&consumer, 2, LONG);
    for code in [13, 17, 208] {
        let unknown = Fault::answer(code, "no such message").on(On::Ack).once();
        cluster.broker("broker-a").inject(unknown);
        let extended = received[0].extend(LONG).expect("no error");
        assert_eq!(extended, AckStatus::Expired, "{code}");
    }
    let unknown = Fault::answer(208, "no such message").on(On::Ack).once();
    cluster.broker("broker-a").inject(unknown);
    assert_eq!(
        statuses(&received),
        [AckStatus::Expired, AckStatus::Confirmed]
    );
}

#[test]
fn a_refused_ack_is_an_error_with_the_brokers_words() {
    let cluster = cluster();
    send(&producer(&cluster), 0..1);
    let consumer = start(consumer(&cluster));
    let received = receive(&consumer, 1, LONG);
    let refused = Fault::answer(ResponseCode::NO_PERMISSION, "no right to T").on(On::Ack);
    let refused = cluster.broker("broker-a").inject(refused);
    for error in [
        received[0].ack().expect_err("refused"),
        received[0].extend(LONG).expect_err("refused"),
        consumer.ack_all(&received).expect_err("refused"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Broker);
        assert_eq!(error.response_code(), Some(ResponseCode::NO_PERMISSION));
        assert_eq!(error.remark(), Some("no right to T"));
    }
    refused.remove();
    received.iter().for_each(ack);
}

#[test]
fn a_broker_without_pop_is_named_at_the_start() {
    let builder = rocketmq_blocking::embedded::Cluster::builder().release(Release::V4_9_7);
    let cluster = builder.topic("T", 4).start().expect("free ports");
    let error = consumer(&cluster).start().expect_err("no POP");
    assert_eq!(error.kind(), ErrorKind::Broker);
    let code = error.response_code();
    assert_eq!(code, Some(ResponseCode::REQUEST_CODE_NOT_SUPPORTED));
    let text = error.to_string();
    assert!(
        text.contains("no POP") && text.contains("PushConsumer"),
        "{text}"
    );
    assert!(cluster.group("g").members().is_empty());
}
