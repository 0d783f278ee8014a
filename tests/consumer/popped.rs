//! Push consumers whose brokers have the messages popped.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::{Event, PushConsumerBuilder};
use rocketmq_blocking::embedded::{Cluster, Fault, On, Release};
use rocketmq_blocking::{ErrorKind, MessageQueue, MessageView, PushConsumer, Retry};

use crate::common::{bodies, consumer, send, take};
use crate::support::{PATIENCE, brokers, eventually, ms, producer, start_heard};

const QUERY_ASSIGNMENT: i32 = 400;
const CHANGE_INVISIBLE: i32 = 200_053;

/// Brokers have the group `g` pop `T`.
pub fn pop(cluster: &Cluster, share: u16) {
    let set = producer(cluster).admin().group("g").set_pop("T", share);
    set.expect("the mode");
}

/// One broker, `T` with four queues, which is popped.
pub fn cluster() -> Cluster {
    let cluster = crate::support::cluster();
    pop(&cluster, 0);
    cluster
}

pub fn popping(cluster: &Cluster) -> PushConsumerBuilder {
    consumer(cluster).broker_assignment(true)
}

#[track_caller]
pub fn next(messages: &Receiver<MessageView>) -> MessageView {
    messages.recv_timeout(PATIENCE).expect("a message in time")
}

fn pulls_of_t(cluster: &Cluster) -> usize {
    let pulls = cluster.requests(&On::Pull);
    let of_t = |request: &&rocketmq_blocking::embedded::ReceivedRequest| {
        request.command().ext.get("topic") == Some("T")
    };
    pulls.iter().filter(of_t).count()
}

#[test]
fn messages_are_popped_and_acknowledged() {
    let cluster = brokers(2);
    pop(&cluster, 0);
    let sent = send(&producer(&cluster), 0..40);
    let (consumer, seen) = bodies(popping(&cluster));
    let any = |broker| MessageQueue::new("T", broker, -1);
    let popped: Vec<MessageQueue> = {
        let queues = consumer.assignment().into_iter();
        queues.filter(|queue| !queue.is_retry()).collect()
    };
    assert_eq!(popped, [any("broker-a"), any("broker-b")]);
    eventually("what was pulled before comes again there", || {
        consumer.assignment().iter().any(MessageQueue::is_retry)
    });
    let taken: BTreeSet<String> = take(&seen, 40).into_iter().collect();
    assert_eq!(taken, sent);
    eventually("all are acknowledged", || {
        cluster.group("g").in_flight() == 0
    });
    assert_eq!(pulls_of_t(&cluster), 0);
    assert_eq!(consumer.stats().handled, 40);
    eventually("its state says so", || {
        let state = consumer.describe().to_string();
        state.contains("T@broker-a:-1: fetching for")
    });
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(seen.is_empty());
    eventually("gone", || cluster.group("g").members().is_empty());
}

#[test]
fn the_lag_has_popped_and_pulled_topics() {
    let cluster = Cluster::builder().topic("T", 4).topic("U", 2).start();
    let cluster = cluster.expect("free ports");
    pop(&cluster, 0);
    let (let_go, gate) = unbounded::<()>();
    let builder = popping(&cluster).subscribe("U", "*").consume_threads(1);
    let (consumer, messages) = start_heard(builder.pull_batch(1), move |_| {
        // Until the other end is dropped.
        let _ = gate.recv();
        Ok(())
    });
    eventually("nothing yet", || consumer.lag().messages() == Some(0));
    let producer = producer(&cluster);
    let _ = send(&producer, 0..10);
    assert_eq!(next(&messages).topic(), "T");
    for _ in 0..3 {
        let message = rocketmq_blocking::Message::new("U", "of U");
        let _ = producer.send(&message).expect("a receipt");
    }
    let lag_of = |topic: &str| -> Option<u64> {
        let lag = consumer.lag();
        let of_topic = lag.queues.iter().filter(|lag| lag.queue.topic() == topic);
        of_topic.map(|lag| lag.messages).sum()
    };
    // One has the handler, and another one waits for it. What is pulled counts until it is consumed.
    eventually("two are popped", || lag_of("T") == Some(8));
    eventually("three are pulled", || lag_of("U") == Some(3));
    eventually("its state has both", || {
        let state = consumer.describe();
        let mut popped = state.queues.iter().filter(|queue| queue.is_popped);
        let both = popped.any(|queue| queue.held == 2 && queue.last_fetch.is_some());
        both && state.held_bytes >= 5 * 4
    });
    drop(let_go);
    eventually("all are handled", || consumer.lag().messages() == Some(0));
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn members_pop_together_and_each_message_has_one_handler() {
    let cluster = cluster();
    let (one, seen) = bodies(popping(&cluster));
    let (two, more) = bodies(popping(&cluster).instance_name("two"));
    let sent = send(&producer(&cluster), 0..100);
    let mut all = Vec::new();
    eventually("all are handled", || {
        one.stats().handled + two.stats().handled >= 100
    });
    assert!(one.shutdown_within(PATIENCE).is_clean());
    assert!(two.shutdown_within(PATIENCE).is_clean());
    all.extend(seen.try_iter());
    all.extend(more.try_iter());
    assert_eq!(all.len(), 100);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), sent);
}

#[test]
fn members_pop_own_queues_and_those_of_some_others() {
    let cluster = cluster();
    pop(&cluster, 1);
    let start = |name: &str| bodies(popping(&cluster).instance_name(name)).0;
    let (one, two, three) = (start("1"), start("2"), start("3"));
    let popped = |consumer: &PushConsumer| {
        let queues = consumer.assignment().into_iter();
        let own = queues.filter(|queue| queue.topic() == "T");
        own.map(|queue| queue.id()).collect::<Vec<_>>()
    };
    // Four queues for three members: two, one and one, and those of the next member.
    let expected = [vec![0, 1, 2], vec![2, 3], vec![0, 1, 3]];
    eventually("each has its share", || {
        let mut found = [popped(&one), popped(&two), popped(&three)];
        found.sort();
        found
            == [
                expected[0].clone(),
                expected[2].clone(),
                expected[1].clone(),
            ]
    });
}

#[test]
fn a_failed_message_comes_again_after_the_delay_of_its_level() {
    let cluster = cluster();
    let _ = send(&producer(&cluster), 0..1);
    let (consumer, messages) = start_heard(popping(&cluster), |message| {
        match message.reconsume_times() {
            0 => Err(Retry::level(1).because("no stock")),
            _ => Ok(()),
        }
    });
    let first = next(&messages);
    let again = next(&messages);
    assert_eq!(first.message_id(), again.message_id());
    assert_eq!((first.topic(), again.topic()), ("T", "T"));
    assert_eq!((first.reconsume_times(), again.reconsume_times()), (0, 1));
    assert!(again.possibly_repeated());
    eventually("it is counted", || consumer.stats().sent_back == 1);
    let hidden = cluster.requests(&On::Code(CHANGE_INVISIBLE));
    assert_eq!(hidden[0].command().ext.get("invisibleTime"), Some("1000"));
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn an_error_without_a_level_is_delayed_by_the_number_of_failures() {
    let cluster = cluster();
    let _ = send(&producer(&cluster), 0..1);
    let (consumer, messages) = start_heard(popping(&cluster), |_| Err(Retry::later()));
    let _ = next(&messages);
    eventually("it is sent back", || consumer.stats().sent_back == 1);
    let hidden = cluster.requests(&On::Code(CHANGE_INVISIBLE));
    assert_eq!(hidden[0].command().ext.get("invisibleTime"), Some("10000"));
}

#[test]
fn dead_letters_are_copied_and_do_not_come_again() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let _ = send(&producer, 0..2);
    let builder = popping(&cluster).max_reconsume(0);
    let (consumer, messages) = start_heard(builder, |message| match message.text()? {
        "message 0" => Err(Retry::dead_letter()),
        _ => Err(Retry::later()),
    });
    let both = [next(&messages), next(&messages)];
    eventually("both are dead letters", || {
        cluster.group("g").dead_letters().len() == 2
    });
    eventually("both are counted", || consumer.stats().dead_lettered == 2);
    assert!(cluster.group("g").in_flight() == 0);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert_eq!(both.len() + messages.len(), 2);
}

#[test]
fn a_message_stays_hidden_as_long_as_its_handler_runs() {
    let cluster = cluster();
    let _ = send(&producer(&cluster), 0..1);
    let (let_go, gate) = unbounded::<()>();
    // A renewal has 2.5 s, and two of them take 12 s.
    let builder = popping(&cluster).invisible_time(Duration::from_secs(9));
    let (consumer, messages) = start_heard(builder, move |_| {
        gate.recv()?;
        Ok(())
    });
    let first = next(&messages);
    let renewals = || cluster.requests(&On::Code(CHANGE_INVISIBLE)).len();
    eventually("it was renewed several times", || renewals() >= 2);
    assert!(messages.is_empty(), "nobody else got it");
    let_go.send(()).expect("it runs");
    eventually("it is handled", || consumer.stats().handled == 1);
    eventually("it is acknowledged", || cluster.group("g").in_flight() == 0);
    assert_eq!(first.reconsume_times(), 0);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(messages.is_empty());
}

#[test]
fn a_message_that_is_not_renewed_comes_again_and_the_late_result_does_not_count() {
    let cluster = cluster();
    let _ = send(&producer(&cluster), 0..1);
    let (let_go, gate) = unbounded::<()>();
    let (told, events) = unbounded();
    let builder = popping(&cluster)
        .invisible_time(Duration::from_secs(5))
        .consume_timeout(ms(10))
        .revoke_stuck(true)
        .events(move |event| drop(told.send(event.clone())));
    let (consumer, messages) = start_heard(builder, move |message| {
        if message.reconsume_times() == 0 {
            gate.recv()?;
        }
        Ok(())
    });
    let first = next(&messages);
    let again = next(&messages);
    assert_eq!(first.message_id(), again.message_id());
    assert_eq!(again.reconsume_times(), 1);
    let event = || events.recv_timeout(PATIENCE).expect("an event");
    while !matches!(event(), Event::Stuck { .. }) {}
    let acks = || cluster.requests(&On::Ack).len();
    eventually("the second one is acknowledged", || {
        cluster.group("g").in_flight() == 0
    });
    let before = acks();
    let_go.send(()).expect("it runs");
    eventually("it is too late", || consumer.stats().late_results == 1);
    assert_eq!(acks(), before, "nothing is asked for it");
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn batches_have_messages_of_one_queue() {
    let cluster = cluster();
    let sent = send(&producer(&cluster), 0..40);
    let (seen, batches) = unbounded();
    let builder = popping(&cluster).consume_threads(1);
    let started = builder.start_batch(8, move |batch| {
        let queues: BTreeSet<_> = batch.iter().map(|m| m.queue().cloned()).collect();
        let texts = batch.iter().map(|m| m.text().map(str::to_owned));
        seen.send((queues.len(), texts.collect::<Result<Vec<_>, _>>()?))?;
        Ok(())
    });
    let consumer = started.expect("a consumer");
    let (mut all, mut largest) = (BTreeSet::new(), 0);
    while all.len() < 40 {
        let (queues, texts) = batches.recv_timeout(PATIENCE).expect("in time");
        assert_eq!(queues, 1);
        largest = largest.max(texts.len());
        all.extend(texts);
    }
    assert_eq!(all, sent);
    assert!((2..=8).contains(&largest), "{largest}");
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn a_pause_gives_back_what_waits() {
    let cluster = cluster();
    let (let_go, gate) = unbounded::<()>();
    let builder = popping(&cluster).consume_threads(1);
    let (consumer, messages) = start_heard(builder, move |_| {
        gate.recv()?;
        Ok(())
    });
    let _ = send(&producer(&cluster), 0..4);
    let _ = next(&messages);
    let popped = || cluster.requests(&On::Pop).len();
    eventually("the next one waits", || consumer.stats().fetched >= 2);
    consumer.pause_topic("T");
    for _ in 0..10 {
        let_go.send(()).expect("a channel");
    }
    eventually("what waited is given back", || {
        !cluster.requests(&On::Code(CHANGE_INVISIBLE)).is_empty()
    });
    eventually("the first one is settled", || consumer.stats().handled == 1);
    let before = popped();
    assert!(messages.is_empty());
    consumer.resume_topic("T");
    for _ in 0..3 {
        let _ = next(&messages);
    }
    assert!(popped() > before);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn a_shutdown_waits_for_handlers_and_their_acks() {
    let cluster = cluster();
    let _ = send(&producer(&cluster), 0..1);
    let (let_go, gate) = unbounded::<()>();
    let (consumer, messages) = start_heard(popping(&cluster), move |_| {
        gate.recv()?;
        Ok(())
    });
    let _ = next(&messages);
    let closing = consumer.clone();
    let (done, is_done) = unbounded();
    let shutting = thread::spawn(move || done.send(closing.shutdown_within(PATIENCE)));
    assert!(is_done.recv_timeout(ms(50)).is_err(), "the handler runs");
    let_go.send(()).expect("it runs");
    let report = is_done.recv_timeout(PATIENCE).expect("in time");
    assert!(report.is_clean(), "{report}");
    let _ = shutting.join().expect("no panic");
    assert!(cluster.group("g").in_flight() == 0);
    assert_eq!(consumer.assignment(), []);
}

#[test]
fn a_shutdown_names_what_is_left() {
    let cluster = cluster();
    let _ = send(&producer(&cluster), 0..1);
    let (let_go, gate) = unbounded::<()>();
    let (consumer, messages) = start_heard(popping(&cluster), move |_| {
        gate.recv()?;
        Ok(())
    });
    let message = next(&messages);
    let before = Instant::now();
    drop(consumer.shutdown_within(ms(200)));
    assert!(before.elapsed() < PATIENCE);
    // Its report is made before that, and may come too late for that call.
    eventually("gone", || cluster.group("g").members().is_empty());
    drop(let_go);
    let report = consumer.shutdown_within(PATIENCE);
    let offset = u64::try_from(message.queue_offset()).expect("small");
    assert_eq!(
        report.running,
        [(message.queue().expect("a queue").clone(), offset)]
    );
}

/// Each message fills the budget: nothing is popped while one waits or has a handler.
#[test]
fn a_message_that_fails_makes_room_for_the_next_ones() {
    let cluster = cluster();
    let sent = send(&producer(&cluster), 0..3);
    let builder = popping(&cluster).byte_budget(1).pull_batch(1);
    let (_consumer, messages) = start_heard(builder, |_| Err(Retry::level(9)));
    let got = [(); 3].map(|()| next(&messages).text().expect("text").to_owned());
    assert_eq!(BTreeSet::from(got), sent);
}

#[test]
fn an_ack_is_repeated_until_the_broker_confirms_it() {
    let cluster = cluster();
    let fault = Fault::busy().on(On::Ack).times(2);
    let injected = cluster.broker("broker-a").inject(fault);
    let _ = send(&producer(&cluster), 0..1);
    let (consumer, seen) = bodies(popping(&cluster));
    let _ = take(&seen, 1);
    eventually("it is acknowledged", || {
        cluster.group("g").in_flight() == 0 && injected.hits() == 2
    });
    eventually("it is counted", || consumer.stats().commits >= 1);
}

#[test]
fn without_pop_the_members_divide_the_queues_themselves() {
    let pulled = crate::support::cluster();
    let old = Cluster::builder().topic("T", 4).release(Release::V4_9_7);
    let old = old.start().expect("free ports");
    for cluster in [pulled, old] {
        let sent = send(&producer(&cluster), 0..20);
        let (consumer, seen) = bodies(popping(&cluster));
        let taken: BTreeSet<String> = take(&seen, 20).into_iter().collect();
        assert_eq!(taken, sent);
        assert!(!cluster.requests(&On::Code(QUERY_ASSIGNMENT)).is_empty());
        assert!(cluster.requests(&On::Pop).is_empty());
        assert_eq!(
            consumer
                .assignment()
                .iter()
                .filter(|q| !q.is_retry())
                .count(),
            4
        );
        assert!(consumer.shutdown_within(PATIENCE).is_clean());
    }
}

#[test]
fn a_mode_that_changes_counts_from_the_next_start_on() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let (consumer, seen) = bodies(popping(&cluster).rebalance_interval(Duration::from_secs(1)));
    producer.admin().group("g").set_pull("T").expect("the mode");
    let asked = || cluster.requests(&On::Code(QUERY_ASSIGNMENT)).len();
    let before = asked();
    eventually("it has asked again", || asked() > before + 1);
    let _ = send(&producer, 0..4);
    let _ = take(&seen, 4);
    assert_eq!(pulls_of_t(&cluster), 0);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    let (consumer, seen) = bodies(popping(&cluster));
    let _ = send(&producer, 4..8);
    let _ = take(&seen, 4);
    assert!(pulls_of_t(&cluster) > 0);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn one_topic_is_popped_while_another_is_pulled() {
    let cluster = Cluster::builder().topic("T", 4).topic("U", 2).start();
    let cluster = cluster.expect("free ports");
    pop(&cluster, 0);
    let builder = popping(&cluster).subscribe("U", "*");
    let (consumer, seen) = bodies(builder);
    let producer = producer(&cluster);
    let _ = send(&producer, 0..4);
    let message = rocketmq_blocking::Message::new("U", "of U");
    let _ = producer.send(&message).expect("a receipt");
    assert!(take(&seen, 5).contains(&"of U".to_owned()));
    let shown: Vec<String> = consumer
        .assignment()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(shown.contains(&"T@broker-a:-1".to_owned()), "{shown:?}");
    assert!(shown.contains(&"U@broker-a:1".to_owned()), "{shown:?}");
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn ordered_and_broadcasting_consumers_cannot_be_popped() {
    let cluster = cluster();
    let ordered = popping(&cluster).start_ordered(|_| Ok(()));
    let broadcast = popping(&cluster).broadcast().start(|_| Ok(()));
    let never = popping(&cluster).invisible_time(ms(999)).start(|_| Ok(()));
    for refused in [ordered, broadcast, never] {
        let error = refused.map(drop).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
}
