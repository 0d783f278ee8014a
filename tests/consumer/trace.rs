//! Message trace of consumers: its records in the trace topic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rocketmq_blocking::consumer::{AckStatus, PushConsumerBuilder};
use rocketmq_blocking::embedded::{Cluster, Fault, Gate, On, ReceivedRequest};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{
    Batch, Client, ClientOptions, Message, Producer, PullConsumer, PushConsumer, Retry,
    SimpleConsumer, StartFrom,
};

use crate::common::{bodies, consumer, send, take};
use crate::support::{PATIENCE, cluster, eventually, ms, producer};

const TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";

/// The records in the trace topic, each as its fields, and the keys of their messages.
fn records(cluster: &Cluster, topic: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let stored = cluster.messages(topic).into_iter();
    let records = stored.flat_map(|message| {
        let keys: Vec<String> = message.keys().map(str::to_owned).collect();
        let text = String::from_utf8(message.body().to_vec()).expect("text");
        let records = text.split_terminator('\u{2}');
        let fields = |record: &str| record.split('\u{1}').map(str::to_owned).collect();
        let records: Vec<_> = records
            .map(|record| (fields(record), keys.clone()))
            .collect();
        records
    });
    records.collect()
}

/// The same, once there are so many: a shutdown does not wait for long until they are stored.
#[track_caller]
fn all_records(cluster: &Cluster, topic: &str, count: usize) -> Vec<(Vec<String>, Vec<String>)> {
    eventually("all records are stored", || {
        records(cluster, topic).len() >= count
    });
    let records = records(cluster, topic);
    assert_eq!(records.len(), count, "{records:?}");
    records
}

/// The client lives on after the consumer: one of its own would end in the middle of a send that takes long.
fn client(cluster: &Cluster) -> Client {
    let options = ClientOptions::new().name_server(cluster.name_server());
    Client::start(options).expect("a client")
}

fn traced(client: &Client) -> PushConsumerBuilder {
    let builder = PushConsumer::builder("g").client(client).trace();
    builder.subscribe("T", "*").start_from(StartFrom::First)
}

/// How a message was consumed, by its records: `(retries, success, code)` of each time.
type Seen = BTreeMap<String, Vec<(String, String, String)>>;

/// Pairs the records of each request and message, and checks what is the same in all of them. `count`: the calls
/// of user code, two records each.
#[track_caller]
fn pairs(cluster: &Cluster, group: &str, count: usize) -> Seen {
    let (mut open, mut seen) = (BTreeMap::new(), Seen::new());
    for (fields, keys) in all_records(cluster, TOPIC, 2 * count) {
        match &fields.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["SubBefore", time, region, own, request, id, retries, key] => {
                assert!(time.parse::<u64>().expect("a time") > 1_600_000_000_000);
                assert_eq!((*region, *own), ("DefaultRegion", group));
                assert!(keys.contains(&(*id).to_owned()), "{keys:?}");
                assert!(keys.contains(&(*key).to_owned()), "{keys:?}");
                let key = ((*request).to_owned(), (*id).to_owned());
                let twice = open.insert(key, (*retries).to_owned());
                assert!(twice.is_none(), "{fields:?}");
            }
            ["SubAfter", request, id, cost, success, key, code, time, own] => {
                assert!(cost.parse::<u64>().expect("a number") < 60_000);
                assert!(time.parse::<u64>().expect("a time") > 1_600_000_000_000);
                assert_eq!(*own, group);
                let begun = ((*request).to_owned(), (*id).to_owned());
                let retries = open.remove(&begun).expect("its beginning");
                let outcome = (retries, (*success).to_owned(), (*code).to_owned());
                seen.entry((*key).to_owned()).or_default().push(outcome);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    seen
}

fn once(success: &str, code: &str) -> Vec<(String, String, String)> {
    vec![("0".to_owned(), success.to_owned(), code.to_owned())]
}

/// It failed so, and was done when it came again.
fn then_done(code: &str) -> Vec<(String, String, String)> {
    let mut seen = once("false", code);
    seen.push(("1".to_owned(), "true".to_owned(), "0".to_owned()));
    seen
}

/// Sends messages whose key is their body.
fn send_keyed(producer: &Producer, bodies: &[&str]) {
    for body in bodies {
        let sent = producer.send(&Message::new("T", *body).key(*body));
        assert!(sent.is_ok(), "{sent:?}");
    }
}

#[test]
fn every_call_of_a_handler_has_a_record_before_and_after_it_with_its_outcome() {
    let cluster = cluster();
    let (tell, ended) = crossbeam_channel::unbounded();
    let client = client(&cluster);
    let consumer = traced(&client)
        .start(move |message| -> Result<(), Retry> {
            tell.send(())?;
            match message.text()? {
                "done" => Ok(()),
                "refused" if message.reconsume_times() == 0 => Err(Retry::level(1)),
                "refused" => Ok(()),
                _ if message.reconsume_times() == 0 => panic!("a handler's panic"),
                _ => Ok(()),
            }
        })
        .expect("a consumer");
    send_keyed(&producer(&cluster), &["done", "refused", "panic"]);
    for _ in 0..5 {
        ended.recv_timeout(PATIENCE).expect("a message in time");
    }
    // Shutdown sends what waits.
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    let seen = pairs(&cluster, "g", 5);
    assert_eq!(seen["done"], once("true", "0"));
    assert_eq!(seen["panic"], then_done("2"));
    assert_eq!(seen["refused"], then_done("4"));
    assert_eq!(consumer.stats().trace_lost, 0);
}

#[test]
fn a_handler_that_takes_too_long_has_timed_out_unless_it_panics() {
    let cluster = cluster();
    send_keyed(&producer(&cluster), &["done", "panic"]);
    // Every handler takes longer.
    let client = client(&cluster);
    let builder = traced(&client).consume_timeout(Duration::from_nanos(1));
    let (tell, ended) = crossbeam_channel::unbounded();
    let started = builder.max_reconsume(0).start(move |message| {
        tell.send(())?;
        match message.text()? {
            "done" => Ok(()),
            _ => panic!("a handler's panic"),
        }
    });
    let consumer = started.expect("a consumer");
    for _ in 0..2 {
        ended.recv_timeout(PATIENCE).expect("a message in time");
    }
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    let seen = pairs(&cluster, "g", 2);
    assert_eq!(seen["done"], once("false", "1"));
    assert_eq!(seen["panic"], once("false", "2"));
}

#[test]
fn the_messages_of_a_batch_share_a_request_and_have_outcomes_of_their_own() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let messages = ["0", "1", "2"].map(|body| Message::new("T", body).key(body));
    let batch = Batch::new(messages).expect("a batch");
    let _receipt = producer.send_batch(&batch).expect("no error");
    let (tell, ended) = crossbeam_channel::unbounded();
    let client = client(&cluster);
    let started = traced(&client).start_batch(8, move |batch| {
        batch.retry(1, Retry::dead_letter());
        tell.send(batch.len())?;
        Ok(())
    });
    let consumer = started.expect("a consumer");
    assert_eq!(ended.recv_timeout(PATIENCE), Ok(3));
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    let seen = pairs(&cluster, "g", 3);
    let expected = [("0", "true", "0"), ("1", "false", "4"), ("2", "true", "0")];
    for (key, success, code) in expected {
        assert_eq!(seen[key], once(success, code), "{key}");
    }
    let records = records(&cluster, TOPIC);
    let of_begin = records
        .iter()
        .filter(|(fields, _)| fields[0] == "SubBefore");
    let requests: BTreeSet<&str> = of_begin.map(|(fields, _)| fields[4].as_str()).collect();
    assert_eq!(requests.len(), 1);
}

#[test]
fn ordered_and_broadcasting_consumers_are_traced_too() {
    let cluster = cluster();
    send_keyed(&producer(&cluster), &["one"]);
    let (tell, ended) = crossbeam_channel::unbounded();
    let (more, failures) = (tell.clone(), AtomicU32::new(0));
    let client = client(&cluster);
    let builder = traced(&client).suspend(ms(10));
    let started = builder.start_ordered(move |_| {
        more.send(())?;
        match failures.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Retry::later()),
            _ => Ok(()),
        }
    });
    let ordered = started.expect("a consumer");
    for _ in 0..2 {
        ended.recv_timeout(PATIENCE).expect("a message in time");
    }
    assert!(ordered.shutdown_within(PATIENCE).is_clean());
    assert_eq!(pairs(&cluster, "g", 2)["one"], then_done("4"));

    let builder = PushConsumer::builder("b").client(&client);
    let builder = builder.subscribe("T", "*").start_from(StartFrom::First);
    let started = builder
        .broadcast()
        .trace_topic("Own")
        .start(move |_| Ok(tell.send(())?));
    let everyone = started.expect("a consumer");
    ended.recv_timeout(PATIENCE).expect("a message in time");
    assert!(everyone.shutdown_within(PATIENCE).is_clean());
    let own = all_records(&cluster, "Own", 2);
    let kinds = own.iter().map(|(fields, _)| fields[0].as_str());
    assert_eq!(kinds.collect::<Vec<_>>(), ["SubBefore", "SubAfter"]);
}

#[test]
fn a_poll_is_traced_as_javas_lite_pull_consumer_does_it() {
    let cluster = cluster();
    send_keyed(&producer(&cluster), &["one", "two"]);
    let poll = |_| {
        let consumer = PullConsumer::builder("g")
            .name_server(cluster.name_server())
            .subscribe("T", "*")
            .start_from(StartFrom::First)
            .trace()
            .start()
            .expect("a consumer");
        for message in consumer.messages().until_caught_up() {
            // Not marked: it was polled all the same.
            drop(message.expect("no error"));
        }
        let report = consumer.shutdown_within(PATIENCE);
        assert!(report.stuck_threads.is_empty(), "{report}");
        consumer.stats().trace_lost == 0
    };
    // Here the client ends with the consumer, perhaps before a send that is late: then once more.
    assert!((0..5).any(poll), "none is sent");
    let seen = pairs(&cluster, "g", 2);
    assert_eq!(seen["one"], once("true", "0"));
    assert_eq!(seen["two"], once("true", "0"));
}

#[test]
fn a_received_message_is_traced_when_it_comes_and_when_it_is_settled() {
    let cluster = cluster();
    send_keyed(
        &producer(&cluster),
        &["acked", "late", "refused", "dead", "dropped"],
    );
    let client = client(&cluster);
    let consumer = SimpleConsumer::builder("g")
        .client(&client)
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .trace()
        .start()
        .expect("a consumer");
    let mut received = Vec::new();
    while received.len() < 5 {
        received.extend(
            consumer
                .receive(32, Duration::from_secs(60))
                .expect("no error"),
        );
    }
    let of = |key: &str| {
        let found = received.iter().find(|message| message.text() == Ok(key));
        found.expect(key)
    };
    assert_eq!(of("acked").ack().expect("no error"), AckStatus::Confirmed);
    // A second one is no second end.
    assert!(of("acked").ack().is_ok());
    let given_back = of("refused").retry_after(Duration::from_secs(60));
    assert_eq!(given_back.expect("no error"), AckStatus::Confirmed);
    assert_eq!(
        of("dead").dead_letter().expect("no error"),
        AckStatus::Confirmed
    );
    // The broker knows no such delivery any more.
    let gone = Fault::answer(208, "no such message")
        .on(On::Code(request::ACK_MESSAGE))
        .once();
    cluster.broker("broker-a").inject(gone);
    assert_eq!(of("late").ack().expect("no error"), AckStatus::Expired);
    drop(received);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    let all = all_records(&cluster, TOPIC, 5 + 4);
    let of_kind = |kind: &str| -> BTreeMap<String, (String, String, String)> {
        let of_kind = all
            .iter()
            .map(|(fields, _)| fields)
            .filter(|f| f[0] == kind);
        let (key, id) = match kind {
            "SubBefore" => (7, 4),
            _ => (5, 1),
        };
        of_kind
            .map(|f| (f[key].clone(), (f[id].clone(), f[4].clone(), f[6].clone())))
            .collect()
    };
    let (before, after) = (of_kind("SubBefore"), of_kind("SubAfter"));
    assert_eq!((before.len(), after.len()), (5, 4), "{all:?}");
    for (key, success, code) in [
        ("acked", "true", "0"),
        ("late", "false", "1"),
        ("refused", "false", "4"),
        ("dead", "false", "4"),
    ] {
        let (request, was, is) = &after[key];
        assert_eq!((was.as_str(), is.as_str()), (success, code), "{key}");
        assert_eq!(*request, before[key].0, "{key}");
    }
    let requests: BTreeSet<_> = before.values().map(|(r, ..)| r).collect();
    assert_eq!(requests.len(), 5);
}

#[test]
fn a_trace_that_cannot_start_or_be_sent_does_not_harm_consumption() {
    let cluster = cluster();
    send(&producer(&cluster), 0..40);
    // The group of the trace would be longer than a group may be.
    let group = "g".repeat(120);
    let of = |builder: PushConsumerBuilder| {
        let (consumer, got) = bodies(builder.subscribe("T", "*").start_from(StartFrom::First));
        take(&got, 40);
        consumer
    };
    let builder = PushConsumer::builder(&group).name_server(cluster.name_server());
    let consumer = of(builder.trace());
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert_eq!(cluster.group(&group).lag("T"), 0);
    assert_eq!(cluster.messages(TOPIC).len(), 0);

    let refused = Fault::answer(16, "no permission").on(On::Send);
    cluster.broker("broker-a").inject(refused);
    let consumer = of(PushConsumer::builder("g")
        .name_server(cluster.name_server())
        .trace());
    eventually("lost ones are counted", || {
        consumer.stats().trace_lost >= 70
    });
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    eventually("all are counted", || consumer.stats().trace_lost == 80);
    assert_eq!(consumer.stats().handled, 40);
    assert_eq!(cluster.group("g").lag("T"), 0);

    let simple = SimpleConsumer::builder("s")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .trace()
        .start()
        .expect("a consumer");
    let received = simple.receive(32, Duration::from_secs(60));
    let received = received.expect("no error");
    for message in &received {
        assert_eq!(message.ack().expect("no error"), AckStatus::Confirmed);
    }
    let count = received.len() as u64;
    drop(received);
    assert!(simple.shutdown_within(PATIENCE).is_clean());
    eventually("all are counted", || simple.stats().trace_lost == 2 * count);
}

/// Up to 2,048 entries are queued, and the thread that sends has ten more.
#[test]
fn handlers_do_not_wait_for_a_trace_that_is_too_slow_and_what_is_lost_is_counted() {
    const COUNT: usize = 1_100;
    let cluster = cluster();
    let messages = (0..COUNT).map(|n| Message::new("T", n.to_string()));
    let batch = Batch::new(messages).expect("a batch");
    let _receipt = producer(&cluster).send_batch(&batch).expect("no error");
    let gate = Gate::new();
    let of_trace = On::when(|command| command.ext.get("topic") == Some(TOPIC));
    let held = Fault::hold(&gate).on(of_trace);
    let held = cluster.name_servers()[0].inject(held);
    let (consumer, got) = bodies(consumer(&cluster).trace());
    assert_eq!(take(&got, COUNT).len(), COUNT);
    let ended = || consumer.stats().handled == COUNT as u64;
    eventually("every handler has ended", ended);
    assert!(held.wait_hits(1, PATIENCE), "the trace waits for its route");
    let lost = || usize::try_from(consumer.stats().trace_lost).expect("a number");
    assert!(lost() >= 2 * COUNT - 2_048 - 10, "{}", lost());
    gate.open();
    let known = || records(&cluster, TOPIC).len() + lost();
    eventually("most are stored", || known() > 2 * COUNT - 10);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    eventually("the last ones", || known() == 2 * COUNT);
}

/// The sends of the records hang, those about each topic by themselves. The client lives on.
#[test]
fn a_trace_that_hangs_ends_soon_after_its_consumer() {
    const TOPICS: [&str; 5] = ["A", "B", "C", "D", "E"];
    let mut builder = Cluster::builder();
    for topic in TOPICS {
        builder = builder.topic(topic, 1);
    }
    let cluster = builder.start().expect("free ports");
    let producer = producer(&cluster);
    let client = client(&cluster);
    let mut builder = SimpleConsumer::builder("g")
        .client(&client)
        .start_from(StartFrom::First)
        .trace();
    for topic in TOPICS {
        let sent = producer.send(&Message::new(topic, "x"));
        assert!(sent.is_ok(), "{sent:?}");
        builder = builder.subscribe(topic, "*");
    }
    let consumer = builder.start().expect("a consumer");
    let gate = Gate::new();
    let of_trace = On::when(|command| command.ext.get("topic") == Some(TOPIC));
    let held = cluster.name_servers()[0].inject(Fault::hold(&gate).on(of_trace));
    let mut received = Vec::new();
    while received.len() < TOPICS.len() {
        let more = consumer.receive(32, Duration::from_secs(600));
        received.extend(more.expect("no error"));
    }
    for message in &received {
        assert_eq!(message.ack().expect("no error"), AckStatus::Confirmed);
    }
    // As many records as leave at once.
    assert!(held.wait_hits(1, PATIENCE), "the trace waits for its route");
    let before = Instant::now();
    assert!(consumer.shutdown_within(ms(100)).is_clean());
    // The thread takes its group along.
    eventually("the trace has ended", || {
        let ended = cluster.requests(&On::Unregister);
        let of_trace = |request: &ReceivedRequest| {
            let group = request.command().ext.get("producerGroup");
            group.is_some_and(|group| group.starts_with("_INNER_TRACE"))
        };
        ended.iter().any(of_trace)
    });
    // One send may take 5 s, and five of them 25 s.
    assert!(before.elapsed() < Duration::from_secs(15));
    eventually("all are counted", || consumer.stats().trace_lost == 10);
    gate.open();
    assert!(client.shutdown_within(PATIENCE).is_clean());
}

#[test]
fn records_are_not_traced_and_groups_have_no_namespace() {
    let cluster = cluster();
    let options = || ClientOptions::new().namespace("ns");
    let producer = Producer::builder("p").name_server(cluster.name_server());
    let producer = producer.options(options()).start().expect("a producer");
    // Their records are as many as leave at once.
    send_keyed(&producer, &["1", "2", "3", "4", "5"]);
    let (tell, ended) = crossbeam_channel::unbounded();
    let client = Client::start(options().name_server(cluster.name_server()));
    let client = client.expect("a client");
    let started =
        traced(&client)
            .subscribe(TOPIC, "*")
            .start(move |message| -> Result<(), Retry> {
                tell.send(message.topic().to_owned())?;
                Ok(())
            });
    let consumer = started.expect("a consumer");
    for _ in 0..5 {
        assert_eq!(ended.recv_timeout(PATIENCE).as_deref(), Ok("T"));
    }
    // The records, which are consumed without further ones.
    assert_eq!(ended.recv_timeout(PATIENCE).as_deref(), Ok(TOPIC));
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    let seen = pairs(&cluster, "g", 5);
    assert_eq!(seen.len(), 5);
    assert_eq!(seen["1"], once("true", "0"));
    let groups: Vec<String> = cluster
        .messages(TOPIC)
        .iter()
        .map(|message| message.producer_group().to_owned())
        .collect();
    assert_eq!(groups, ["ns%_INNER_TRACE_PRODUCER-g-CONSUME-0"]);
}
