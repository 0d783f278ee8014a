//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use rocketmq_blocking::protocol::HeaderFormat;
use serde::Serialize;

/// Measures the producer and prints one JSON line.
///
/// Every send has a new message, no retries, no compression, and 10 s. Latencies are those of the
/// call (sync, oneway, batch) or from the call to the callback (async).
#[derive(Parser)]
#[command(name = "bench")]
pub struct Cli {
    /// Measure nothing, but compare the runs that these files hold, one JSON line a run
    #[arg(long, value_name = "RESULTS.jsonl", num_args = 1.., conflicts_with = "Args")]
    pub report: Vec<PathBuf>,

    /// File for the table of the report, instead of standard output
    #[arg(
        long,
        value_name = "OUT.md",
        requires = "report",
        conflicts_with = "Args"
    )]
    pub markdown: Option<PathBuf>,

    /// File for a bar chart of the report: message rates as multiples of Java's
    #[arg(
        long,
        value_name = "OUT.svg",
        requires = "report",
        conflicts_with = "Args"
    )]
    pub svg: Option<PathBuf>,

    #[command(flatten)]
    pub measure: Args,
}

#[derive(clap::Args)]
pub struct Args {
    /// The name server
    #[arg(
        long,
        visible_alias = "name-server",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:9976"
    )]
    pub target: String,

    /// Use a cluster inside this process instead
    #[arg(long, conflicts_with = "target")]
    pub embedded: bool,

    #[arg(long, value_enum, default_value_t = Mode::Sync)]
    pub mode: Mode,

    /// Number of sending threads
    #[arg(long, value_name = "T", default_value = "1")]
    pub threads: NonZeroUsize,

    /// Spread the threads over this many producers; more than one share a client
    #[arg(long, value_name = "N", default_value = "1")]
    pub producers: NonZeroUsize,

    /// async: the most sends without a callback, over all threads
    #[arg(long, value_name = "W", default_value = "1024")]
    pub inflight: NonZeroUsize,

    /// Bytes of a body
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub body: usize,

    /// batch: messages of a batch
    #[arg(long, value_name = "N", default_value = "32")]
    pub batch: NonZeroUsize,

    /// How long to measure
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    pub seconds: Duration,

    /// Measure this many messages instead of a time
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,

    /// The same work before that, which is not measured
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    pub warmup: Duration,

    #[arg(long, value_name = "NAME", default_value = "PeerBench")]
    pub topic: String,

    /// Send in turn to this many topics; more than one are called NAME-0, NAME-1, ..
    #[arg(long, value_name = "N", default_value = "1")]
    pub topics: NonZeroUsize,

    /// How request headers are written
    #[arg(long, value_enum, default_value_t = Header::Json)]
    header: Header,
}

#[derive(Clone, Copy, PartialEq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Wait for each answer
    Sync,
    /// Send with a callback
    Async,
    /// Send without answers; the window ends when a last, synchronous send is answered
    Oneway,
    /// Send lists of messages and wait for each answer
    Batch,
}

#[derive(Clone, Copy, ValueEnum)]
enum Header {
    Json,
    Binary,
}

impl Cli {
    /// Reads the command line; ends the process where that makes no sense.
    pub fn read() -> Cli {
        let cli = Cli::parse();
        if cli.measure.producers > cli.measure.threads {
            // A thread keeps to one producer, so the others would have nothing to do.
            let text = "--producers must not be more than --threads";
            Cli::command()
                .error(ErrorKind::ArgumentConflict, text)
                .exit();
        }
        cli
    }
}

impl Args {
    pub fn header_format(&self) -> HeaderFormat {
        match self.header {
            Header::Json => HeaderFormat::Json,
            Header::Binary => HeaderFormat::Binary,
        }
    }

    pub fn topics(&self) -> Vec<String> {
        match self.topics.get() {
            1 => vec![self.topic.clone()],
            count => (0..count).map(|i| format!("{}-{i}", self.topic)).collect(),
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "expected seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}
