//! The command line, and what it means for producer and messages.

use std::env;
use std::time::Duration;

use clap::{Parser, ValueEnum, value_parser};
use rocketmq_blocking::protocol::HeaderFormat;
use rocketmq_blocking::{Message, MessageQueue, PreparedSend, Producer, ProducerBuilder};

/// The most messages without an answer. More would not be faster, only later: each one's timeout
/// runs from the call on.
const MOST_IN_FLIGHT: usize = 1024;

/// Sends messages to RocketMQ: one text many times, or each line of stdin.
///
/// Exit codes: 0 all sent, 1 some failed, 2 bad usage or a configuration that cannot work.
#[derive(Parser)]
#[command(name = "produce")]
pub struct Args {
    /// Name servers, HOST:PORT[;HOST:PORT] [default: $NAMESRV_ADDR, or else a cluster inside this
    /// process]
    #[arg(long, value_name = "ADDRESSES")]
    name_server: Option<String>,

    #[arg(long, default_value = "TopicTest")]
    topic: String,

    /// The producer group
    #[arg(long, default_value = "produce")]
    group: String,

    /// How to send
    #[arg(long, value_enum, default_value_t = Mode::Sync)]
    pub mode: Mode,

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

    /// The whole time of a send, retries included
    #[arg(long, value_name = "MS", default_value_t = 3000, value_parser = value_parser!(u64).range(1..))]
    timeout_ms: u64,

    /// How often a failed send is tried again; never for oneway, --queue and --sharding-key
    #[arg(long, value_name = "N", default_value_t = 2)]
    retries: u32,

    /// How request headers are written
    #[arg(long, value_enum, default_value_t = Header::Json)]
    header: Header,

    /// Compress bodies of at least so many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    compress_over: usize,

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
}

#[derive(Clone, Copy, ValueEnum)]
enum Header {
    Json,
    Binary,
}

impl Args {
    pub fn name_server(&self) -> Option<String> {
        let set = || env::var("NAMESRV_ADDR").ok().filter(|a| !a.is_empty());
        self.name_server.clone().or_else(set)
    }

    pub fn producer(&self, name_server: &str) -> ProducerBuilder {
        let header_format = match self.header {
            Header::Json => HeaderFormat::Json,
            Header::Binary => HeaderFormat::Binary,
        };
        Producer::builder(&self.group)
            .name_server(name_server)
            .send_timeout(self.timeout())
            .retries(self.retries)
            .async_retries(self.retries)
            .header_format(header_format)
            .compress_over(self.compress_over)
            .max_in_flight_messages(MOST_IN_FLIGHT)
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

    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
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
