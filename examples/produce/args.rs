//! The command line, and what it means for messages; `settings.rs` has what it means for producers.

use std::time::Duration;

use clap::{Parser, ValueEnum, value_parser};
use rocketmq_blocking::{Message, MessageQueue, PreparedSend, TransactionState};

use crate::settings::Settings;

/// Sends messages to RocketMQ: one text many times, or each line of stdin.
///
/// With --json, a stored message is a line with index, status, msg_id, offset_msg_id, topic, broker,
/// queue_id, queue_offset, attempts and elapsed_us; those of a batch share status, attempts and
/// elapsed_us. A transaction adds transaction_id and transaction_state (COMMIT_MESSAGE,
/// ROLLBACK_MESSAGE or UNKNOW, as Java spells them); its queue_offset is that of the half message. A
/// message for later adds recall_handle, if the broker gave one. A failed message has index and error.
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

    /// With --mode batch: so many messages in a request, or fewer where they are large [default: 32]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    batch_size: Option<u32>,

    /// With --mode transaction: how every local transaction ends [default: commit]
    #[arg(long, value_enum, value_name = "END")]
    transaction: Option<End>,

    /// The body to send [default: each line of stdin is a message]
    #[arg(long, value_name = "TEXT", group = "fixed")]
    body: Option<String>,

    /// Send a body of this many bytes instead
    #[arg(long, value_name = "BYTES", group = "fixed")]
    body_size: Option<u32>,

    /// How often to send the body [default: 1]
    #[arg(long, value_name = "N", requires = "fixed")]
    count: Option<u64>,

    /// The tag, by which consumers filter
    #[arg(long)]
    tag: Option<String>,

    /// Business keys, separated by spaces
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
    /// The broker asks again, and is told that it is still unknown
    Unknown,
}

impl Args {
    /// Refuses what does not go together, beyond what the attributes above say.
    pub fn check(&self) -> Result<(), String> {
        self.settings.check()?;
        let batch = matches!(self.mode, Mode::Batch);
        let transaction = matches!(self.mode, Mode::Transaction);
        let later = self.delay_level.is_some() || self.deliver_after_ms.is_some();
        let aimed = self.queue.is_some() || self.sharding_key.is_some();
        let wrong = [
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

    pub fn message(&self, body: Vec<u8>) -> Message {
        let mut message = Message::new(self.topic.as_str(), body);
        if let Some(tag) = &self.tag {
            message = message.tag(tag);
        }
        for key in self.keys.iter().flat_map(|keys| keys.split_whitespace()) {
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

    /// The body to send, unless it comes from stdin.
    pub fn body(&self) -> Option<Vec<u8>> {
        let text = self.body.as_ref().map(|text| text.clone().into_bytes());
        text.or(self.body_size.map(|size| vec![b'a'; size as usize]))
    }

    pub fn count(&self) -> u64 {
        self.count.unwrap_or(1)
    }

    /// How many messages there will be, if that is known.
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

fn broker_and_id(text: &str) -> Result<(String, i32), String> {
    let parsed = text.rsplit_once(':').and_then(|(broker, id)| {
        let id = id.parse().ok().filter(|id| *id >= 0)?;
        Some((broker.to_owned(), id))
    });
    parsed.ok_or_else(|| "expected BROKER:ID, as in broker-a:0".to_owned())
}
