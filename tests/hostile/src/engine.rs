//! Creates inputs, has them read, and judges the cost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::counting::{Memory, counted};
use crate::mutate::mutate;
use crate::random::Random;
use crate::targets::Target;

/// No input may take longer.
const SLOW: Duration = Duration::from_millis(100);

/// How often a slow input is read again: a thread that lost the processor is not slow.
const TRIES: usize = 5;

/// The input of one execution. It follows from the seed alone.
pub fn input(target: &Target, seed: u64, execution: u64) -> Vec<u8> {
    let mut random = Random::new(seed, execution);
    let mut bytes = target.corpus[random.below(target.corpus.len())].clone();
    mutate(&mut bytes, &target.corpus, &mut random);
    (target.repair)(&mut bytes, &mut random);
    bytes
}

/// Reads an input and judges that, with its time.
///
/// # Errors
/// What is wrong with the reader.
pub fn check(target: &Target, input: &[u8]) -> Result<(), String> {
    let start = Instant::now();
    check_memory(target, input)?;
    let took = start.elapsed();
    if took > SLOW {
        let again = (0..TRIES).map(|_| {
            let start = Instant::now();
            read(target, input).map(|_| start.elapsed())
        });
        let fastest = again.collect::<Result<Vec<_>, _>>()?.into_iter().min();
        if fastest.is_some_and(|fastest| fastest > SLOW) {
            return Err(format!("an input took {took:?}"));
        }
    }
    Ok(())
}

/// Reads an input and judges that, whatever time it takes.
///
/// # Errors
/// What is wrong with the reader.
pub fn check_memory(target: &Target, input: &[u8]) -> Result<(), String> {
    let memory = read(target, input)?;
    let (largest, peak, len) = (memory.largest, memory.peak, input.len());
    let allowed = (4 * len).max(target.limit.checked);
    if largest > allowed {
        return Err(format!(
            "an allocation of {largest} bytes for an input of {len}: more than {allowed}"
        ));
    }
    let allowed = target.limit.times * len + 2 * target.limit.checked;
    if peak > allowed {
        return Err(format!(
            "{peak} bytes held for an input of {len}: more than {allowed}"
        ));
    }
    Ok(())
}

fn read(target: &Target, input: &[u8]) -> Result<Memory, String> {
    let (result, memory) = counted(|| catch_unwind(AssertUnwindSafe(|| (target.read)(input))));
    match result {
        Ok(()) => Ok(memory),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).to_owned()));
            Err(format!("a panic: {}", text.unwrap_or_default()))
        }
    }
}

/// An input that was read wrongly.
pub struct Failure {
    pub target: &'static str,
    pub seed: u64,
    pub execution: u64,
    pub input: Vec<u8>,
    pub what: String,
}

/// Some executions of a target.
///
/// # Errors
/// The first that failed.
pub fn run(target: &Target, seed: u64, executions: std::ops::Range<u64>) -> Result<(), Failure> {
    for execution in executions {
        let input = input(target, seed, execution);
        check(target, &input).map_err(|what| Failure {
            target: target.name,
            seed,
            execution,
            input,
            what,
        })?;
    }
    Ok(())
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Failure {
            target,
            seed,
            execution,
            input,
            what,
        } = self;
        writeln!(f, "{target}: {what}")?;
        writeln!(f, "input: {}", crate::hex::encode(input))?;
        let again = "again: cargo run --locked -p hostile --release --";
        write!(
            f,
            "{again} --target {target} --seed {seed} --at {execution}"
        )
    }
}
