//! Measures the producer: one JSON line with throughput, latencies, CPU time and memory.
//!
//! ```text
//! cargo run --release --example bench -- --embedded --mode sync --threads 16
//! cargo run --release --example bench -- --target 127.0.0.1:9876 --mode async --inflight 1024
//! ```
//!
//! With `--embedded` the servers run in the same process, so that their CPU time and memory are in
//! the figures too. CPU time and memory are read from `/proc`: elsewhere than on Linux they are 0.

#[path = "../common/histogram.rs"]
mod histogram;
mod measure;
mod permits;
mod process;
#[path = "../common/servers.rs"]
mod servers;
mod work;

use std::error::Error;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rocketmq_blocking::Producer;
use rocketmq_blocking::protocol::HeaderFormat;
use serde::Serialize;

use measure::{Limit, Tally};
use work::Work;

/// Measures the producer and prints one JSON line.
///
/// Every send has a new message, no retries, no compression, and 10 s. Latencies are those of the
/// call (sync, oneway, batch) or from the call to the callback (async).
#[derive(Parser)]
#[command(name = "bench")]
struct Args {
    /// The name server
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9976")]
    target: String,

    /// Use a cluster inside this process instead
    #[arg(long, conflicts_with = "target")]
    embedded: bool,

    #[arg(long, value_enum, default_value_t = Mode::Sync)]
    mode: Mode,

    /// How many threads send
    #[arg(long, value_name = "T", default_value = "1")]
    threads: NonZeroUsize,

    /// async: the most sends without a callback, over all threads
    #[arg(long, value_name = "W", default_value = "1024")]
    inflight: NonZeroUsize,

    /// Bytes of a body
    #[arg(long, value_name = "N", default_value_t = 1024)]
    body: usize,

    /// batch: messages of a batch
    #[arg(long, value_name = "N", default_value = "32")]
    batch: NonZeroUsize,

    /// How long to measure
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    seconds: Duration,

    /// Measure this many messages instead of a time
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// The same work before that, which is not measured
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    warmup: Duration,

    #[arg(long, default_value = "PeerBench")]
    topic: String,

    /// How request headers are written
    #[arg(long, value_enum, default_value_t = Header::Json)]
    header: Header,
}

#[derive(Clone, Copy, PartialEq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
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

/// The line that is printed; all bench programs of one comparison print the same.
#[derive(Serialize)]
struct Line {
    client: &'static str,
    mode: Mode,
    threads: usize,
    inflight: usize,
    body: usize,
    batch: usize,
    msgs: u64,
    secs: f64,
    msgs_per_s: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    cpu_s: f64,
    rss_mb: f64,
    errors: u64,
    sent_total: u64,
    first_error: Option<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<String, Box<dyn Error>> {
    let target = (!args.embedded).then(|| args.target.clone());
    let (name_server, _cluster) = servers::given_or_embedded(target)?;
    let producer = Producer::builder("PeerBenchGroup")
        .name_server(name_server)
        .send_timeout(Duration::from_secs(10))
        .retries(0)
        .async_retries(0)
        .compress_over(usize::MAX)
        .header_format(match args.header {
            Header::Json => HeaderFormat::Json,
            Header::Binary => HeaderFormat::Binary,
        })
        .start()?;
    let work = Work::new(args, producer);
    // This fetches the route and connects.
    work.send()
        .map_err(|error| format!("{error}\n(--embedded brings a server of its own)"))?;

    let (warm, _) = work.run(Limit::time(args.warmup));
    let cpu_before = process::cpu_time();
    let (tally, took) = work.run(match args.count {
        Some(count) => Limit::count(count),
        None => Limit::time(args.seconds),
    });
    let cpu = process::cpu_time().saturating_sub(cpu_before);
    let line = Line::new(args, warm, tally, took, cpu);
    Ok(serde_json::to_string(&line)?)
}

impl Line {
    fn new(args: &Args, warm: &Tally, tally: &Tally, took: Duration, cpu: Duration) -> Line {
        let only_in = |mode, value: NonZeroUsize, otherwise| match args.mode == mode {
            true => value.get(),
            false => otherwise,
        };
        let micros = |part| tally.latencies.quantile(part).as_nanos() as f64 / 1e3;
        Line {
            client: "ours",
            mode: args.mode,
            threads: args.threads.get(),
            inflight: only_in(Mode::Async, args.inflight, 0),
            body: args.body,
            batch: only_in(Mode::Batch, args.batch, 1),
            msgs: tally.messages(),
            secs: rounded(took.as_secs_f64(), 4),
            msgs_per_s: rounded(tally.messages() as f64 / took.as_secs_f64(), 1),
            p50_us: rounded(micros(0.5), 2),
            p99_us: rounded(micros(0.99), 2),
            p999_us: rounded(micros(0.999), 2),
            cpu_s: rounded(cpu.as_secs_f64(), 4),
            rss_mb: rounded(process::peak_memory_mib(), 1),
            errors: warm.errors() + tally.errors(),
            sent_total: warm.messages() + tally.messages(),
            first_error: warm.first_error().or(tally.first_error()).cloned(),
        }
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let unit = 10f64.powi(digits);
    (value * unit).round() / unit
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "expected seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}
