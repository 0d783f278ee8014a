//! A distributed trace through messages: the context of the sender's span travels in properties, named as
//! W3C Trace Context names them, and the handler's span continues it. OpenTelemetry and the clients of
//! other languages understand that.
//!
//! ```text
//! cargo run --example trace_context
//! cargo run --example trace_context -- --name-server 127.0.0.1:9876
//! ```
//!
//! A shop sends an order, billing handles it, and its second try belongs to the same trace. (What the
//! example `trace` shows is another thing: RocketMQ's own records of messages.)

#[path = "common/example.rs"]
mod example;

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::fmt;
use std::hash::BuildHasher;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, MessageView, Producer, PushConsumer, Retry};

/// Sends an order with the context of its trace, and continues the trace in a handler
#[derive(Parser)]
#[command(name = "trace_context")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,
}

const TOPIC: &str = "TracedOrders";
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let (name_server, _cluster) = args.servers.given_or(Cluster::builder())?;
    let producer = Producer::builder("trace_context")
        .name_server(&name_server)
        .start()?;
    producer.admin().create_topic("TBW102", TOPIC, 4)?;

    let (tell, told) = mpsc::channel();
    let consumer = PushConsumer::builder("billing")
        .name_server(&name_server)
        .subscribe(TOPIC, "*")
        .start(move |message| -> Result<(), Retry> {
            let span = Span::of(message);
            let tries = message.reconsume_times();
            tell.send(format!("{span} billing, try {tries}"))?;
            // A message that is given back keeps its properties: the next try is in the same trace.
            match tries {
                0 => Err(Retry::level(1).because("the bank is closed")),
                _ => Ok(()),
            }
        })?;

    let span = Span::root();
    println!("{span} the shop sends an order");
    let order = span.goes_with(Message::new(TOPIC, "order 101"));
    let _receipt = producer.send(&order)?;
    for _ in 0..2 {
        println!("{}", told.recv_timeout(PATIENCE)?);
    }
    println!("{}", consumer.shutdown_within(PATIENCE));
    Ok(())
}

/// A part of the work in a trace. With OpenTelemetry its `Context` is this, and its `TextMapPropagator`
/// writes and reads the property.
struct Span {
    trace: u128,
    id: u64,
    parent: Option<u64>,
}

impl Span {
    /// The first one of a new trace.
    fn root() -> Span {
        Span {
            trace: u128::from(random()) << 64 | u128::from(random()),
            id: random(),
            parent: None,
        }
    }

    /// The one in which a message is handled: it continues the sender's.
    fn of(message: &MessageView) -> Span {
        let parent = message.property("traceparent").and_then(parse);
        match parent {
            Some((trace, parent)) => Span {
                trace,
                id: random(),
                parent: Some(parent),
            },
            None => Span::root(),
        }
    }

    /// Has a message carry this span. (`tracestate` and `baggage` are properties too.)
    fn goes_with(&self, message: Message) -> Message {
        let Span { trace, id, .. } = self;
        message.property("traceparent", format!("00-{trace:032x}-{id:016x}-01"))
    }
}

/// The trace and the span of a `traceparent`.
fn parse(text: &str) -> Option<(u128, u64)> {
    let mut parts = text.split('-').skip(1);
    let trace = u128::from_str_radix(parts.next()?, 16).ok()?;
    let span = u64::from_str_radix(parts.next()?, 16).ok()?;
    Some((trace, span))
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trace {:032x} span {:016x}", self.trace, self.id)?;
        match self.parent {
            Some(parent) => write!(f, " of {parent:016x}:"),
            None => f.write_str(":"),
        }
    }
}

fn random() -> u64 {
    RandomState::new().hash_one(0).max(1)
}
