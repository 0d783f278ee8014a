//! Push consumers on real brokers: how much they hold, when they hand out nothing, what they report, and how
//! they end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::{Doing, Event, PushConsumerBuilder, QueueState};
use rocketmq_blocking::hook::{ConsumeContext, ConsumeHook, ConsumeOutcome};
use rocketmq_blocking::{MessageQueue, MessageView, PushConsumer, Retry, StartFrom};

use crate::servers::heard::{AGAIN, next, take};
use crate::servers::topic::Topic;
use crate::servers::{PATIENCE, Server, eventually, random};
use crate::support::start_heard;

fn consumer(server: &Server, group: &str, topic: &Topic) -> PushConsumerBuilder {
    PushConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(topic.name, "*")
        .start_from(StartFrom::First)
        .commit_interval(Duration::from_millis(100))
}

fn state_of(consumer: &PushConsumer, queue: &MessageQueue) -> QueueState {
    let state = consumer.describe();
    let found = state.queues.iter().find(|one| one.queue == *queue);
    found.unwrap_or_else(|| panic!("{state}")).clone()
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn no_more_is_held_than_the_window_and_the_budget_allow_and_the_state_shows_it() {
    const BUDGET: u64 = 256 * 1024;
    let server = Server::from_env();
    let topic = Topic::create(&server, "FlowWindow", 1);
    topic.send(0..30);
    let (open, gate) = unbounded::<()>();
    let builder = consumer(&server, "flow-window", &topic).window(10);
    let (windowed, _seen) = start_heard(builder, move |_| {
        // Until the other end is dropped.
        let _ = gate.recv();
        Ok(())
    });
    let of_topic = || state_of(&windowed, &topic.queue(0));
    eventually("ten have handlers", || of_topic().running == 10);
    eventually("the window is full", || of_topic().doing == Doing::Full);
    let state = of_topic();
    assert_eq!((state.held, state.low_water), (10, 0), "{state}");
    assert_eq!((state.next, state.end), (10, Some(30)), "{state}");
    let lag = windowed.lag();
    assert_eq!(lag.messages(), Some(30), "{lag}");
    assert!(lag.oldest() > Some(Duration::ZERO), "{lag}");
    assert_eq!(windowed.stats().fetched, 10, "{}", windowed.stats());
    drop(open);
    eventually("all are handled", || windowed.stats().handled == 30);
    eventually("nothing is left", || windowed.lag().messages() == Some(0));
    assert!(windowed.shutdown_within(PATIENCE).is_clean());
    assert_eq!(topic.committed("flow-window"), [30]);

    let topic = Topic::create(&server, "FlowBytes", 4);
    for n in 0..64 {
        // All together they have four times the budget.
        topic.send_to(n % 4, &topic.message(random(16 * 1024, n as u64 + 1)));
    }
    let (open, gate) = unbounded::<()>();
    let builder = consumer(&server, "flow-bytes", &topic).byte_budget(BUDGET);
    let (limited, _seen) = start_heard(builder, move |_| {
        let _ = gate.recv();
        Ok(())
    });
    eventually("the queues wait for bytes", || {
        let state = limited.describe();
        let of_topic = state.queues.iter().filter(|one| !one.queue.is_retry());
        let waits = |one: &QueueState| one.doing == Doing::WaitingForBytes;
        state.held_bytes > BUDGET / 4 && of_topic.filter(|one| waits(one)).count() == 4
    });
    let state = limited.describe();
    assert!(state.held_bytes <= BUDGET, "{state}");
    assert!(limited.stats().fetched <= 16, "{}", limited.stats());
    drop(open);
    eventually("all are handled", || limited.stats().handled == 64);
    eventually("nothing is held", || limited.describe().held_bytes == 0);
    assert!(limited.shutdown_within(PATIENCE).is_clean());
    assert_eq!(topic.committed("flow-bytes"), [16; 4]);
}

/// Two topics of two queues, and a consumer that is never paused, which shows when a message has come.
struct Pausing {
    topics: [Topic; 2],
    paused: PushConsumer,
    seen: Receiver<MessageView>,
    control: Receiver<MessageView>,
    _control: PushConsumer,
}

impl Pausing {
    fn start(server: &Server) -> Pausing {
        let topics = ["FlowPauseA", "FlowPauseB"].map(|name| Topic::create(server, name, 2));
        let consume = |group| {
            let builder = consumer(server, group, &topics[0]);
            start_heard(builder.subscribe(topics[1].name, "*"), |_| Ok(()))
        };
        let (paused, seen) = consume("flow-paused");
        let (_control, control) = consume("flow-control");
        Pausing {
            topics,
            paused,
            seen,
            control,
            _control,
        }
    }

    /// Sends one message to each queue. The texts name the queues: A0, A1, B0, B1.
    fn send(&self) {
        for (topic, letter) in self.topics.iter().zip(["A", "B"]) {
            for id in 0..2 {
                topic.send_to(id, &topic.message(format!("{letter}{id}")));
            }
        }
        assert_eq!(take(&self.control, 4), ["A0", "A1", "B0", "B1"]);
    }

    /// These come to the consumer that is sometimes paused, and no others.
    #[track_caller]
    fn come(&self, expected: &[&str]) {
        assert_eq!(take(&self.seen, expected.len()), expected);
        assert!(self.seen.is_empty(), "{:?}", self.seen.try_recv());
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn all_a_topic_or_a_queue_can_be_paused_and_its_messages_come_after_that() {
    let server = Server::from_env();
    let group = Pausing::start(&server);
    let (paused, [_, other]) = (&group.paused, &group.topics);
    group.send();
    group.come(&["A0", "A1", "B0", "B1"]);

    // The queue of retries may come later.
    let of_topics = || {
        let queues = paused.assignment().into_iter();
        queues.filter(|queue| !queue.is_retry()).collect::<Vec<_>>()
    };
    let assigned = of_topics();
    paused.pause();
    eventually("all is paused", || {
        let queues = paused.describe().queues;
        queues.iter().all(|queue| queue.doing == Doing::Paused)
    });
    group.send();
    group.come(&[]);
    // All is paused still.
    paused.resume_topic(other.name);
    group.send();
    group.come(&[]);
    assert_eq!(of_topics(), assigned);
    assert_eq!(other.members("flow-paused"), [paused.client_id()]);
    paused.resume();
    group.come(&["A0", "A0", "A1", "A1", "B0", "B0", "B1", "B1"]);

    paused.pause_topic(other.name);
    group.send();
    group.come(&["A0", "A1"]);
    paused.resume_topic(other.name);
    group.come(&["B0", "B1"]);

    paused.pause_queue(&other.queue(1));
    group.send();
    group.come(&["A0", "A1", "B0"]);
    paused.resume_queue(&other.queue(1));
    group.come(&["B1"]);
    assert!(paused.shutdown_within(PATIENCE).is_clean());
    for topic in &group.topics {
        assert_eq!(topic.committed("flow-paused"), [5, 5], "{}", topic.name);
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_stuck_message_is_reported_and_given_back_if_that_is_set() {
    let server = Server::from_env();
    let topic = Topic::create(&server, "FlowStuck", 1);
    topic.send(0..1);
    let run = |group, revoke| {
        let (told, events) = unbounded();
        let (open, gate) = unbounded::<()>();
        let builder = consumer(&server, group, &topic)
            .consume_timeout(Duration::from_secs(1))
            .revoke_stuck(revoke)
            .events(move |event| drop(told.send(event.clone())));
        let (stuck, seen) = start_heard(builder, move |message| {
            if message.reconsume_times() == 0 {
                let _ = gate.recv();
            }
            Ok(())
        });
        (stuck, seen, events, open)
    };
    let (kept, of_kept, kept_events, open_kept) = run("flow-stuck", false);
    let (given, of_given, given_events, open_given) = run("flow-revoked", true);
    let first = next(&of_given);
    let again = next(&of_given);
    assert_eq!((first.reconsume_times(), again.reconsume_times()), (0, 1));
    assert_eq!(first.message_id(), again.message_id());
    eventually("it is consumed", || given.stats().handled == 1);
    drop(open_given);
    eventually("too late", || given.stats().late_results == 1);
    assert_eq!(given.stats().sent_back, 1, "{}", given.stats());
    assert_eq!(topic.count_of("%RETRY%", "flow-revoked"), 1);

    // The other one waits for its handler.
    assert_eq!(next(&of_kept).reconsume_times(), 0);
    assert_eq!(topic.committed("flow-stuck"), [0]);
    drop(open_kept);
    eventually("it is consumed", || kept.stats().handled == 1);
    assert_eq!(kept.stats().sent_back, 0, "{}", kept.stats());
    for (consumer, events) in [(kept, kept_events), (given, given_events)] {
        let group = consumer.group();
        assert!(consumer.shutdown_within(PATIENCE).is_clean(), "{group}");
        assert_eq!(consumer.stats().stuck, 1, "{group}");
        let is_stuck = |event: &Event| match event {
            Event::Stuck { queue, offset, .. } => *queue == topic.queue(0) && *offset == 0,
            _ => false,
        };
        assert_eq!(events.try_iter().filter(is_stuck).count(), 1, "{group}");
        assert_eq!(topic.committed(group), [1], "{group}");
    }
    assert!(of_given.is_empty() && of_kept.is_empty());
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_shutdown_waits_for_handlers_or_names_what_they_have_and_the_member_is_gone() {
    let server = Server::from_env();
    let (group, topic) = ("flow-end", Topic::create(&server, "FlowEnd", 1));
    topic.send(0..2);
    let member = |threads| {
        let (open, gate) = unbounded::<()>();
        let builder = consumer(&server, group, &topic).consume_threads(threads);
        let (consumer, seen) = start_heard(builder, move |_| {
            let _ = gate.recv();
            Ok(())
        });
        (consumer, seen, open)
    };
    let (first, seen, open) = member(1);
    assert_eq!(take(&seen, 1), ["0"]);
    eventually("the broker knows it", || {
        topic.members(group) == [first.client_id()]
    });
    let ending = first.clone();
    let (done, is_done) = unbounded();
    let end = thread::spawn(move || drop(done.send(ending.shutdown_within(AGAIN))));
    eventually("it gives its queues up", || {
        state_of(&first, &topic.queue(0)).doing == Doing::GivingUp
    });
    assert!(is_done.recv_timeout(Duration::from_millis(500)).is_err());
    drop(open);
    let report = is_done.recv_timeout(AGAIN).expect("in time");
    assert!(report.is_clean(), "{report}");
    end.join().expect("no panic");
    // The other message was fetched, and no handler had it.
    assert!(seen.is_empty());
    assert_eq!(topic.committed(group), [1]);
    eventually("the broker knows no member", || {
        topic.members(group).is_empty()
    });

    let (second, seen, _shut) = member(1);
    assert_eq!(take(&seen, 1), ["1"]);
    let _may_be_incomplete = second.shutdown_within(Duration::from_secs(5));
    // That of the end, which a busy machine may reach later.
    let report = second.shutdown_within(Duration::from_secs(2));
    assert_eq!(report.running, [(topic.queue(0), 1)], "{report}");
    assert!(!report.is_clean());
    assert_eq!(topic.committed(group), [1]);
    eventually("the broker knows no member", || {
        topic.members(group).is_empty()
    });
    let (third, seen, open) = member(1);
    assert_eq!(take(&seen, 1), ["1"]);
    drop(open);
    assert!(third.shutdown_within(PATIENCE).is_clean());
    assert_eq!(topic.committed(group), [2]);
}

/// Writes down how each call ended: number, deliveries before, outcome.
#[derive(Default)]
struct Calls {
    begun: Mutex<Vec<(String, i32)>>,
    ended: Mutex<Vec<(String, i32, String)>>,
}

impl ConsumeHook for Calls {
    fn before(&self, context: &ConsumeContext<'_>) {
        for message in context.messages {
            assert_eq!(context.queue.is_retry(), message.reconsume_times() > 0);
            let text = message.text().expect("text").to_owned();
            let call = (text, message.reconsume_times());
            self.begun.lock().unwrap().push(call);
        }
    }

    fn after(&self, context: &ConsumeContext<'_>, outcomes: &[ConsumeOutcome<'_>]) {
        for (message, outcome) in context.messages.iter().zip(outcomes) {
            let text = message.text().expect("text").to_owned();
            let outcome = match outcome {
                ConsumeOutcome::Retry(retry) if retry.is_dead_letter() => "dead".to_owned(),
                ConsumeOutcome::Retry(retry) => format!("level {:?}", retry.delay_level()),
                other => format!("{other:?}"),
            };
            let call = (text, message.reconsume_times(), outcome);
            self.ended.lock().unwrap().push(call);
        }
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn each_call_of_the_handler_is_seen_by_hooks_and_counted_once() {
    let server = Server::from_env();
    let (group, topic) = ("flow-calls", Topic::create(&server, "FlowCalls", 4));
    topic.send(0..8);
    let calls = Arc::new(Calls::default());
    let (told, events) = unbounded();
    let builder = consumer(&server, group, &topic)
        .consume_hook(calls.clone())
        .events(move |event| drop(told.send(event.clone())));
    let (consumer, seen) = start_heard(builder, |message| {
        match (message.text()?, message.reconsume_times()) {
            ("0", 0) => Err(Retry::level(1)),
            ("1", 0) => panic!("as the test wants"),
            ("2", _) => Err(Retry::dead_letter()),
            _ => Ok(()),
        }
    });
    let assigned = events.recv_timeout(PATIENCE).expect("an event");
    let Event::Assigned { queues } = &assigned else {
        panic!("{assigned}");
    };
    let own: Vec<_> = queues.iter().filter(|queue| !queue.is_retry()).collect();
    assert_eq!(own, topic.queues().iter().collect::<Vec<_>>());
    let _all = take(&seen, 10);
    eventually("all are settled", || {
        let stats = consumer.stats();
        (stats.handled, stats.sent_back, stats.dead_lettered) == (7, 2, 1)
    });
    let stats = consumer.stats();
    assert_eq!((stats.failed, stats.panicked), (2, 1), "{stats}");
    assert_eq!(stats.fetched, 10, "{stats}");
    eventually("nothing is left", || consumer.lag().messages() == Some(0));
    let state = consumer.describe();
    assert_eq!(state.members, Some(1), "{state}");
    assert_eq!((&*state.group, state.held_bytes), (group, 0), "{state}");
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(seen.is_empty());

    let call = |n: usize, times, outcome: &str| (n.to_string(), times, outcome.to_owned());
    let mut expected = vec![
        call(0, 0, "level Some(1)"),
        call(0, 1, "Done"),
        call(1, 0, "Panicked"),
        call(1, 1, "Done"),
        call(2, 0, "dead"),
    ];
    expected.extend((3..8).map(|n| call(n, 0, "Done")));
    let mut ended = calls.ended.lock().unwrap().clone();
    ended.sort();
    assert_eq!(ended, expected);
    let mut begun = calls.begun.lock().unwrap().clone();
    begun.sort();
    let expected = expected.into_iter().map(|(n, times, _)| (n, times));
    assert_eq!(begun, expected.collect::<Vec<_>>());
    assert_eq!(topic.committed(group), [2; 4]);
    assert_eq!(topic.count_of("%RETRY%", group), 2);
    eventually("the dead letter can be read", || {
        topic.count_of("%DLQ%", group) == 1
    });
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn messages_are_handled_no_faster_than_the_rate_and_asked_for_in_batches_of_the_set_size() {
    let server = Server::from_env();
    let (group, topic) = ("flow-rate", Topic::create(&server, "FlowRate", 1));
    topic.send(0..40);
    let begin = Instant::now();
    let builder = consumer(&server, group, &topic);
    let (consumer, seen) = start_heard(builder.rate_limit(20).pull_batch(4), |_| Ok(()));
    let taken: BTreeSet<String> = take(&seen, 40).into_iter().collect();
    // One may start at once, and each of the others starts 50 ms after the one before.
    assert!(begin.elapsed() >= Duration::from_millis(1_900));
    assert_eq!(taken.len(), 40);
    let stats = consumer.stats();
    assert!(stats.pulls >= 10, "{stats}");
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert_eq!(topic.committed(group), [40]);
}
