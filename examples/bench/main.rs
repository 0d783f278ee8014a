//! Measures the producer: one JSON line with throughput, latencies, CPU time and memory.
//!
//! ```text
//! cargo run --release --example bench -- --embedded --mode sync --threads 16
//! cargo run --release --example bench -- --target 127.0.0.1:9876 --mode async --inflight 1024
//! ```
//!
//! With `--embedded` the servers run in the same process, so that their CPU time and memory are in
//! the figures too. CPU time and memory are read from `/proc`: on other systems than Linux they are
//! 0.
//!
//! Lines that were gathered in files, also from other clients' programs that print the same, are
//! compared by
//!
//! ```text
//! cargo run --example bench -- --report runs.jsonl --markdown table.md --svg chart.svg
//! ```

mod args;
#[path = "../common/histogram.rs"]
mod histogram;
mod measure;
mod permits;
mod process;
mod producers;
mod report;
#[path = "../common/servers.rs"]
mod servers;
mod work;

use std::error::Error;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use args::{Args, Cli, Mode};
use measure::{Limit, Tally};
use producers::Producers;
use work::Work;

/// The line that is printed; all bench programs of one comparison print the same.
#[derive(Serialize)]
struct Line {
    client: &'static str,
    mode: Mode,
    threads: usize,
    inflight: usize,
    body: usize,
    batch: usize,
    topics: usize,
    producers: usize,
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
    let cli = Cli::read();
    let done = match cli.report.is_empty() {
        true => measure(&cli.measure).map(|line| println!("{line}")),
        false => report::run(&cli),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<String, Box<dyn Error>> {
    let target = (!args.embedded).then(|| args.target.clone());
    let (name_server, _cluster) = servers::given_or_embedded(target)?;
    let work = Work::new(args, Producers::start(args, &name_server)?);
    work.connect()
        .map_err(|error| format!("{error}\n(--embedded starts its own server)"))?;

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
            topics: args.topics.get(),
            producers: args.producers.get(),
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
