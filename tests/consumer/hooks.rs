//! User code around calls of the handler, and filters of the user's own.

use std::sync::{Arc, Mutex};

use rocketmq_blocking::hook::{ConsumeContext, ConsumeHook, ConsumeOutcome};
use rocketmq_blocking::{MessageView, PullConsumer, Retry, StartFrom};

use crate::common::{bodies, consumer, send, take};
use crate::support::{PATIENCE, cluster, eventually, ms, producer};

/// Writes what it sees.
#[derive(Default)]
struct Record(Mutex<Vec<String>>);

impl Record {
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn body(message: &MessageView) -> &str {
    message.text().expect("text")
}

impl ConsumeHook for Record {
    fn before(&self, context: &ConsumeContext<'_>) {
        let bodies: Vec<_> = context.messages.iter().map(body).collect();
        let (group, topic) = (context.group, context.queue.topic());
        self.note(format!("{group}: {topic}: {}", bodies.join(" ")));
    }

    fn after(&self, context: &ConsumeContext<'_>, outcomes: &[ConsumeOutcome<'_>]) {
        let ended = context.messages.iter().zip(outcomes);
        let ended = ended.map(|(message, outcome)| format!("{}: {outcome:?}", body(message)));
        self.note(ended.collect::<Vec<_>>().join(" "));
    }
}

/// A hook with a bug.
struct Panics;

impl ConsumeHook for Panics {
    fn before(&self, _: &ConsumeContext<'_>) {
        panic!("a hook's panic");
    }

    fn after(&self, _: &ConsumeContext<'_>, _: &[ConsumeOutcome<'_>]) {
        panic!("a hook's panic");
    }
}

#[test]
fn each_call_of_the_handler_has_one_before_and_one_after_with_its_outcome() {
    let cluster = cluster();
    let record = Arc::new(Record::default());
    let hooked = record.clone();
    let consumer = consumer(&cluster)
        .consume_threads(1)
        .consume_hook(Panics)
        .consume_hook(record.clone())
        .start(move |message| -> Result<(), Retry> {
            hooked.note("handler".to_owned());
            match message.text()? {
                "message 0" => Ok(()),
                "message 1" => Err(Retry::dead_letter()),
                _ => panic!("a handler's panic"),
            }
        })
        .expect("a consumer");
    let producer = producer(&cluster);
    let mut expected = Vec::new();
    for (n, outcome) in ["Done", "Retry(Retry(dead letter))", "Panicked"]
        .into_iter()
        .enumerate()
    {
        send(&producer, [n]);
        expected.push(format!("g: T: message {n}"));
        expected.push("handler".to_owned());
        expected.push(format!("message {n}: {outcome}"));
        eventually("handled", || record.lines().len() >= expected.len());
        // The last one comes again, perhaps at once.
        assert_eq!(record.lines()[..expected.len()], expected);
    }
    consumer.shutdown();
}

#[test]
fn what_a_local_filter_leaves_out_counts_as_consumed() {
    let cluster = cluster();
    let builder = consumer(&cluster)
        .commit_interval(ms(10))
        .local_filter(|message| body(message) != "message 2")
        .local_filter(|message| match body(message) {
            "message 3" => false,
            "message 4" => panic!("a filter's panic"),
            _ => true,
        });
    let (consumer, got) = bodies(builder);
    send(&producer(&cluster), 0..6);
    let mut handled = take(&got, 4);
    handled.sort();
    let expected = ["message 0", "message 1", "message 4", "message 5"];
    assert_eq!(handled, expected);
    eventually("committed", || cluster.group("g").lag("T") == 0);
    assert_eq!(consumer.stats().filtered, 2);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert!(got.is_empty());
}

#[test]
fn a_local_filter_leaves_messages_out_of_polls_too() {
    let cluster = cluster();
    send(&producer(&cluster), 0..6);
    let builder = PullConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .local_filter(|message| body(message) > "message 2");
    let consumer = builder.start().expect("a consumer");
    let read = consumer.messages().until_caught_up().map(|message| {
        let message = message.expect("no error");
        let text = body(&message).to_owned();
        assert!(message.done());
        text
    });
    let mut read: Vec<_> = read.collect();
    read.sort();
    assert_eq!(read, ["message 3", "message 4", "message 5"]);
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    assert_eq!(cluster.group("g").lag("T"), 0);
}
