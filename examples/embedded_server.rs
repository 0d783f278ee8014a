//! The embedded cluster as a program: a name server and brokers for producers of any language.
//!
//! ```text
//! cargo run --example embedded_server -- --port 9876 --json
//! ready 127.0.0.1:9876
//! {"topic":"TopicTest","queue_id":2,"queue_offset":0,"body_base64":"aGVsbG8=","properties":{..},"sys_flag":0}
//! ```
//!
//! It stops on Ctrl-C, SIGTERM or, with `--until-eof`, when its input is closed.

#[path = "common/base64.rs"]
mod base64;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use clap::{Parser, value_parser};
use rocketmq_blocking::embedded::{Cluster, StoredMessage};
use serde::Serialize;

/// Runs a RocketMQ name server and brokers on 127.0.0.1. The first line printed is `ready HOST:PORT`
#[derive(Parser)]
#[command(name = "embedded_server")]
struct Args {
    /// The name server's port; 0: any free one
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// The first broker's port, the others follow at +10, +20, ..; 0: any free ones
    #[arg(long, default_value_t = 0)]
    broker_port: u16,

    /// Number of brokers: broker-a, broker-b, ..
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u8).range(1..=26))]
    brokers: u8,

    /// Print each message that is stored as a JSON line, its body as it was sent (compressed, if
    /// sys_flag says so)
    #[arg(long)]
    json: bool,

    /// Stop when stdin is closed
    #[arg(long)]
    until_eof: bool,
}

fn main() -> ExitCode {
    env_logger::init();
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embedded_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    // Everything that may end the program holds a copy of `stop`.
    let (stop, stopped) = mpsc::channel();
    let on_signal = stop.clone();
    ctrlc::set_handler(move || on_signal.send(()).unwrap_or_default())?;

    let cluster = Cluster::builder()
        .name_server_port(args.port)
        .broker_port(args.broker_port)
        .brokers(args.brokers.into())
        .keep_messages(false)
        .record_requests(false)
        .start()?;
    let messages = args.json.then(|| cluster.subscribe());
    writeln!(io::stdout(), "ready {}", cluster.name_server())?;
    io::stdout().flush()?;

    if args.until_eof {
        let stop = stop.clone();
        thread::spawn(move || {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            let _ = stop.send(());
        });
    }
    let printer = messages.map(|messages| {
        thread::spawn(move || {
            let printed = messages.iter().try_for_each(|m| print(&m));
            let _ = stop.send(()); // the receiver, or the cluster, is gone already
            printed
        })
    });

    stopped.recv()?;
    drop(cluster); // ends the stream of messages; queued ones are still printed
    match printer.map(thread::JoinHandle::join) {
        Some(Ok(printed)) => Ok(printed?),
        Some(Err(_)) => Err("the printing thread panicked".into()),
        None => Ok(()),
    }
}

#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    queue_id: i32,
    queue_offset: i64,
    body_base64: String,
    properties: BTreeMap<&'a str, &'a str>,
    sys_flag: i32,
}

fn print(message: &StoredMessage) -> io::Result<()> {
    let line = Line {
        topic: message.topic(),
        queue_id: message.queue_id(),
        queue_offset: message.queue_offset(),
        body_base64: base64::encode(message.raw_body()),
        properties: message.properties().iter().collect(),
        sys_flag: message.sys_flag(),
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&line)?)?;
    out.flush()
}
