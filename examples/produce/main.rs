//! The command-line producer: sends one text many times, or each line of a file or of its input. To
//! learn here: how a whole program is built from the send modes, the settings and the receipts.
//!
//! ```text
//! cargo run --example produce -- --body hello
//! cargo run --release --example produce -- --mode async --body-size 1024 --count 1000000
//! cargo run --example produce -- --mode transaction --transaction rollback --body hello --json
//! printf '101:created\n102:paid\n' | cargo run --example produce -- --key-delimiter :
//! cargo run --example produce -- --file app.log --mode batch
//! tail -f app.log | cargo run --example produce -- --name-server 127.0.0.1:9876 --topic Logs --json
//! ```
//!
//! Few messages have a line each; the last line says how many were sent, how fast, and how long it took.
//! Exit codes: 0 all sent, 1 some failed, 2 bad usage or a configuration that cannot work.

mod args;
#[path = "../common/client.rs"]
mod client;
#[path = "../common/histogram.rs"]
mod histogram;
mod input;
mod report;
mod send;
#[path = "../common/servers.rs"]
mod servers;
mod settings;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use args::Args;
use report::Report;
use send::Sender;

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
    args.check()?;
    let settings = &args.settings;
    let (name_server, cluster) = match settings.name_server() {
        None if !settings.has_own_cluster() => (None, None),
        given => {
            let (address, cluster) = servers::given_or_embedded(given)?;
            (Some(address), cluster)
        }
    };
    let records = input::records(args)?;
    let sender = Sender::start(args, name_server.as_deref())?;
    if cluster.is_some() {
        eprintln!("produce: no --name-server, so this goes to a cluster inside this process");
    }

    let report = Arc::new(Report::new(args.json, args.total()));
    let read = sender.send_all(args, records, &report);
    if let Err(error) = &read {
        eprintln!("produce: cannot read the input: {error}");
    }
    let lost = sender.finish(settings.timeout()).lost_oneway;
    Ok(report.finish(lost) && read.is_ok())
}
