//! The command-line consumer: prints what it consumes as a member of a group. To learn here: how a
//! whole program is built from a client, a consumer, its events and an orderly end.
//!
//! ```text
//! cargo run --example consume
//! cargo run --example consume -- --json --fail-body "message 3" --retry-level 1 --seconds 5
//! cargo run --example consume -- --name-server 127.0.0.1:9876 --topic Orders --from first --idle-ms 3000
//! cargo run --example consume -- --name-server 127.0.0.1:9876 --topic Orders --kind pull --no-commit
//! cargo run --example consume -- --name-server 127.0.0.1:9876 --topic Orders --lag
//! ```
//!
//! Exit codes: 0 ended as asked, with all progress stored; 1 could not start, or did not end cleanly; 2
//! bad usage or a configuration that cannot work.

mod args;
#[path = "../common/base64.rs"]
mod base64;
#[path = "../common/client.rs"]
mod client;
mod kind;
mod lag;
mod own;
mod polls;
mod pull;
mod push;
mod report;
mod simple;
mod until;
mod work;

use std::error::Error;
use std::process::ExitCode;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Client, ErrorKind};

use args::Args;
use report::Report;
use until::End;
use work::Work;

/// How long handlers may take to end, and brokers to confirm the progress.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let start = Instant::now();
    env_logger::init(); // RUST_LOG=rocketmq_blocking=debug shows what the client does
    let args = Args::parse();
    if let Err(error) = args.check() {
        eprintln!("consume: {error}");
        return ExitCode::from(2);
    }
    let (end, ended) = mpsc::channel();
    let work = Arc::new(Work::new(&args, Report::new(&args, start), end));
    let ran = match args.lag {
        true => print_lag(&args, &work.report),
        false => consume(&args, &work, &ended),
    };
    if let Err(error) = &ran {
        work.report.error(&**error);
    }
    let clean = ran.as_ref().is_ok_and(|clean| *clean);
    work.finish(clean);
    match ran {
        Err(error) if cannot_work(&*error) => ExitCode::from(2),
        _ if clean => ExitCode::SUCCESS,
        _ => ExitCode::from(1),
    }
}

/// Whether the command line asks for what cannot be.
fn cannot_work(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<rocketmq_blocking::Error>();
    error.is_some_and(|error| matches!(error.kind(), ErrorKind::Config | ErrorKind::Invalid))
}

/// Consumes until the end, and says whether it was clean.
fn consume(args: &Args, work: &Arc<Work>, ended: &Receiver<End>) -> Result<bool, Box<dyn Error>> {
    until::listen(args, work)?;
    let (client, cluster) = connect(args)?;
    work.report.set_client(client.id());
    if cluster.is_some() {
        own::assign(args, &client)?;
    }
    let consumer = kind::start(args, &client, work)?;
    work.report.started();
    work.begins();
    if args.forgets_offsets() {
        work.report
            .note("without --instance-name the offsets of --broadcast are lost at the end");
    }
    if cluster.is_some() {
        own::send(args, &client)?;
    }
    let end = until::wait(args, ended, work, || consumer.lag());
    let left = consumer.end(SHUTDOWN_WITHIN);
    if !left.is_clean() {
        work.report.trouble("shutdown", None, &left.to_string());
    }
    client.shutdown();
    Ok(end == End::Asked && left.is_clean())
}

fn print_lag(args: &Args, report: &Report) -> Result<bool, Box<dyn Error>> {
    let (client, cluster) = connect(args)?;
    if cluster.is_some() {
        own::send(args, &client)?;
    }
    lag::print(args, &client, report)?;
    client.shutdown();
    Ok(true)
}

/// A client, and the cluster inside this process if that is what it is connected to.
fn connect(args: &Args) -> Result<(Client, Option<Cluster>), Box<dyn Error>> {
    let options = args.client.options();
    if let Some(addresses) = args.client.name_server() {
        return Ok((Client::start(options.name_server(addresses))?, None));
    }
    if !args.client.has_own_cluster() {
        return Ok((Client::start(options)?, None));
    }
    let cluster = own::start(args)?;
    let client = Client::start(options.name_server(cluster.name_server()))?;
    Ok((client, Some(cluster)))
}
