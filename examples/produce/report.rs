//! The output: a line per message, as text or JSON, and the summary.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::iter;
use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use rocketmq_blocking::transaction::TransactionReceipt;
use rocketmq_blocking::{Error, ResponseCode, SendReceipt, TransactionState};
use serde::Serialize;

use crate::histogram::Histogram;

/// The most messages, and the most further failures, that are printed as text.
const FEW: u64 = 20;

/// The result of a successful send.
pub enum Outcome {
    Stored(Stored),
    Accepted,
}

impl Outcome {
    pub fn stored(receipt: SendReceipt) -> Outcome {
        Outcome::Stored(Stored::alone(receipt))
    }
}

/// The broker's answer about one message.
pub struct Stored {
    msg_id: String,
    offset_msg_id: String,
    queue_offset: i64,
    transaction: Option<(String, &'static str)>,
    /// Everything else, which a batch has in common.
    receipt: Arc<SendReceipt>,
}

impl Stored {
    fn alone(receipt: SendReceipt) -> Stored {
        Stored {
            msg_id: receipt.message_id().to_owned(),
            offset_msg_id: receipt.offset_message_id().to_owned(),
            queue_offset: receipt.queue_offset(),
            transaction: None,
            receipt: Arc::new(receipt),
        }
    }

    /// The messages of a batch, in their order: one after the other in one queue.
    pub fn each_of_batch(receipt: SendReceipt) -> Vec<Stored> {
        let receipt = Arc::new(receipt);
        // A topic that stores batches as they are has one such id for the whole.
        let whole = receipt.offset_message_id();
        let each = receipt.offset_message_ids().chain(iter::repeat(whole));
        let ids = receipt.message_ids().zip(each).zip(0..);
        let stored = ids.map(|((msg_id, offset_msg_id), place)| Stored {
            msg_id: msg_id.to_owned(),
            offset_msg_id: offset_msg_id.to_owned(),
            queue_offset: receipt.queue_offset() + place,
            transaction: None,
            receipt: receipt.clone(),
        });
        stored.collect()
    }

    pub fn in_transaction(receipt: &TransactionReceipt) -> Stored {
        let state = match receipt.state() {
            TransactionState::Commit => "COMMIT_MESSAGE",
            TransactionState::Rollback => "ROLLBACK_MESSAGE",
            TransactionState::Unknown => "UNKNOW",
        };
        Stored {
            transaction: Some((receipt.transaction_id().to_owned(), state)),
            ..Stored::alone(receipt.receipt().clone())
        }
    }
}

/// As a receipt, of this one message.
impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, queue) = (self.receipt.status(), self.receipt.queue());
        let (id, offset) = (&self.msg_id, self.queue_offset);
        write!(f, "{status} msg_id={id} queue={queue} offset={offset}")?;
        if let Some((_, state)) = &self.transaction {
            write!(f, " transaction={state}")?;
        }
        if let Some(handle) = self.receipt.recall_handle() {
            write!(f, " recall_handle={handle}")?;
        }
        Ok(())
    }
}

/// Takes the results of all sends, from any thread and in any order.
pub struct Report {
    json: bool,
    start: Instant,
    latencies: Histogram,
    state: Mutex<State>,
    /// The number of messages, if known.
    total: Option<u64>,
    shows_bar: bool,
}

#[derive(Default)]
struct State {
    sent: u64,
    failed: u64,
    /// The size of the sent bodies.
    bytes: u64,
    failures_shown: u64,
    bar: Option<ProgressBar>,
}

impl Report {
    pub fn new(json: bool, total: Option<u64>) -> Report {
        // On one terminal, a bar and a stream of JSON lines would overwrite each other.
        let visible = io::stderr().is_terminal() && !(json && io::stdout().is_terminal());
        Report {
            json,
            start: Instant::now(),
            latencies: Histogram::new(),
            state: Mutex::default(),
            total,
            shows_bar: visible && total.is_none_or(|total| total > FEW),
        }
    }

    pub fn add(&self, index: usize, bytes: usize, took: Duration, result: Result<Outcome, Error>) {
        self.latencies.add(took);
        let mut state = self.state.lock();
        match &result {
            Ok(_) => {
                state.sent += 1;
                state.bytes += bytes as u64;
            }
            Err(_) => state.failed += 1,
        }
        if self.json {
            print(JsonLine::new(index, took, &result));
        } else if self.is_worth_a_line(&mut state, result.is_err()) {
            let line = line(index, took, &result);
            match &state.bar {
                Some(bar) => bar.suspend(|| print(line)),
                None => print(line),
            }
        }
        self.advance(&mut state);
    }

    /// Prints the summary; whether nothing failed.
    pub fn finish(&self, lost_oneway: u64) -> bool {
        let mut state = self.state.lock();
        // Accepted once, and counted as sent then, but they never left.
        state.sent = state.sent.saturating_sub(lost_oneway);
        state.failed += lost_oneway;
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        }
        let summary = Summary::new(&state, self.start.elapsed(), &self.latencies);
        match self.json {
            true => print(JsonLine::Summary { summary }),
            false => print(summary),
        }
        state.failed == 0
    }

    /// All messages if they are few, the first ones if the number is not known; and failures, up to
    /// a limit.
    fn is_worth_a_line(&self, state: &mut State, is_failure: bool) -> bool {
        if self.total.is_none_or(|total| total <= FEW) && state.done() <= FEW {
            return true;
        }
        let show = is_failure && state.failures_shown < FEW;
        state.failures_shown += u64::from(show);
        show
    }

    fn advance(&self, state: &mut State) {
        match &state.bar {
            Some(bar) => bar.inc(1),
            // Without a total, the first ones have lines of their own.
            None if self.shows_bar && (self.total.is_some() || state.done() > FEW) => {
                let (bar, style) = match self.total {
                    Some(total) => (
                        ProgressBar::new(total),
                        "{wide_bar} {pos}/{len} {per_sec} {eta}",
                    ),
                    None => (
                        ProgressBar::no_length(),
                        "{spinner} {pos} {per_sec} {elapsed}",
                    ),
                };
                let style = ProgressStyle::with_template(style).expect("a valid template");
                state.bar = Some(bar.with_style(style).with_position(state.done()));
            }
            None => {}
        }
    }
}

impl State {
    fn done(&self) -> u64 {
        self.sent + self.failed
    }
}

fn line(index: usize, took: Duration, result: &Result<Outcome, Error>) -> String {
    match result {
        Ok(Outcome::Stored(stored)) => format!("{index}: {stored} ({took:.1?})"),
        Ok(Outcome::Accepted) => format!("{index}: ONEWAY"),
        Err(error) => format!("{index}: FAILED {error}"),
    }
}

/// Prints a line. Ends the program if the output is closed (as with `| head`).
fn print(line: impl fmt::Display) {
    if writeln!(io::stdout(), "{line}").is_err() {
        process::exit(1);
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum JsonLine<'a> {
    Stored {
        index: usize,
        status: &'a str,
        msg_id: &'a str,
        offset_msg_id: &'a str,
        topic: &'a str,
        broker: &'a str,
        queue_id: i32,
        queue_offset: i64,
        attempts: u32,
        elapsed_us: u128,
        #[serde(skip_serializing_if = "Option::is_none")]
        transaction_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        transaction_state: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        recall_handle: Option<&'a str>,
    },
    Accepted {
        index: usize,
        status: &'a str,
    },
    Failed {
        index: usize,
        error: Failure<'a>,
    },
    Summary {
        summary: Summary,
    },
}

#[derive(Serialize)]
struct Failure<'a> {
    kind: &'a str,
    code: Option<i32>,
    delivery: &'a str,
    attempts: usize,
    message: String,
}

#[derive(Serialize)]
struct Summary {
    sent: u64,
    failed: u64,
    seconds: f64,
    msgs_per_s: f64,
    mb_per_s: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    max_us: f64,
}

impl Summary {
    fn new(state: &State, took: Duration, latencies: &Histogram) -> Summary {
        let seconds = took.as_secs_f64();
        let micros = |part| latencies.quantile(part).as_nanos() as f64 / 1e3;
        Summary {
            sent: state.sent,
            failed: state.failed,
            seconds: rounded(seconds, 6),
            msgs_per_s: rounded(state.sent as f64 / seconds, 1),
            mb_per_s: rounded(state.bytes as f64 / 1e6 / seconds, 3),
            p50_us: micros(0.5),
            p90_us: micros(0.9),
            p99_us: micros(0.99),
            max_us: micros(1.0),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, failed) = (self.sent, self.failed);
        let (took, rate) = (Duration::from_secs_f64(self.seconds), self.msgs_per_s);
        write!(
            f,
            "sent {sent}, failed {failed} in {took:.1?}: {rate:.0} msg/s"
        )?;
        write!(f, ", {:.2} MB/s", self.mb_per_s)?;
        if sent + failed == 0 {
            return Ok(());
        }
        let [half, most, nearly_all, all] = [self.p50_us, self.p90_us, self.p99_us, self.max_us]
            .map(|micros| Duration::from_secs_f64(micros / 1e6));
        write!(
            f,
            ", latency p50 {half:.1?} p90 {most:.1?} p99 {nearly_all:.1?} max {all:.1?}"
        )
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let unit = 10f64.powi(digits);
    (value * unit).round() / unit
}

impl<'a> JsonLine<'a> {
    fn new(index: usize, took: Duration, result: &'a Result<Outcome, Error>) -> JsonLine<'a> {
        match result {
            Ok(Outcome::Stored(stored)) => {
                let receipt = &stored.receipt;
                let transaction = stored.transaction.as_ref();
                JsonLine::Stored {
                    index,
                    status: receipt.status().as_str(),
                    msg_id: &stored.msg_id,
                    offset_msg_id: &stored.offset_msg_id,
                    topic: receipt.queue().topic(),
                    broker: receipt.queue().broker(),
                    queue_id: receipt.queue().id(),
                    queue_offset: stored.queue_offset,
                    attempts: receipt.attempts(),
                    elapsed_us: took.as_micros(),
                    transaction_id: transaction.map(|(id, _)| id.as_str()),
                    transaction_state: transaction.map(|(_, state)| *state),
                    recall_handle: receipt.recall_handle(),
                }
            }
            Ok(Outcome::Accepted) => JsonLine::Accepted {
                index,
                status: "ONEWAY",
            },
            Err(error) => JsonLine::Failed {
                index,
                error: Failure {
                    kind: error.kind().as_str(),
                    code: error.response_code().map(ResponseCode::number),
                    delivery: error.fate().as_str(),
                    attempts: error.attempts().len(),
                    message: error.to_string(),
                },
            },
        }
    }
}

impl fmt::Display for JsonLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
