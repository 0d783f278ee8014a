//! Your own code in what a producer does: around each attempt, for figures; before it, for rules; and
//! around every request, for a header field that all servers are to see.
//!
//! ```text
//! cargo run --example hooks
//! cargo run --example hooks -- --name-server 127.0.0.1:9876
//! ```
//!
//! A line is printed for each attempt (with the cluster inside this process, one broker refuses the
//! first), then the figures, and the error of a message that the rule is against.

#[path = "common/example.rs"]
mod example;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use clap::Parser;
use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::hook::{
    CheckForbiddenHook, RpcHook, RpcRequest, SendContext, SendMessageHook, SendOutcome,
};
use rocketmq_blocking::{ClientOptions, Message, Producer};

/// Sends messages with hooks that count, forbid and add
#[derive(Parser)]
#[command(name = "hooks")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,
}

const TOPIC: &str = "TopicTest";

/// Counts attempts. The producer takes the hook, so that one to be read later is shared with it.
#[derive(Default)]
struct Figures {
    stored: AtomicU64,
    failed: AtomicU64,
}

impl SendMessageHook for Figures {
    fn after(&self, context: &SendContext, outcome: &SendOutcome<'_>) {
        let (queue, took) = (&context.queue, context.started.elapsed());
        match outcome {
            SendOutcome::Failed(error) => {
                self.failed.fetch_add(1, Relaxed);
                println!("  {queue} failed in {took:.1?}: {error}");
            }
            _ => {
                self.stored.fetch_add(1, Relaxed);
                println!("  {queue} stored in {took:.1?}");
            }
        }
    }
}

/// Refuses messages without a key.
struct KeysOnly;

impl CheckForbiddenHook for KeysOnly {
    fn check(&self, context: &SendContext) -> Result<(), Box<dyn Error + Send + Sync>> {
        match context
            .payload
            .messages()
            .iter()
            .all(|message| message.keys().count() > 0)
        {
            true => Ok(()),
            false => Err("a message here must have a key".into()),
        }
    }
}

/// Adds a field to the header of every request, also of heartbeats and questions for routes.
struct Caller(&'static str);

impl RpcHook for Caller {
    fn before(&self, request: &mut RpcRequest) -> Result<(), Box<dyn Error + Send + Sync>> {
        request.set_field("caller", self.0);
        Ok(())
    }
}

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let two_brokers = Cluster::builder().brokers(2).topic(TOPIC, 2);
    let (name_server, cluster) = args.servers.given_or(two_brokers)?;
    if let Some(cluster) = &cluster {
        let refusal = Fault::answer(14, "maintenance").on(On::Send);
        cluster.broker("broker-a").inject(refusal.once());
    }

    let figures = Arc::new(Figures::default());
    let producer = Producer::builder("hooks")
        .name_server(&name_server)
        .send_message_hook(figures.clone())
        .check_forbidden_hook(KeysOnly)
        .options(ClientOptions::new().rpc_hook(Caller("the hooks example")))
        .start()?;

    for i in 0..4 {
        let message = Message::new(TOPIC, "with a key").key(format!("Order{i}"));
        println!("{}", producer.send(&message)?);
    }
    let Figures { stored, failed } = &*figures;
    let (stored, failed) = (stored.load(Relaxed), failed.load(Relaxed));
    println!("attempts: {stored} stored, {failed} failed");

    match producer.send(&Message::new(TOPIC, "without a key")) {
        Ok(receipt) => println!("{receipt}"),
        Err(error) => println!("refused: {error}"),
    }
    if let Some(cluster) = cluster {
        let requests = cluster.requests(&On::Any);
        let with_field = requests
            .iter()
            .filter(|request| request.command().ext.get("caller").is_some());
        println!(
            "{} of {} requests name their caller",
            with_field.count(),
            requests.len()
        );
    }
    Ok(())
}
