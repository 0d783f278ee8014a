//! `hostile [--target NAME] [--seconds N] [--seed S] [--at EXECUTION | --hex INPUT]`

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use hostile::engine::{self, Failure};
use hostile::hex;
use hostile::targets::Target;

const USAGE: &str =
    "usage: hostile [--target NAME] [--seconds N] [--seed S] [--at EXECUTION | --hex INPUT]
without --target all targets take turns; --at and --hex read one input again and need a target";

/// Executions between two readings of the clock.
const ROUND: u64 = 1000;

/// The interval of progress lines in a long run.
const REPORT: Duration = Duration::from_secs(60);

struct Options {
    target: Option<String>,
    seconds: f64,
    seed: u64,
    at: Option<u64>,
    input: Option<Vec<u8>>,
}

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let named = |t: &Target| options.target.as_ref().is_none_or(|name| name == t.name);
    let targets: Vec<Target> = Target::all().into_iter().filter(named).collect();
    let Some(first) = targets.first() else {
        let names: Vec<_> = Target::all().iter().map(|t| t.name).collect();
        eprintln!("there is no such target; there are {}", names.join(", "));
        return ExitCode::from(2);
    };
    let input = options
        .input
        .or_else(|| Some(engine::input(first, options.seed, options.at?)));
    if let Some(input) = input {
        println!("{}: {}", first.name, hex::encode(&input));
        return match engine::check(first, &input) {
            Ok(()) => ExitCode::SUCCESS,
            Err(what) => failed(&what),
        };
    }
    match run(&targets, options.seconds, options.seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure.to_string()),
    }
}

fn failed(what: &str) -> ExitCode {
    println!("FAILED: {what}");
    ExitCode::FAILURE
}

fn run(targets: &[Target], seconds: f64, seed: u64) -> Result<(), Failure> {
    println!("seed {seed}");
    let start = Instant::now();
    let mut spent = vec![Duration::ZERO; targets.len()];
    let (mut round, mut reported) = (0, start);
    while start.elapsed().as_secs_f64() < seconds {
        for (target, spent) in targets.iter().zip(&mut spent) {
            let begun = Instant::now();
            engine::run(target, seed, round * ROUND..(round + 1) * ROUND)?;
            *spent += begun.elapsed();
        }
        round += 1;
        if reported.elapsed() > REPORT {
            reported = Instant::now();
            // So that a silent abort can be traced from here.
            println!("{} executions of each target", round * ROUND);
        }
    }
    for (target, spent) in targets.iter().zip(&spent) {
        let rate = (round * ROUND) as f64 / spent.as_secs_f64().max(1e-9);
        println!(
            "{:8} {:>12} executions, {rate:>9.0} a second",
            target.name,
            round * ROUND
        );
    }
    Ok(())
}

fn options(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let mut options = Options {
        target: None,
        seconds: 10.0,
        seed: now.map_or(0, |now| now.as_secs()),
        at: None,
        input: None,
    };
    while let Some(option) = words.next() {
        let value = words.next()?;
        match option.as_str() {
            "--target" => options.target = Some(value),
            "--seconds" => options.seconds = value.parse().ok()?,
            "--seed" => options.seed = value.parse().ok()?,
            "--at" => options.at = Some(value.parse().ok()?),
            "--hex" => options.input = Some(hex::decode(&value)?),
            _ => return None,
        }
    }
    let one = options.at.is_some() || options.input.is_some();
    (!one || options.target.is_some()).then_some(options)
}
