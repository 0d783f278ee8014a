use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::hook::{Payload, SendContext, SendMessageHook, SendOutcome};
use rocketmq_blocking::producer::AutoBatch;
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{
    Client, ClientOptions, ErrorKind, Message, MessageQueue, Producer, SendFate, SendReceipt,
};

use crate::support::patient as builder;

/// Longer than any test: a gathered message waits until another event sends the batch.
const NEVER: Duration = Duration::from_secs(30);

fn one_queue() -> Cluster {
    Cluster::builder().topic("T", 1).start().unwrap()
}

fn gathering(cluster: &Cluster, auto: AutoBatch) -> Producer {
    let patient = builder(cluster).send_timeout(Duration::from_secs(120));
    let producer = patient.auto_batch(auto).start().unwrap();
    learn(&producer, "T");
    producer
}

/// Has a producer know a topic's route without sending anything.
fn learn(producer: &Producer, topic: &str) {
    let nowhere = MessageQueue::new(topic, "no broker", 0);
    let message = Message::new(topic, "x");
    let sent = producer.prepare(&message).queue(nowhere).send();
    assert_eq!(sent.unwrap_err().kind(), ErrorKind::NoBroker);
}

fn never() -> AutoBatch {
    AutoBatch::new().max_delay(NEVER)
}

/// The request codes of all sends.
fn codes(cluster: &Cluster) -> Vec<i32> {
    let sends = cluster.requests(&On::Send);
    sends.iter().map(|r| r.command().code).collect()
}

/// The receipt is that of the message with this body, and of no other.
#[track_caller]
fn check_own(cluster: &Cluster, receipt: &SendReceipt, body: &str) {
    let stored = cluster.messages(receipt.queue().topic());
    let own = stored.iter().find(|m| m.body() == body.as_bytes()).unwrap();
    assert_eq!(own.unique_key(), Some(receipt.message_id()), "{body}");
    assert_eq!(
        own.offset_message_id(),
        receipt.offset_message_id(),
        "{body}"
    );
    assert_eq!(own.queue_offset(), receipt.queue_offset(), "{body}");
    assert_eq!(own.queue_id(), receipt.queue().id(), "{body}");
    assert_eq!(own.broker(), receipt.queue().broker(), "{body}");
}

#[test]
fn a_full_batch_is_sent_and_each_handle_gets_its_own_receipt() {
    let cluster = one_queue();
    let producer = gathering(&cluster, never().max_bytes(1000));
    let bodies: Vec<String> = (0..40).map(|i| format!("{i:0>30}")).collect();
    let handles: Vec<_> = bodies
        .iter()
        .map(|body| producer.submit(Message::new("T", body.clone()).key(body)))
        .collect();
    producer.flush(NEVER).unwrap();
    for (handle, body) in handles.into_iter().zip(&bodies) {
        check_own(&cluster, &handle.wait().unwrap(), body);
    }
    let codes = codes(&cluster);
    assert!(codes.len() < 12, "{codes:?}");
    assert!(codes.contains(&request::SEND_BATCH_MESSAGE));
    for sent in cluster.requests(&On::Send) {
        assert!(sent.command().body.len() <= 1000);
    }
    let stored = cluster.messages("T");
    let order: Vec<_> = stored.iter().map(|m| m.body().into_owned()).collect();
    assert_eq!(order.len(), 40);
}

/// Brokers do not dispatch the messages of a batch to light queues.
#[test]
fn messages_to_light_queues_are_sent_alone() {
    let cluster = one_queue();
    let producer = gathering(&cluster, never());
    let light = |name: &'static str| Message::new("T", name).property(name, "%LMQ%a");
    let alone = ["INNER_MULTI_DISPATCH", "__LITE_TOPIC"].map(light);
    let mut handles: Vec<_> = [0, 1, 0, 1]
        .map(|i: usize| producer.submit(alone[i].clone()))
        .into();
    // The offsets that a broker adds for each light queue would make its properties too long.
    let too_many = Message::new("T", "x").property("INNER_MULTI_DISPATCH", "a,".repeat(1500));
    let refused = producer.submit(too_many);
    handles.extend(["plain 1", "plain 2"].map(|body| producer.submit(Message::new("T", body))));
    producer.flush(NEVER).unwrap();
    for handle in handles {
        let _ = handle.wait().unwrap();
    }
    assert_eq!(refused.wait().unwrap_err().kind(), ErrorKind::Invalid);
    let mut codes = codes(&cluster);
    assert_eq!(codes.pop(), Some(request::SEND_BATCH_MESSAGE));
    assert_eq!(codes, [request::SEND_MESSAGE_V2; 4]);
}

#[test]
fn threads_that_send_at_the_same_time_share_a_request_after_a_short_wait() {
    let cluster = one_queue();
    let producer = gathering(
        &cluster,
        AutoBatch::new().max_delay(Duration::from_millis(50)),
    );
    thread::scope(|scope| {
        for i in 0..8 {
            let (producer, cluster) = (&producer, &cluster);
            scope.spawn(move || {
                let body = format!("body {i}");
                let receipt = producer.send(&Message::new("T", body.clone())).unwrap();
                check_own(cluster, &receipt, &body);
            });
        }
    });
    assert_eq!(cluster.message_count("T"), 8);
}

#[test]
fn callbacks_and_threads_of_one_batch_are_all_answered() {
    let cluster = one_queue();
    let producer = gathering(&cluster, never());
    let (told, hears) = mpsc::channel();
    for i in 0..3 {
        let told = told.clone();
        producer.send_async(Message::new("T", format!("callback {i}")), move |result| {
            told.send((i, result.unwrap())).unwrap();
        });
    }
    let handle = producer.submit(Message::new("T", "handle"));
    producer.flush(NEVER).unwrap();
    let mut heard: Vec<_> = (0..3).map(|_| hears.recv().unwrap()).collect();
    heard.sort_by_key(|(i, _)| *i);
    for (i, receipt) in heard {
        check_own(&cluster, &receipt, &format!("callback {i}"));
    }
    check_own(&cluster, &handle.wait().unwrap(), "handle");
    assert_eq!(codes(&cluster), [request::SEND_BATCH_MESSAGE]);
}

#[test]
fn only_messages_of_the_same_kind_share_a_batch() {
    let cluster = Cluster::builder()
        .topic("T", 2)
        .topic("U", 2)
        .start()
        .unwrap();
    let producer = gathering(&cluster, never());
    learn(&producer, "U");
    let queue = |id| MessageQueue::new("T", "broker-a", id);
    let mut handles = Vec::new();
    for _ in 0..2 {
        let message = Message::new("T", "x");
        handles.push(producer.submit(message.clone()));
        handles.push(producer.submit(message.clone().tag("a")));
        handles.push(producer.submit(message.clone().wait_store(false)));
        handles.push(producer.submit(Message::new("U", "x")));
        handles.push(producer.prepare(&message).queue(queue(0)).submit());
        handles.push(producer.prepare(&message).queue(queue(1)).submit());
    }
    producer.flush(NEVER).unwrap();
    let queues: Vec<i32> = handles
        .into_iter()
        .map(|handle| handle.wait().unwrap().queue().id())
        .collect();
    assert_eq!([&queues[4..6], &queues[10..12]].concat(), [0, 1, 0, 1]);
    assert_eq!(codes(&cluster), [request::SEND_BATCH_MESSAGE; 6]);
}

#[test]
fn messages_that_cannot_share_a_batch_are_sent_at_once() {
    let cluster = Cluster::builder()
        .topic("T", 1)
        .topic("%RETRY%g", 1)
        .start()
        .unwrap();
    let producer = gathering(&cluster, never().max_bytes(3000));
    let message = Message::new("T", "x");
    let alone = [
        message.clone().delay_level(1),
        message.clone().deliver_after(Duration::from_secs(1)),
        Message::new("%RETRY%g", "x"),
        Message::new("T", vec![b'x'; 5000]),
        Message::new("T", vec![b'x'; 3000]),
    ];
    for message in &alone {
        let _ = producer.send(message).unwrap();
    }
    let _ = producer.prepare(&message).sharding_key("k").send().unwrap();
    let _ = producer.prepare(&message).select(|_| 0).send().unwrap();
    producer.send_oneway(&message).unwrap();
    producer.flush(NEVER).unwrap();
    assert_eq!(cluster.wait_for_requests(&On::Send, 8, NEVER).len(), 8);
    let other = gathering_of(&cluster, "full", never().max_total_bytes(5));
    let first = other.submit(Message::new("T", "12345"));
    let second = other.send(&Message::new("T", "6")).unwrap();
    assert!(!first.is_done());
    check_own(&cluster, &second, "6");
    other.flush(NEVER).unwrap();
    let _ = first.wait().unwrap();
    // Given back, and not lost as in Java.
    let again = other.submit(Message::new("T", "54321"));
    assert!(!again.is_done());
    other.shutdown();
    let _ = again.wait().unwrap();
    assert_eq!(codes(&cluster), [request::SEND_MESSAGE_V2; 11]);
}

fn gathering_of(cluster: &Cluster, group: &str, auto: AutoBatch) -> Producer {
    let builder = Producer::builder(group).name_server(cluster.name_server());
    let builder = builder.send_timeout(Duration::from_secs(120));
    let producer = builder.auto_batch(auto).start().unwrap();
    learn(&producer, "T");
    producer
}

#[test]
fn a_shutdown_sends_gathered_messages() {
    let cluster = one_queue();
    let producer = gathering(&cluster, never());
    let handles: Vec<_> = ["a", "b"]
        .map(|body| producer.submit(Message::new("T", body)))
        .into();
    assert!(handles.iter().all(|handle| !handle.is_done()));
    assert!(producer.shutdown_within(NEVER).is_clean());
    for (handle, body) in handles.into_iter().zip(["a", "b"]) {
        check_own(&cluster, &handle.wait().unwrap(), body);
    }
    let late = producer.submit(Message::new("T", "c")).wait().unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Closed);
}

#[test]
fn the_shutdown_of_a_client_answers_gathered_messages() {
    let cluster = one_queue();
    let client = Client::start(ClientOptions::new().name_server(cluster.name_server())).unwrap();
    let builder = Producer::builder("g")
        .client(&client)
        .send_timeout(Duration::from_secs(120));
    let producer = builder.auto_batch(never()).start().unwrap();
    learn(&producer, "T");
    let handle = producer.submit(Message::new("T", "x"));
    thread::scope(|scope| {
        let sync = scope.spawn(|| producer.send(&Message::new("T", "y")));
        let _ = client.shutdown_within(NEVER);
        let errors = [handle.wait(), sync.join().unwrap()].map(|r| r.unwrap_err());
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            assert_eq!(error.fate(), SendFate::NotSent, "{error}");
        }
    });
    assert_eq!(cluster.message_count("T"), 0);
}

#[test]
fn a_batch_that_fails_fails_for_all_of_its_messages_and_an_invalid_message_for_none_other() {
    let cluster = one_queue();
    let producer = gathering(&cluster, never());
    cluster
        .broker("broker-a")
        .inject(Fault::answer(13, "illegal").on(On::Send).times(1));
    let first = producer.submit(Message::new("T", "x"));
    let invalid = producer.submit(Message::new("T", "x").property("KEYS", "reserved"));
    let second = producer.submit(Message::new("T", "y"));
    assert_eq!(invalid.wait().unwrap_err().kind(), ErrorKind::Invalid);
    producer.flush(NEVER).unwrap();
    for handle in [first, second] {
        let error = handle.wait().unwrap_err();
        assert_eq!(error.response_code(), Some(13.into()), "{error}");
        assert_eq!(error.attempts().len(), 1);
    }
    assert_eq!(codes(&cluster).len(), 1);
}

#[test]
fn a_batch_is_retried_like_any_send() {
    let cluster = Cluster::builder().brokers(2).topic("T", 1).start().unwrap();
    let producer = gathering(&cluster, never());
    let busy = Fault::answer(2, "busy").on(On::Send);
    cluster.broker("broker-a").inject(busy.clone());
    let handles: Vec<_> = (0..4)
        .map(|i| producer.submit(Message::new("T", format!("m{i}"))))
        .collect();
    producer.flush(NEVER).unwrap();
    let mut ids = BTreeSet::new();
    for (i, handle) in handles.into_iter().enumerate() {
        let receipt = handle.wait().unwrap();
        check_own(&cluster, &receipt, &format!("m{i}"));
        ids.insert(receipt.message_id().to_owned());
    }
    assert_eq!((ids.len(), cluster.message_count("T")), (4, 4));
}

#[test]
fn no_sender_waits_past_its_own_deadline() {
    let cluster = one_queue();
    let producer = gathering(&cluster, never());
    let short = Duration::from_secs(2);
    let send = |body: &str| {
        producer
            .prepare(&Message::new("T", body))
            .timeout(short)
            .send()
    };
    // The group does not wait for others longer than half of that.
    check_own(&cluster, &send("in time").unwrap(), "in time");
    cluster
        .broker("broker-a")
        .inject(Fault::silence().on(On::Send));
    let start = Instant::now();
    let error = send("silence").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(error.fate(), SendFate::MaybeStored);
    assert_eq!(error.attempts().len(), 1, "the batch's own end: {error}");
    assert!(start.elapsed() >= short, "{:?}", start.elapsed());
}

/// The thread that waits for a batch is the one that calls its hooks.
#[test]
fn a_callback_may_send_and_wait_although_batch_hooks_run_on_its_thread() {
    struct Listens;
    impl SendMessageHook for Listens {}
    let cluster = one_queue();
    let producer = builder(&cluster)
        .options(ClientOptions::new().callback_threads(1))
        .send_message_hook(Listens)
        .auto_batch(AutoBatch::new())
        .start()
        .unwrap();
    learn(&producer, "T");
    let (done, result) = mpsc::channel();
    let again = producer.clone();
    producer.send_async(Message::new("T", "first"), move |first| {
        let second = again.send(&Message::new("T", "second"));
        drop(done.send((first, second)));
    });
    let (first, second) = result.recv_timeout(NEVER).unwrap();
    check_own(&cluster, &first.unwrap(), "first");
    check_own(&cluster, &second.unwrap(), "second");
}

/// Whether a send is gathered does not depend on its thread: one of the threads that wait for a
/// batch sends it, and calls the hooks.
#[test]
fn a_callback_that_waits_shares_a_batch_with_other_threads() {
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<Option<String>>>>);
    impl SendMessageHook for Heard {
        fn after(&self, context: &SendContext, _: &SendOutcome<'_>) {
            if let Payload::Batch(_) = context.payload {
                let name = thread::current().name().map(str::to_owned);
                self.0.lock().unwrap().push(name);
            }
        }
    }
    /// The size of the two messages: entry, body, properties, the longest key. The second one fills the batch.
    const BYTES: usize = 2 * (22 + 30 + "UNIQ_KEY..WAIT..true".len() + 56);
    let (cluster, heard) = (one_queue(), Heard::default());
    let producer = builder(&cluster)
        .options(ClientOptions::new().callback_threads(1))
        .send_message_hook(heard.clone())
        .auto_batch(never().max_bytes(BYTES))
        .send_timeout(Duration::from_secs(120))
        .start()
        .unwrap();
    learn(&producer, "T");
    let (done, result) = mpsc::channel();
    let again = producer.clone();
    let alone = Message::new("T", "alone");
    let in_callback = move |_| drop(done.send(again.send(&Message::new("T", "a".repeat(30)))));
    let prepared = producer.prepare(&alone).sharding_key("key");
    prepared.send_async(in_callback);
    let own = thread::Builder::new().name("own".into());
    let here = thread::scope(|scope| {
        let send = || producer.send(&Message::new("T", "b".repeat(30)));
        let sending = own.spawn_scoped(scope, send).unwrap();
        sending.join().unwrap()
    });
    let there = result.recv_timeout(NEVER * 2).unwrap();
    check_own(&cluster, &there.unwrap(), &"a".repeat(30));
    check_own(&cluster, &here.unwrap(), &"b".repeat(30));
    let expected = [request::SEND_MESSAGE_V2, request::SEND_BATCH_MESSAGE];
    assert_eq!(codes(&cluster), expected);
    let heard = heard.0.lock().unwrap();
    let name = heard[0].as_deref().unwrap();
    assert_eq!(heard.len(), 1);
    assert!(name == "own" || name.starts_with("rmq-callback"), "{name}");
}

/// Java starts all batches on one thread, which looks for their routes one after the other.
#[test]
fn topics_without_routes_delay_no_batch_of_another_topic() {
    let cluster = one_queue();
    let producer = gathering(&cluster, AutoBatch::new());
    let unanswered = cluster.name_servers()[0].inject(Fault::silence());
    let (told, hears) = mpsc::channel();
    thread::scope(|scope| {
        for i in 0..4 {
            let (producer, told) = (&producer, told.clone());
            scope.spawn(move || {
                let message = Message::new(format!("Unknown{i}"), "x");
                let patient = producer.prepare(&message).timeout(NEVER);
                patient.send_async(move |result| told.send(result.unwrap_err()).unwrap());
            });
        }
        assert!(unanswered.wait_hits(1, NEVER));
        let known = producer.submit(Message::new("T", "known"));
        check_own(&cluster, &known.wait().unwrap(), "known");
        assert!(
            hears.try_recv().is_err(),
            "the others still look up the route"
        );
        cluster.name_servers()[0].kill();
    });
    for _ in 0..4 {
        let error = hears.recv_timeout(NEVER).unwrap();
        assert_eq!(error.fate(), SendFate::NotSent, "{error}");
    }
}

#[test]
fn a_batch_that_no_worker_has_time_for_ends_at_its_deadline_and_was_not_sent() {
    /// Never answers.
    struct Holds(mpsc::Sender<()>, crossbeam_channel::Receiver<()>);
    impl SendMessageHook for Holds {
        fn before(&self, _: &SendContext) {
            self.0.send(()).unwrap();
            let _ = self.1.recv();
        }
    }
    let cluster = one_queue();
    let (held, holding) = mpsc::channel();
    let (release, gate) = crossbeam_channel::bounded::<()>(0);
    let producer = builder(&cluster)
        .send_message_hook(Holds(held, gate))
        .auto_batch(AutoBatch::new())
        .send_timeout(NEVER)
        .start()
        .unwrap();
    learn(&producer, "T");
    // Tags keep the messages apart: as many batches as there are workers.
    let stuck = ["a", "b"].map(|tag| {
        let handle = producer.submit(Message::new("T", "stuck").tag(tag));
        holding.recv_timeout(NEVER).unwrap();
        handle
    });
    let (told, hears) = mpsc::channel();
    let (start, short) = (Instant::now(), Duration::from_millis(300));
    let message = Message::new("T", "late").key("K");
    let late = producer.prepare(&message).timeout(short);
    late.send_async(move |result| told.send((Instant::now(), result)).unwrap());
    let (end, result) = hears.recv_timeout(NEVER).unwrap();
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(error.fate(), SendFate::NotSent, "{error}");
    assert_eq!(error.topic(), Some("T"), "{error}");
    assert!(error.unique_key().is_some());
    let took = end - start;
    assert!(took >= short && took < Duration::from_secs(5), "{took:?}");
    drop(release);
    for handle in stuck {
        let _ = handle.wait().unwrap();
    }
    assert_eq!(cluster.message_count("T"), 2);
}
