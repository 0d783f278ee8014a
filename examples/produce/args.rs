//! The command line and its messages; its producer settings are in `settings.rs`.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum, value_parser};
use rocketmq_blocking::producer::PreparedSend;
use rocketmq_blocking::{Message, MessageQueue, TransactionState};

use crate::client::broker_and_id;
use crate::input::Record;
use crate::settings::Settings;

/// Sends messages to RocketMQ: one text many times, or each line of a file or of stdin.
///
/// The input is read no faster than it is sent. Lines may have up to 4 MiB. The first line that is
/// longer, or lacks a required key, ends the input: the lines before it are sent, and the exit code
/// is 1.
///
/// A message needs a body: an empty line is a message that fails, and the exit code is 1. With
/// --skip-blank, lines that are empty or hold only white space are not sent.
///
/// For few messages there is a line each; in the end there is always one with how many were sent and
/// failed, the rates, and how long sends took (async: until their callback).
///
/// With --json, a stored message is a line with index, status, msg_id, offset_msg_id, topic, broker,
/// queue_id, queue_offset, attempts and elapsed_us; those of a batch share status, attempts and
/// elapsed_us. A transaction adds transaction_id and transaction_state (COMMIT_MESSAGE,
/// ROLLBACK_MESSAGE or UNKNOW, as Java spells them); its queue_offset is that of the half message. A
/// message for later adds recall_handle, if the broker gave one. A failed message has index and error.
/// The last line is the summary: sent, failed, seconds, msgs_per_s, mb_per_s (10^6 bytes of bodies),
/// p50_us, p90_us, p99_us and max_us.
///
/// Exit codes: 0 all sent, 1 some failed, 2 bad usage or a configuration that cannot work.
#[derive(Parser)]
#[command(name = "produce")]
pub struct Args {
    #[arg(long, default_value = "TopicTest")]
    topic: String,

    /// How to send
    #[arg(long, value_enum, default_value_t = Mode::Sync)]
    pub mode: Mode,

    /// With --mode batch: messages per request, or fewer if they are large [default: 32]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    batch_size: Option<u32>,

    /// With --mode transaction: how every local transaction ends [default: commit]
    #[arg(long, value_enum, value_name = "END")]
    transaction: Option<End>,

    /// Send each line of stdin, the same as --stdin
    #[arg(value_name = "-", value_parser = ["-"], hide_possible_values = true, group = "source")]
    dash: Option<String>,

    /// Send each line of stdin, also from a terminal [default, if stdin is none]
    #[arg(long, group = "source")]
    stdin: bool,

    /// Send each line of this file; - is stdin
    #[arg(long, value_name = "PATH", group = "source")]
    file: Option<PathBuf>,

    /// The text that ends or separates lines, in which \n, \r, \t, \0, \\ and \xHH have their usual
    /// meaning [default: \n, or \r\n]
    #[arg(long, value_name = "TEXT", value_parser = delimiter, conflicts_with = "fixed")]
    delimiter: Option<Delimiter>,

    /// Lines are KEY<TEXT>BODY: the part before the first such text is the message's key (or
    /// several, separated by spaces)
    #[arg(long, value_name = "TEXT", value_parser = delimiter, conflicts_with = "fixed")]
    key_delimiter: Option<Delimiter>,

    /// Do not send lines that are empty or hold only white space
    #[arg(long, conflicts_with = "fixed")]
    skip_blank: bool,

    /// Send this body
    #[arg(long, value_name = "TEXT", groups = ["fixed", "source"])]
    body: Option<String>,

    /// Send a body of this many bytes instead
    #[arg(long, value_name = "BYTES", groups = ["fixed", "source"])]
    body_size: Option<u32>,

    /// Number of times to send the body [default: 1]
    #[arg(long, value_name = "N", requires = "fixed")]
    count: Option<u64>,

    /// The tag, by which consumers filter
    #[arg(long)]
    tag: Option<String>,

    /// Business keys, separated by spaces, of all messages
    #[arg(long, value_name = "KEYS")]
    keys: Option<String>,

    /// A property of your own; may be given several times
    #[arg(long = "property", value_name = "K=V", value_parser = key_and_value)]
    properties: Vec<(String, String)>,

    /// Send to this queue only
    #[arg(long, value_name = "BROKER:ID", value_parser = broker_and_id)]
    queue: Option<(String, i32)>,

    /// Send all messages to the one queue that belongs to this key
    #[arg(long, value_name = "KEY", conflicts_with = "queue")]
    sharding_key: Option<String>,

    /// Let consumers see the message later: one of the broker's delay levels, 1 to 18 (1s 5s 10s 30s
    /// 1m .. 10m 20m 30m 1h 2h) unless configured otherwise
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    delay_level: Option<u32>,

    /// Let consumers see the message after this time (brokers from 5.0 on)
    #[arg(long, value_name = "MS", conflicts_with = "delay_level", value_parser = value_parser!(u64).range(1..))]
    deliver_after_ms: Option<u64>,

    #[command(flatten)]
    pub settings: Settings,

    /// Print a JSON line for each message, and one with the summary
    #[arg(long)]
    pub json: bool,
}

/// Where the messages come from.
pub enum Source<'a> {
    Body(Vec<u8>),
    File(&'a Path),
    Stdin,
}

#[derive(Clone)]
struct Delimiter(Vec<u8>);

#[derive(Clone, Copy, ValueEnum)]
pub enum Mode {
    /// Wait for each answer before the next message
    Sync,
    /// Take the answers as they come
    Async,
    /// Ask for no answers
    Oneway,
    /// Put several messages into each request, and wait for its answer
    Batch,
    /// Let consumers see each message only when its transaction is committed
    Transaction,
}

/// How a local transaction ends.
#[derive(Clone, Copy, ValueEnum)]
enum End {
    /// Consumers see the message
    Commit,
    /// They do not
    Rollback,
    /// Checks by the broker are answered as still unknown
    Unknown,
}

impl Args {
    /// Refuses combinations that the attributes above do not exclude.
    pub fn check(&self) -> Result<(), String> {
        self.settings.check()?;
        let batch = matches!(self.mode, Mode::Batch);
        let transaction = matches!(self.mode, Mode::Transaction);
        let later = self.delay_level.is_some() || self.deliver_after_ms.is_some();
        let aimed = self.queue.is_some() || self.sharding_key.is_some();
        let named = self.dash.is_some() || self.stdin || self.file.is_some();
        let wrong = [
            (
                !named && self.total().is_none() && io::stdin().is_terminal(),
                "nothing to send: give --body or --file, or pipe messages in (--stdin lets you type them)",
            ),
            (
                self.batch_size.is_some() && !batch,
                "--batch-size needs --mode batch",
            ),
            (
                self.transaction.is_some() && !transaction,
                "--transaction needs --mode transaction",
            ),
            (
                later && batch,
                "--delay-level and --deliver-after-ms do not go with --mode batch",
            ),
            (
                later && transaction,
                "--delay-level and --deliver-after-ms do not go with --mode transaction",
            ),
            (
                aimed && transaction,
                "--queue and --sharding-key do not go with --mode transaction",
            ),
        ];
        match wrong.iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, text)) => Err((*text).to_owned()),
            None => Ok(()),
        }
    }

    pub fn batch_size(&self) -> usize {
        self.batch_size.unwrap_or(32) as usize
    }

    /// How every local transaction ends.
    pub fn end(&self) -> TransactionState {
        match self.transaction {
            None | Some(End::Commit) => TransactionState::Commit,
            Some(End::Rollback) => TransactionState::Rollback,
            Some(End::Unknown) => TransactionState::Unknown,
        }
    }

    pub fn message(&self, record: Record) -> Message {
        let mut message = Message::new(self.topic.as_str(), record.body);
        if let Some(tag) = &self.tag {
            message = message.tag(tag);
        }
        let keys = self.keys.iter().flat_map(|keys| keys.split_whitespace());
        for key in record.key.as_deref().into_iter().chain(keys) {
            message = message.key(key);
        }
        for (key, value) in &self.properties {
            message = message.property(key, value);
        }
        if let Some(level) = self.delay_level {
            message = message.delay_level(level);
        }
        if let Some(ms) = self.deliver_after_ms {
            message = message.deliver_after(Duration::from_millis(ms));
        }
        message
    }

    /// Chooses the queue, if the command line does.
    pub fn aim<'a>(&self, send: PreparedSend<'a>) -> PreparedSend<'a> {
        match (&self.queue, &self.sharding_key) {
            (Some((broker, id)), _) => {
                let queue = MessageQueue::new(self.topic.as_str(), broker.as_str(), *id);
                send.queue(queue)
            }
            (None, Some(key)) => send.sharding_key(key),
            (None, None) => send,
        }
    }

    pub fn source(&self) -> Source<'_> {
        match (&self.body, self.body_size, &self.file) {
            (Some(text), ..) => Source::Body(text.clone().into_bytes()),
            (None, Some(size), _) => Source::Body(vec![b'a'; size as usize]),
            (None, None, Some(path)) if path.as_os_str() != "-" => Source::File(path),
            _ => Source::Stdin,
        }
    }

    pub fn delimiter(&self) -> &[u8] {
        self.delimiter.as_ref().map_or(b"\n", |text| &text.0)
    }

    pub fn key_delimiter(&self) -> Option<&[u8]> {
        self.key_delimiter.as_ref().map(|text| text.0.as_slice())
    }

    pub fn skips_blank(&self) -> bool {
        self.skip_blank
    }

    pub fn count(&self) -> u64 {
        self.count.unwrap_or(1)
    }

    /// The number of messages, if known.
    pub fn total(&self) -> Option<u64> {
        let fixed = self.body.is_some() || self.body_size.is_some();
        fixed.then(|| self.count())
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err("expected K=V".to_owned()),
    }
}

fn delimiter(text: &str) -> Result<Delimiter, String> {
    let unknown = || "knows \\n, \\r, \\t, \\0, \\\\ and \\xHH".to_owned();
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let mut chars = escaped.chars();
        bytes.push(match chars.next() {
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('0') => b'\0',
            Some('\\') => b'\\',
            Some('x') => {
                let digits = chars.as_str().get(..2).ok_or_else(unknown)?;
                chars = chars.as_str()[2..].chars();
                u8::from_str_radix(digits, 16).map_err(|_| unknown())?
            }
            _ => return Err(unknown()),
        });
        rest = chars.as_str();
    }
    bytes.extend_from_slice(rest.as_bytes());
    match bytes.is_empty() {
        true => Err("it must not be empty".to_owned()),
        false => Ok(Delimiter(bytes)),
    }
}
