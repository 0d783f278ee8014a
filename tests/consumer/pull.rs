//! Consumers that are polled: what is handed out, what counts as consumed, and what can be changed meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::unbounded;
use rocketmq_blocking::consumer::{PullConsumerBuilder, PulledMessage, Seek};
use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::{ErrorKind, Message, MessageQueue, Producer, PullConsumer, PushConsumer};
use rocketmq_blocking::{ResponseCode, StartFrom};

use crate::support::{PATIENCE, cluster, eventually, inject, ms, producer};

fn consumer(cluster: &Cluster) -> PullConsumerBuilder {
    PullConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
}

fn start(builder: PullConsumerBuilder) -> PullConsumer {
    builder.start().expect("a consumer")
}

fn queue(id: i32) -> MessageQueue {
    MessageQueue::new("T", "broker-a", id)
}

/// Sends the numbers to one queue.
fn send(producer: &Producer, queue: &MessageQueue, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        let message = Message::new("T", number.to_string());
        let sent = producer.prepare(&message).queue(queue.clone()).send();
        assert!(sent.is_ok(), "{sent:?}");
    }
}

fn number(message: &PulledMessage) -> usize {
    message.text().expect("text").parse().expect("a number")
}

/// Polls until so many have come.
#[track_caller]
fn poll(consumer: &PullConsumer, count: usize) -> Vec<PulledMessage> {
    let (start, mut polled) = (Instant::now(), Vec::new());
    while polled.len() < count {
        assert!(start.elapsed() < PATIENCE, "{} of {count}", polled.len());
        polled.extend(consumer.poll(ms(500)).expect("no error"));
    }
    assert_eq!(polled.len(), count);
    polled
}

fn numbers(messages: &[PulledMessage]) -> Vec<usize> {
    messages.iter().map(number).collect()
}

#[track_caller]
fn mark(messages: impl IntoIterator<Item = PulledMessage>) {
    assert!(messages.into_iter().all(PulledMessage::done));
}

#[track_caller]
fn nothing_comes(consumer: &PullConsumer) {
    let polled = consumer.poll(ms(50)).expect("no error");
    assert_eq!(numbers(&polled), [0_usize; 0]);
}

#[test]
fn messages_of_a_queue_come_in_their_order_and_what_is_marked_is_committed() {
    let cluster = cluster();
    let producer = producer(&cluster);
    send(&producer, &queue(1), 0..50);
    let consumer = start(consumer(&cluster).commit_interval(Duration::from_secs(3600)));
    send(&producer, &queue(1), 50..100);
    let polled = poll(&consumer, 100);
    assert_eq!(numbers(&polled), Vec::from_iter(0..100));
    assert_eq!(polled[3].queue(), Some(&queue(1)));
    consumer.commit().expect("nothing to commit");
    assert_eq!(cluster.group("g").committed(&queue(1)), Some(0));
    assert!(polled.into_iter().all(PulledMessage::done));
    consumer.commit().expect("confirmed");
    assert_eq!(cluster.group("g").committed(&queue(1)), Some(100));
    assert_eq!(consumer.committed(&queue(1)).expect("known"), Some(100));
    assert_eq!(cluster.group("g").members(), [consumer.client_id()]);
    nothing_comes(&consumer);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert_eq!(cluster.group("g").members(), [] as [&str; 0]);
}

#[test]
fn what_is_marked_is_committed_though_nobody_polls() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..5);
    let consumer = start(consumer(&cluster).commit_interval(ms(10)));
    for message in poll(&consumer, 5) {
        message.done();
    }
    eventually("committed", || {
        cluster.group("g").committed(&queue(0)) == Some(5)
    });
    drop(consumer);
}

#[test]
fn what_is_not_marked_comes_again_to_the_next_and_not_here() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..5);
    let first = start(consumer(&cluster));
    for message in poll(&first, 5) {
        if [0, 1, 3].contains(&number(&message)) {
            message.done();
        }
    }
    nothing_comes(&first);
    first.commit().expect("confirmed");
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(2));
    let report = first.shutdown_within(PATIENCE);
    assert!(report.is_clean(), "all is dropped: {report}");
    let second = start(consumer(&cluster));
    assert_eq!(numbers(&poll(&second, 3)), [2, 3, 4]);
    drop(second);
}

#[test]
fn a_poll_returns_when_a_message_comes_or_its_time_is_up() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster));
    let before = Instant::now();
    nothing_comes(&consumer);
    assert!(before.elapsed() >= ms(50));
    eventually("all queues wait", || cluster.group("g").parked() == 4);
    let polling = consumer.clone();
    let polling = thread::spawn(move || numbers(&polling.poll(PATIENCE).expect("no error")));
    send(&producer, &queue(2), [7]);
    assert_eq!(polling.join().expect("no panic"), [7]);
    assert!(before.elapsed() < Duration::from_secs(5));
    consumer.shutdown();
}

#[test]
fn one_poll_takes_from_several_queues_and_no_more_than_its_batch() {
    let cluster = cluster();
    let producer = producer(&cluster);
    (0..4).for_each(|id| send(&producer, &queue(id), 0..3));
    let consumer = start(consumer(&cluster).poll_batch(5));
    // What was fetched is offered a moment later, so that the first polls may find less.
    eventually("a full batch", || {
        (0..4).for_each(|id| consumer.seek(&queue(id), Seek::Start).expect("a seek"));
        let held = || -> usize { consumer.describe().queues.iter().map(|q| q.held).sum() };
        eventually("all is fetched", || held() == 12);
        let polled = consumer.poll(PATIENCE).expect("no error");
        assert!(polled.len() <= 5);
        let queues: BTreeSet<i32> = polled.iter().map(|m| m.queue_id()).collect();
        (polled.len(), queues.len()) == (5, 2)
    });
    consumer.shutdown();
}

#[test]
fn a_shutdown_wakes_those_that_wait() {
    let cluster = cluster();
    let consumer = start(consumer(&cluster));
    let polling = consumer.clone();
    let polling = thread::spawn(move || polling.poll(Duration::MAX).map(|polled| polled.len()));
    let mut messages = consumer.messages();
    let iterating = thread::spawn(move || messages.next().is_none());
    let report = consumer.shutdown_within(PATIENCE);
    assert!(report.is_clean(), "{report}");
    let error = polling.join().expect("no panic").expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(iterating.join().expect("no panic"));
    let closed = |result: rocketmq_blocking::Result<()>| {
        assert_eq!(result.expect_err("closed").kind(), ErrorKind::Closed);
    };
    closed(consumer.poll(ms(0)).map(drop));
    closed(consumer.commit());
    assert!(consumer.shutdown_within(ms(0)).is_clean(), "again");
}

#[test]
fn a_shutdown_waits_for_the_marks_of_other_threads_and_not_for_those_of_its_own() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..2);
    send(&producer(&cluster), &queue(1), 0..1);
    let consumer = start(consumer(&cluster));
    let mine = poll(&consumer, 3);
    let (others, mine): (Vec<_>, Vec<_>) = mine.into_iter().partition(|m| m.queue_id() == 0);
    drop(others);
    consumer.seek(&queue(0), Seek::Start).expect("a seek");
    let (go, gate) = unbounded::<()>();
    let working = consumer.clone();
    let (polled, has_polled) = unbounded();
    let working = thread::spawn(move || {
        let messages = poll(&working, 2);
        polled.send(()).expect("it waits");
        gate.recv().expect("the word");
        messages
            .into_iter()
            .map(PulledMessage::done)
            .collect::<Vec<_>>()
    });
    has_polled.recv_timeout(PATIENCE).expect("polled");
    let closing = consumer.clone();
    let (closed, is_closed) = unbounded();
    let shutting = thread::spawn(move || {
        // What this thread has is not there: the message of the main one is another's for it.
        closed
            .send(closing.shutdown_within(PATIENCE))
            .expect("it waits");
    });
    assert!(is_closed.recv_timeout(ms(50)).is_err(), "it waits");
    go.send(()).expect("it waits");
    assert_eq!(working.join().expect("no panic"), [true, true]);
    drop(mine);
    let report = is_closed.recv_timeout(PATIENCE).expect("in time");
    shutting.join().expect("no panic");
    assert!(report.is_clean(), "{report}");
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(2));
    assert_eq!(cluster.group("g").committed(&queue(1)), Some(0));
}

#[test]
fn a_shutdown_names_what_its_own_thread_has_not_marked_and_does_not_wait_for_it() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..3);
    let consumer = start(consumer(&cluster));
    let mut polled = poll(&consumer, 3);
    polled.remove(0).done();
    let before = Instant::now();
    let report = consumer.shutdown_within(Duration::from_secs(3600));
    assert!(before.elapsed() < PATIENCE);
    assert_eq!(report.running, [(queue(0), 1), (queue(0), 2)], "{report}");
    assert_eq!(report.uncommitted, []);
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(1));
    assert!(!polled.into_iter().any(PulledMessage::done));
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(1));
}

#[test]
fn an_iteration_ends_when_it_has_caught_up() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster));
    assert_eq!(consumer.messages().until_caught_up().count(), 0);
    (0..4).for_each(|id| send(&producer, &queue(id), 0..40));
    let mut count = 0;
    for message in consumer.messages().until_caught_up() {
        message.expect("no error").done();
        count += 1;
    }
    assert_eq!(count, 160);
    consumer.commit().expect("confirmed");
    let committed = (0..4).map(|id| cluster.group("g").committed(&queue(id)));
    assert_eq!(Vec::from_iter(committed), [Some(40); 4]);
    consumer.shutdown();
}

#[test]
fn an_iteration_catches_up_with_messages_that_are_not_wanted() {
    let cluster = cluster();
    let producer = producer(&cluster);
    for (tag, body) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")] {
        let message = Message::new("T", body).tag(tag);
        assert!(producer.prepare(&message).queue(queue(0)).send().is_ok());
    }
    let builder = PullConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "a")
        .start_from(StartFrom::First);
    let consumer = start(builder);
    let messages = consumer.messages().until_caught_up();
    let bodies = messages.map(|message| number(&message.expect("no error")));
    assert_eq!(Vec::from_iter(bodies), [1, 3]);
    consumer.shutdown();
}

#[test]
fn an_iteration_ends_when_nothing_comes_or_enough_has_come() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..10);
    let consumer = start(consumer(&cluster));
    let first = consumer.messages().take(4);
    let first: Vec<_> = first.map(|message| message.expect("no error")).collect();
    assert_eq!(numbers(&first), [0, 1, 2, 3]);
    let before = Instant::now();
    let rest = consumer.messages().until_idle(ms(200));
    assert!(rest.count() <= 6);
    assert!(before.elapsed() >= ms(200));
    consumer.shutdown();
}

#[test]
fn a_seek_takes_effect_for_the_next_message() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster));
    send(&producer, &queue(0), 0..5);
    let before = poll(&consumer, 5);
    assert_eq!(consumer.position(&queue(0)).expect("ours"), Some(5));
    consumer.seek(&queue(0), Seek::Offset(2)).expect("a seek");
    assert_eq!(consumer.position(&queue(0)).expect("ours"), Some(2));
    assert!(!before.into_iter().any(PulledMessage::done), "of before");
    let after = poll(&consumer, 3);
    assert_eq!(numbers(&after), [2, 3, 4]);
    consumer.commit().expect("confirmed");
    assert_eq!(consumer.committed(&queue(0)).expect("known"), Some(2));
    consumer.seek(&queue(0), Seek::Start).expect("a seek");
    assert_eq!(numbers(&poll(&consumer, 5)), [0, 1, 2, 3, 4]);
    consumer.seek(&queue(0), Seek::End).expect("a seek");
    send(&producer, &queue(0), [5]);
    assert_eq!(numbers(&poll(&consumer, 1)), [5]);
    let past = SystemTime::now() - Duration::from_secs(3600);
    consumer.seek(&queue(0), Seek::Time(past)).expect("a seek");
    assert_eq!(numbers(&poll(&consumer, 6)), [0, 1, 2, 3, 4, 5]);
    let invalid = |queue: &MessageQueue, seek| {
        let error = consumer.seek(queue, seek).expect_err("cannot be");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    };
    invalid(&queue(0), Seek::Offset(7));
    invalid(&MessageQueue::new("T", "broker-a", 9), Seek::Start);
    assert!(consumer.position(&queue(9)).is_err());
    consumer.shutdown();
}

/// The request that waits at the broker for what comes behind the end must not hold up the next one.
#[test]
fn a_seek_does_not_wait_for_a_parked_request() {
    let cluster = cluster();
    let producer = producer(&cluster);
    send(&producer, &queue(0), 0..5);
    let consumer = start(consumer(&cluster));
    drop(poll(&consumer, 5));
    eventually("it waits", || cluster.group("g").parked() == 4);
    let before = Instant::now();
    consumer.seek(&queue(0), Seek::Start).expect("a seek");
    drop(poll(&consumer, 5));
    consumer.seek(&queue(0), Seek::Start).expect("a seek");
    drop(poll(&consumer, 5));
    assert!(before.elapsed() < Duration::from_secs(5));
    consumer.shutdown();
}

#[test]
fn a_paused_queue_hands_out_nothing_and_stays_ours() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster));
    send(&producer, &queue(0), 0..3);
    eventually("fetched", || consumer.stats().fetched == 3);
    consumer.pause([&queue(0)]);
    nothing_comes(&consumer);
    send(&producer, &queue(1), [9]);
    assert_eq!(numbers(&poll(&consumer, 1)), [9]);
    assert_eq!(
        consumer.assignment(),
        [queue(0), queue(1), queue(2), queue(3)]
    );
    consumer.resume(&[queue(0)]);
    assert_eq!(numbers(&poll(&consumer, 3)), [0, 1, 2]);
    consumer.shutdown();
}

#[test]
fn assigned_queues_are_consumed_without_being_a_member() {
    let cluster = cluster();
    let producer = producer(&cluster);
    (0..4).for_each(|id| send(&producer, &queue(id), 0..3));
    let member = start(consumer(&cluster));
    let builder = || {
        let builder = PullConsumer::builder("g").name_server(cluster.name_server());
        builder.start_from(StartFrom::First)
    };
    let fixed = start(builder().assign([queue(2), queue(0)]).assign([queue(2)]));
    assert_eq!(fixed.assignment(), [queue(0), queue(2)]);
    let polled = poll(&fixed, 6);
    assert!(polled.iter().all(|m| [0, 2].contains(&m.queue_id())));
    assert_eq!(cluster.group("g").members(), [member.client_id()]);
    assert_eq!(member.assignment().len(), 4);
    mark(polled);
    fixed.commit().expect("confirmed");
    assert_eq!(cluster.group("g").committed(&queue(2)), Some(3));
    nothing_comes(&fixed);
    assert!(fixed.shutdown_within(PATIENCE).is_clean());
    assert_eq!(member.assignment().len(), 4);
    member.shutdown();
}

#[test]
fn two_members_share_the_queues_and_marks_count_until_a_queue_is_gone() {
    let cluster = cluster();
    let producer = producer(&cluster);
    (0..4).for_each(|id| send(&producer, &queue(id), 0..5));
    let (assigned, assignments) = unbounded();
    let (revoking, revoked) = unbounded();
    let (lost, losses) = unbounded();
    let builder = consumer(&cluster)
        .on_assigned(move |queues| drop(assigned.send(queues.to_vec())))
        .on_revoking(move |queue| drop(revoking.send(queue.clone())))
        .on_lost(move |queue| drop(lost.send(queue.clone())));
    let first = start(builder);
    let all = Vec::from_iter((0..4).map(queue));
    assert_eq!(assignments.recv_timeout(PATIENCE), Ok(all));
    let polled = poll(&first, 20);
    let second = start(consumer(&cluster));
    let given: Vec<MessageQueue> = (0..2)
        .map(|_| revoked.recv_timeout(PATIENCE).expect("a queue"))
        .collect();
    // Marks count while the queue is given up.
    assert!(polled.into_iter().all(PulledMessage::done));
    eventually("divided", || second.assignment().len() == 2);
    assert_eq!(first.assignment().len(), 2);
    let committed = |queue: &MessageQueue| cluster.group("g").committed(queue) == Some(5);
    eventually("committed", || given.iter().all(committed));
    assert!(losses.is_empty());
    first.shutdown();
    second.shutdown();
}

#[test]
fn a_queue_whose_messages_are_not_marked_in_time_is_lost() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(3), 0..5);
    let (lost, losses) = unbounded();
    let builder = consumer(&cluster)
        .drain_time(ms(20))
        .on_lost(move |queue| drop(lost.send(queue.clone())));
    let first = start(builder);
    let polled = poll(&first, 5);
    let second = start(consumer(&cluster));
    eventually("each has two queues", || {
        first.assignment().len() == 2 && second.assignment().len() == 2
    });
    let owner = match second.assignment().contains(&queue(3)) {
        true => &second,
        // Members are sorted by their ids, which are random.
        false => &first,
    };
    if std::ptr::eq(owner, &second) {
        assert_eq!(losses.recv_timeout(PATIENCE), Ok(queue(3)));
        assert_eq!(numbers(&poll(&second, 5)), [0, 1, 2, 3, 4]);
        assert!(!polled.into_iter().any(PulledMessage::done));
    }
    first.shutdown();
    second.shutdown();
}

#[test]
fn several_threads_poll_and_each_message_comes_once() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster));
    let (seen, all) = unbounded();
    let polling: Vec<_> = (0..4)
        .map(|_| {
            let (consumer, seen) = (consumer.clone(), seen.clone());
            thread::spawn(move || {
                for message in consumer.messages() {
                    let message = message.expect("no error");
                    seen.send((message.queue_id(), number(&message)))
                        .expect("heard");
                    message.done();
                }
            })
        })
        .collect();
    (0..4).for_each(|id| send(&producer, &queue(id), 0..50));
    let got = (0..200).map(|_| all.recv_timeout(PATIENCE).expect("in time"));
    let got: BTreeSet<_> = got.collect();
    assert_eq!(got.len(), 200);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    polling
        .into_iter()
        .for_each(|thread| thread.join().expect("no panic"));
    assert!(all.is_empty());
    let committed = (0..4).map(|id| cluster.group("g").committed(&queue(id)));
    assert_eq!(Vec::from_iter(committed), [Some(50); 4]);
}

#[test]
fn nothing_more_is_fetched_than_is_allowed_while_nobody_polls() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster).window(40));
    (0..4).for_each(|id| send(&producer, &queue(id), 0..100));
    let held = || -> Vec<usize> { consumer.describe().queues.iter().map(|q| q.held).collect() };
    eventually("all are full", || held() == [40; 4]);
    assert_eq!(cluster.group("g").members(), [consumer.client_id()]);
    assert_eq!(consumer.assignment().len(), 4);
    let mut count = 0;
    for message in consumer.messages().until_caught_up() {
        assert!(held().into_iter().all(|held| held <= 40));
        message.expect("no error").done();
        count += 1;
    }
    assert_eq!(count, 400);
    consumer.shutdown();
}

#[test]
fn bytes_are_limited_over_all_queues() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let body = crate::support::noise(10_000);
    for n in 0..240 {
        let message = Message::new("T", body.clone());
        let sent = producer.prepare(&message).queue(queue(n % 4)).send();
        assert!(sent.is_ok());
    }
    let consumer = start(consumer(&cluster).byte_budget(1_000_000));
    let mut count = 0;
    for message in consumer.messages().until_caught_up() {
        let held = consumer.describe().held_bytes;
        assert!(held <= 1_000_000, "{held}");
        message.expect("no error").done();
        count += 1;
    }
    assert_eq!(count, 240);
    consumer.shutdown();
}

#[test]
fn a_poll_says_so_if_nothing_can_come_any_more() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..5);
    let consumer = start(consumer(&cluster).window(3));
    let mut polled = poll(&consumer, 3);
    // In use: somebody may still mark it.
    nothing_comes(&consumer);
    drop(polled.remove(0));
    mark(polled);
    let error = consumer.poll(PATIENCE).expect_err("blocked");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("offset 0"), "{error}");
    consumer.seek(&queue(0), Seek::Offset(1)).expect("a seek");
    assert_eq!(numbers(&poll(&consumer, 3)), [1, 2, 3]);
    consumer.shutdown();
}

#[test]
fn a_commit_that_is_not_confirmed_fails() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..5);
    let consumer = start(consumer(&cluster).commit_interval(Duration::from_secs(3600)));
    mark(poll(&consumer, 5));
    let refuse = Fault::answer(ResponseCode::NO_PERMISSION, "no").on(On::Commit);
    inject(&cluster, &refuse.once());
    let error = consumer.commit().expect_err("refused");
    assert_eq!(error.response_code(), Some(ResponseCode::NO_PERMISSION));
    inject(&cluster, &Fault::silence().on(On::Commit).once());
    let error = consumer.commit_within(ms(50)).expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    // The first answer is still waited for; the next commit follows it.
    consumer.commit_within(PATIENCE).expect("confirmed");
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(5));
    consumer.shutdown();
}

#[test]
fn a_broker_that_comes_back_is_polled_again() {
    let cluster = cluster();
    let sender = producer(&cluster);
    send(&sender, &queue(0), 0..3);
    let consumer = start(consumer(&cluster));
    let polled = poll(&consumer, 3);
    let broker = cluster.broker("broker-a");
    broker.kill();
    mark(polled);
    assert!(consumer.commit_within(ms(20)).is_err());
    broker.restart().expect("its port");
    consumer.commit_within(PATIENCE).expect("confirmed");
    let sender = producer(&cluster);
    send(&sender, &queue(0), [3]);
    assert_eq!(numbers(&poll(&consumer, 1)), [3]);
    consumer.shutdown();
}

#[test]
fn the_lag_is_what_is_not_marked_and_what_is_unknown_is_not_zero() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let consumer = start(consumer(&cluster).window(2));
    assert_eq!(consumer.lag().messages(), Some(0));
    assert_eq!(consumer.lag().oldest(), Some(Duration::ZERO));
    send(&producer, &queue(0), 0..5);
    let polled = poll(&consumer, 2);
    let lag = consumer.lag();
    assert_eq!((lag.messages(), lag.queues.len()), (Some(5), 4));
    assert_eq!(lag.queues[0].queue, queue(0));
    assert!(lag.oldest().is_some_and(|age| age < PATIENCE), "{lag}");
    mark(polled);
    assert_eq!(consumer.lag().queues[0].messages, Some(3));
    inject(&cluster, &Fault::hang_up());
    let lag = consumer.lag();
    assert_eq!((lag.messages(), lag.queues[1].messages), (None, None));
    drop(consumer);
}

#[test]
fn a_pull_consumer_shares_a_group_with_others_of_its_kind_and_subscribes_no_retries() {
    let cluster = cluster();
    let consumer = start(consumer(&cluster));
    let subscriptions = cluster.group("g").subscriptions();
    assert_eq!(Vec::from_iter(subscriptions.keys()), ["T"]);
    consumer.shutdown();
}

#[test]
fn settings_that_cannot_work_are_errors_at_the_start() {
    let cluster = cluster();
    let new = || PullConsumer::builder("g").name_server(cluster.name_server());
    let subscribed = || new().subscribe("T", "*");
    for builder in [
        new(),
        subscribed().assign([queue(0)]),
        new().assign([queue(0)]).broadcast(),
        subscribed().offset_dir("anywhere"),
        subscribed().poll_batch(0),
        subscribed().poll_batch(1025),
        subscribed().window(0),
        new().subscribe("T", "||"),
        PullConsumer::builder("a b").subscribe("T", "*"),
    ] {
        let text = format!("{builder:?}");
        let error = builder.start().expect_err("must fail");
        assert_eq!(error.kind(), ErrorKind::Config, "{text}: {error}");
    }
}

#[test]
fn a_last_handle_that_is_dropped_commits_what_is_marked() {
    let cluster = cluster();
    send(&producer(&cluster), &queue(0), 0..5);
    let consumer = start(consumer(&cluster).commit_interval(Duration::from_secs(3600)));
    let messages = consumer.messages().take(5);
    mark(messages.map(|message| message.expect("no error")));
    drop(consumer);
    assert_eq!(cluster.group("g").committed(&queue(0)), Some(5));
    let members = cluster.group("g").members();
    assert!(members.is_empty());
}

#[test]
fn a_push_and_a_pull_consumer_of_one_group_go_on_where_the_other_ended() {
    let cluster = cluster();
    let producer = producer(&cluster);
    send(&producer, &queue(0), 0..3);
    let pull = start(consumer(&cluster));
    mark(poll(&pull, 3));
    pull.shutdown();
    send(&producer, &queue(0), 3..5);
    let (seen, bodies) = unbounded();
    let seen = Arc::new(seen);
    let push = PushConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start(move |message| {
            seen.send(message.text()?.to_owned())?;
            Ok(())
        })
        .expect("a consumer");
    let got = (0..2).map(|_| bodies.recv_timeout(PATIENCE).expect("in time"));
    assert_eq!(
        BTreeSet::from_iter(got),
        ["3", "4"].map(str::to_owned).into()
    );
    push.shutdown();
}
