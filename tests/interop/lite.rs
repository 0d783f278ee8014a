//! Pull consumers on real brokers: filters of assigned queues, offsets that only a commit moves, listeners, and
//! several threads.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::{PullConsumerBuilder, PulledMessage, QueueState, Seek};
use rocketmq_blocking::{MessageQueue, PullConsumer, StartFrom};

use crate::servers::topic::Topic;
use crate::servers::{PATIENCE, Server, eventually};

fn consumer(server: &Server, group: &str) -> PullConsumerBuilder {
    PullConsumer::builder(group)
        .name_server(&server.name_server)
        .start_from(StartFrom::First)
        .commit_interval(Duration::from_millis(100))
}

fn number(message: &PulledMessage) -> usize {
    message.text().expect("text").parse().expect("a number")
}

/// So many messages, in the order in which they come. They are not marked.
#[track_caller]
fn poll(consumer: &PullConsumer, count: usize) -> Vec<PulledMessage> {
    let mut polled = Vec::new();
    while polled.len() < count {
        let more = consumer.poll(PATIENCE).expect("no error");
        assert!(!more.is_empty(), "{} of {count}", polled.len());
        polled.extend(more);
    }
    assert_eq!(polled.len(), count);
    polled
}

fn numbers(messages: &[PulledMessage]) -> Vec<usize> {
    let mut numbers: Vec<usize> = messages.iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}

fn mark(messages: impl IntoIterator<Item = PulledMessage>) {
    for message in messages {
        let text = message.to_string();
        assert!(message.done(), "{text}");
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn assigned_queues_are_filtered_and_only_a_commit_moves_their_offsets() {
    let server = Server::from_env();
    let (group, topic) = ("lite-assign", Topic::create(&server, "LiteAssign", 2));
    topic.send_all((0..20).map(|n| {
        let message = topic.message(n.to_string());
        let tag = if n % 4 < 2 { "left" } else { "right" };
        (n % 2, message.tag(tag))
    }));
    let start = || {
        let builder = consumer(&server, group).assign([topic.queue(0)]);
        let builder = builder.assign_filter("left").auto_commit(false);
        builder.start().expect("a consumer")
    };
    let wanted = [0, 4, 8, 12, 16];
    let first = start();
    assert_eq!(first.assignment(), [topic.queue(0)]);
    let polled: Result<Vec<_>, _> = first.messages().until_caught_up().collect();
    let polled = polled.expect("no error");
    assert_eq!(numbers(&polled), wanted);
    assert_eq!(first.lag().messages(), Some(10), "{}", first.lag());
    mark(polled);
    eventually("nothing is left", || first.lag().messages() == Some(0));
    assert_eq!(first.stats().fetched, 5, "{}", first.stats());
    // It is not a member, and commits nothing of itself, at the end neither.
    assert_eq!(topic.members(group), [""; 0]);
    first
        .seek(&topic.queue(0), Seek::Offset(3))
        .expect("a seek");
    assert!(first.shutdown_within(PATIENCE).is_clean());
    assert_eq!(topic.committed(group), [0, 0]);

    let second = start();
    mark(poll(&second, 5));
    second.commit().expect("confirmed");
    assert_eq!(topic.committed(group), [10, 0]);
    topic.send_to(0, &topic.message("20").tag("left"));
    // Ends when nothing comes.
    let idle = Duration::from_secs(6);
    let begin = Instant::now();
    let polled: Result<Vec<_>, _> = second.messages().until_idle(idle).collect();
    assert_eq!(numbers(&polled.expect("no error")), [20]);
    assert!(begin.elapsed() >= idle, "{:?}", begin.elapsed());
    assert!(second.shutdown_within(PATIENCE).is_clean());
    assert_eq!(topic.committed(group), [10, 0], "it is not marked");
    let third = start();
    assert_eq!(numbers(&poll(&third, 1)), [20]);
    assert!(third.shutdown_within(PATIENCE).is_clean());
}

struct Told {
    assigned: Receiver<Vec<MessageQueue>>,
    revoking: Receiver<MessageQueue>,
    lost: Receiver<MessageQueue>,
}

/// A member whose listeners tell of its queues.
fn member(builder: PullConsumerBuilder) -> (PullConsumer, Told) {
    let (assign, assigned) = unbounded();
    let (revoke, revoking) = unbounded();
    let (lose, lost) = unbounded();
    let builder = builder
        .on_assigned(move |queues| drop(assign.send(queues.to_vec())))
        .on_revoking(move |queue| drop(revoke.send(queue.clone())))
        .on_lost(move |queue| drop(lose.send(queue.clone())));
    let told = Told {
        assigned,
        revoking,
        lost,
    };
    (builder.start().expect("a consumer"), told)
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn listeners_hear_of_queues_that_come_go_and_are_lost() {
    let server = Server::from_env();
    let (group, topic) = ("lite-listen", Topic::create(&server, "LiteListen", 4));
    topic.send(0..20);
    // Members are sorted by their ids: the first one keeps the first two queues.
    let builder = |name: &str| {
        let builder = consumer(&server, group).subscribe(topic.name, "*");
        builder.instance_name(name)
    };
    let (first, of_first) = member(builder("a").drain_time(Duration::from_secs(5)));
    let next = |queues: &Receiver<Vec<MessageQueue>>| queues.recv_timeout(PATIENCE);
    assert_eq!(next(&of_first.assigned), Ok(topic.queues()));
    let polled = poll(&first, 20);
    let (second, of_second) = member(builder("b"));
    let given: BTreeSet<MessageQueue> = (0..2)
        .map(|_| of_first.revoking.recv_timeout(PATIENCE).expect("a queue"))
        .collect();
    assert!(given.iter().eq([&topic.queue(2), &topic.queue(3)]));
    // In time for all queues but one.
    let (late, others): (Vec<_>, Vec<_>) = polled.into_iter().partition(|m| m.queue_id() == 3);
    mark(others);
    assert_eq!(of_first.lost.recv_timeout(PATIENCE), Ok(topic.queue(3)));
    eventually("the second one has them", || {
        second.assignment().iter().eq(&given)
    });
    let again = poll(&second, 5);
    assert_eq!(numbers(&again), [3, 7, 11, 15, 19]);
    assert!(again.iter().all(|message| message.possibly_repeated()));
    mark(again);
    assert!(!late.into_iter().any(PulledMessage::done), "too late");
    assert!(second.shutdown_within(PATIENCE).is_clean());
    eventually("the first one has all again", || {
        first.assignment() == topic.queues()
    });
    assert!(first.shutdown_within(PATIENCE).is_clean());
    assert_eq!(topic.committed(group), [5; 4]);
    let all: Vec<_> = of_first.assigned.try_iter().collect();
    assert_eq!(all, [vec![topic.queue(0), topic.queue(1)], topic.queues()]);
    assert!(of_first.revoking.is_empty() && of_first.lost.is_empty());
    assert!(of_second.revoking.is_empty() && of_second.lost.is_empty());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn several_threads_poll_one_consumer_and_each_message_comes_once() {
    let server = Server::from_env();
    let (group, topic) = ("lite-threads", Topic::create(&server, "LiteThreads", 4));
    topic.send(0..200);
    let builder = consumer(&server, group).subscribe(topic.name, "*");
    let consumer = builder.poll_batch(4).start().expect("a consumer");
    assert_eq!(consumer.lag().messages(), Some(200), "{}", consumer.lag());
    let (seen, all) = unbounded();
    let polling: Vec<_> = (0..4)
        .map(|_| {
            let (consumer, seen) = (consumer.clone(), seen.clone());
            thread::spawn(move || {
                loop {
                    // It fails when the consumer ends.
                    let Ok(polled) = consumer.poll(PATIENCE) else {
                        return;
                    };
                    assert!(polled.len() <= 4, "{}", polled.len());
                    for message in polled {
                        seen.send(number(&message)).expect("heard");
                        assert!(message.done());
                    }
                }
            })
        })
        .collect();
    let got = (0..200).map(|_| all.recv_timeout(PATIENCE).expect("in time"));
    assert!(got.collect::<BTreeSet<usize>>().into_iter().eq(0..200));
    eventually("nothing is left", || consumer.lag().messages() == Some(0));
    let state = consumer.describe();
    assert_eq!((state.members, state.queues.len()), (Some(1), 4), "{state}");
    let read = |queue: &QueueState| {
        (queue.low_water, queue.end, queue.held, queue.running) == (50, Some(50), 0, 0)
    };
    assert!(state.queues.iter().all(read), "{state}");
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    for thread in polling {
        thread.join().expect("no panic");
    }
    assert!(all.is_empty());
    assert_eq!(topic.committed(group), [50; 4]);
}
