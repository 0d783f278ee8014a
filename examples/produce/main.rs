//! The command-line producer: sends one text many times, or each line of its input.
//!
//! ```text
//! cargo run --example produce -- --body hello
//! cargo run --release --example produce -- --mode async --body-size 1024 --count 1000000
//! tail -f app.log | cargo run --example produce -- --name-server 127.0.0.1:9876 --topic Logs --json
//! ```
//!
//! Exit codes: 0 all sent, 1 some failed, 2 bad usage or a configuration that cannot work.

mod args;
#[path = "../common/histogram.rs"]
mod histogram;
mod input;
mod report;
#[path = "../common/servers.rs"]
mod servers;

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use clap::Parser;
use rocketmq_blocking::Producer;

use args::{Args, Mode};
use report::{Outcome, Report};

fn main() -> ExitCode {
    env_logger::init(); // RUST_LOG=rocketmq_blocking=debug shows what the client does
    let args = Args::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("produce: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything was sent; an error if nothing can be sent at all.
fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    let (name_server, cluster) = servers::given_or_embedded(args.name_server())?;
    let producer = args.producer(&name_server).start()?;
    if cluster.is_some() {
        eprintln!("produce: no --name-server, so this goes to a cluster inside this process");
    }

    let report = Arc::new(Report::new(args.json, args.total()));
    let read = send_all(args, &producer, &report);
    if let Err(error) = &read {
        eprintln!("produce: cannot read the input: {error}");
    }
    if let Err(error) = producer.flush(args.timeout()) {
        eprintln!("produce: still in flight: {error}");
    }
    let lost = producer.shutdown_within(Duration::from_secs(5)).lost_oneway;
    Ok(report.finish(lost) && read.is_ok())
}

/// Returns when every message is reported; an error if the input could not be read to its end.
fn send_all(args: &Args, producer: &Producer, report: &Arc<Report>) -> io::Result<()> {
    // Every callback holds a sender and never uses it: when the last is gone, all have run.
    let (running, all_ran) = mpsc::channel::<()>();
    let mut end = Ok(());
    for (index, body) in input::bodies(args).enumerate() {
        let message = match body {
            Ok(body) => args.message(body),
            Err(error) => {
                end = Err(error);
                break;
            }
        };
        let start = Instant::now();
        let send = args.aim(producer.prepare(&message));
        match args.mode {
            Mode::Sync => {
                let result = send.send().map(Outcome::Stored);
                report.add(index, start.elapsed(), result);
            }
            Mode::Async => {
                let (report, running) = (report.clone(), running.clone());
                send.send_async(move |result| {
                    report.add(index, start.elapsed(), result.map(Outcome::Stored));
                    drop(running);
                });
            }
            Mode::Oneway => {
                let result = send.send_oneway().map(|()| Outcome::Accepted);
                report.add(index, start.elapsed(), result);
            }
        }
    }
    drop(running);
    let _ = all_ran.recv();
    end
}
