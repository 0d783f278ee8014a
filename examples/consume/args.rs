//! The command line, and what it means for consumers.

use std::env;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Parser, ValueEnum, value_parser};
use rocketmq_blocking::consumer::Allocation;
use rocketmq_blocking::{Filter, Retry, StartFrom};

use crate::client::{ClientArgs, broker_and_id};
use crate::own;
use crate::work::Outcome;

/// Consumes messages of RocketMQ and prints them, as one member of a consumer group.
///
/// Without --name-server it starts a cluster inside this process, sends 20 messages to it and ends when
/// these are handled, or nothing more came for 3 s, unless --count, --seconds, --idle-ms or --until-eof
/// say otherwise. With servers and none of these it runs until SIGINT or SIGTERM (a second one ends it at
/// once).
///
/// Every message has a line: its queue, offset, tag, keys and body, and what becomes of it if it is
/// refused.
///
/// With --json, all lines are JSON objects with an "event": started (client_id, t_ms), assigned (t_ms,
/// queues; at every change; --kind simple has none), message (t_ms, thread, topic, broker, queue_id,
/// queue_offset, msg_id, offset_msg_id, tag, keys, body_base64, properties, sys_flag, reconsume_times,
/// born_ms, stored_ms, outcome: ok, later or dead), lag (topic, broker, queue_id, committed, newest, lag),
/// error (kind, code, message), and at last summary (handled, refused, seconds, clean). Times t_ms are
/// milliseconds since the start of the program. A message's line is printed when its handler has decided,
/// by the thread that ran it.
///
/// Exit codes: 0 ended as asked, with all progress stored; 1 could not start, or did not end cleanly;
/// 2 bad usage or a configuration that cannot work.
#[derive(Parser)]
#[command(name = "consume")]
pub struct Args {
    #[command(flatten)]
    pub client: ClientArgs,

    /// The consumer group
    #[arg(long, value_name = "G", default_value = "consume-example")]
    pub group: String,

    /// A topic; may be given several times
    #[arg(long = "topic", value_name = "T", default_value = "TopicTest")]
    pub topics: Vec<String>,

    /// Only messages with one of these tags: "A || B" [default: *]
    #[arg(long, value_name = "TAGS", conflicts_with = "sql")]
    tags: Option<String>,

    /// Only messages whose properties fulfil this condition: "a > 5"
    #[arg(long, value_name = "CONDITION")]
    sql: Option<String>,

    /// How to consume
    #[arg(long, value_enum, default_value_t = Kind::Push)]
    pub kind: Kind,

    /// push: one message of a queue at a time, in order
    #[arg(long)]
    pub orderly: bool,

    /// push, pull: every member gets every message, and goes on where the last run with its
    /// --instance-name ended. Refused messages do not come again, unless with --orderly
    #[arg(long)]
    pub broadcast: bool,

    /// Where --broadcast keeps its offsets, by instance name and group [default: the folder
    /// rocketmq-consume below the temporary one]
    #[arg(long, value_name = "DIR", requires = "broadcast")]
    offset_dir: Option<PathBuf>,

    /// Where a group without offsets starts: last, first, or a time in epoch milliseconds
    #[arg(long, value_name = "WHERE", default_value = "last", value_parser = start_from)]
    pub from: StartFrom,

    /// pull: this queue of the one topic, without a rebalance; may be given several times
    #[arg(long, value_name = "BROKER:ID", value_parser = broker_and_id)]
    pub assign: Vec<(String, i32)>,

    /// push: how many threads run the handler [default: 20]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=1000))]
    threads: Option<u16>,

    /// The most messages of one call of the handler, of a poll or a receive [default: 1 for push, 32
    /// for the others]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    batch: Option<u32>,

    /// How members divide the queues [default: averagely]
    #[arg(long, value_enum, value_name = "HOW")]
    allocate: Option<Allocate>,

    /// push: ask brokers for the queues, and consume by POP where they say so
    #[arg(long)]
    broker_assignment: bool,

    /// Stop after this many messages were handled well; messages that handlers have by then are
    /// handled too
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Stop after this time
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub seconds: Option<Duration>,

    /// Stop when nothing came for this time
    #[arg(long, value_name = "MS", value_parser = value_parser!(u64).range(1..))]
    idle_ms: Option<u64>,

    /// Stop when stdin is closed
    #[arg(long)]
    pub until_eof: bool,

    /// The handler takes this time for each message
    #[arg(long, value_name = "MS", default_value_t = 0)]
    work_ms: u64,

    /// Refuse messages whose reconsume count is below this. With --kind pull a refused message is not
    /// committed, nor is what follows it in its queue: it comes again in the next run. With --kind simple it
    /// is not acknowledged, and comes again after its invisible time
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub fail_first: i32,

    /// Refuse messages with this body, always
    #[arg(long, value_name = "TEXT")]
    pub fail_body: Option<String>,

    /// push: refused messages come again at this delay level; 0: the broker chooses; push, simple: -1:
    /// they go straight to the dead letter queue [default: 0]
    #[arg(long, value_name = "L", allow_negative_numbers = true, value_parser = value_parser!(i32).range(-1..))]
    retry_level: Option<i32>,

    /// push, simple: tries of a message before it goes to the dead letter queue [default: 16; without end
    /// with --orderly]
    #[arg(long, value_name = "N")]
    pub max_reconsume: Option<u32>,

    /// simple: how long a received message is hidden from others [default: 30000]
    #[arg(long, value_name = "MS", value_parser = value_parser!(u64).range(1000..=43_200_000))]
    invisible_ms: Option<u64>,

    /// simple: do not acknowledge
    #[arg(long)]
    pub no_ack: bool,

    /// pull: do not commit
    #[arg(long)]
    pub no_commit: bool,

    /// Trace what is consumed to RMQ_SYS_TRACE_TOPIC
    #[arg(long)]
    pub trace: bool,

    /// Print how far the group is in each queue of the topics instead of consuming
    #[arg(long)]
    pub lag: bool,

    /// Print JSON lines, and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A handler runs on consume threads
    Push,
    /// Messages are polled; offsets are committed after they were printed
    Pull,
    /// Messages are received and acknowledged by POP
    Simple,
}

#[derive(Clone, Copy, ValueEnum)]
enum Allocate {
    Averagely,
    Circle,
    ConsistentHash,
}

impl Args {
    /// Refuses what does not go together, beyond what the attributes above say.
    pub fn check(&self) -> Result<(), String> {
        self.client.check("consume")?;
        let (push, pull) = (self.kind == Kind::Push, self.kind == Kind::Pull);
        let simple = self.kind == Kind::Simple;
        let assigned = !self.assign.is_empty();
        let wrong = [
            (self.orderly && !push, "--orderly needs --kind push"),
            (
                self.broadcast && simple,
                "--broadcast does not go with --kind simple",
            ),
            (
                self.orderly && self.batch() > 1,
                "--batch does not go with --orderly",
            ),
            (assigned && !pull, "--assign needs --kind pull"),
            (
                assigned && self.broadcast,
                "--assign does not go with --broadcast",
            ),
            (
                assigned && self.topics.len() > 1,
                "--assign needs exactly one --topic",
            ),
            (
                assigned && self.allocate.is_some(),
                "--allocate does not go with --assign",
            ),
            (
                self.threads.is_some() && !push,
                "--threads needs --kind push",
            ),
            (
                self.allocate.is_some() && (simple || self.broadcast),
                "--allocate does not go with --kind simple and --broadcast",
            ),
            (
                self.broker_assignment && !push,
                "--broker-assignment needs --kind push",
            ),
            (
                simple && self.retry_level.is_some_and(|level| level > 0),
                "--retry-level with --kind simple: only 0 and -1",
            ),
            (
                simple && self.batch() > 32,
                "--batch is at most 32 with --kind simple",
            ),
            (
                self.retry_level.is_some() && pull,
                "--retry-level does not go with --kind pull",
            ),
            (
                self.max_reconsume.is_some() && pull,
                "--max-reconsume does not go with --kind pull",
            ),
            (
                self.retry_level.is_some() && self.broadcast && !self.orderly,
                "--retry-level does not go with --broadcast",
            ),
            (
                self.max_reconsume.is_some() && self.broadcast && !self.orderly,
                "--max-reconsume does not go with --broadcast",
            ),
            (
                self.invisible_ms.is_some() && !simple,
                "--invisible-ms needs --kind simple",
            ),
            (self.no_ack && !simple, "--no-ack needs --kind simple"),
            (self.no_commit && !pull, "--no-commit needs --kind pull"),
        ];
        match wrong.iter().chain(&self.missing()).find(|(is, _)| *is) {
            Some((_, text)) => Err((*text).to_owned()),
            None => Ok(()),
        }
    }

    /// What the library cannot do yet.
    fn missing(&self) -> [(bool, &'static str); 1] {
        [(
            self.broker_assignment,
            "--broker-assignment is not built yet",
        )]
    }

    pub fn filter(&self) -> Filter {
        match (&self.tags, &self.sql) {
            (_, Some(condition)) => Filter::sql(condition),
            (Some(tags), None) => Filter::tags(tags),
            (None, None) => Filter::all(),
        }
    }

    /// Where broadcasting keeps its offsets.
    pub fn offset_dir(&self) -> PathBuf {
        let usual = || env::temp_dir().join("rocketmq-consume");
        self.offset_dir.clone().unwrap_or_else(usual)
    }

    /// Whether broadcasting begins anew at the next start.
    pub fn forgets_offsets(&self) -> bool {
        self.broadcast && !self.client.has_instance_name()
    }

    /// The tags that are consumed, if only some are.
    pub fn tags(&self) -> Option<impl Iterator<Item = &str>> {
        let tags = self.tags.as_deref().filter(|tags| *tags != "*")?;
        Some(tags.split("||").map(str::trim))
    }

    pub fn threads(&self) -> usize {
        self.threads.unwrap_or(20).into()
    }

    /// The most messages that come at once.
    pub fn batch(&self) -> usize {
        let usual = if self.kind == Kind::Push { 1 } else { 32 };
        self.batch.unwrap_or(usual) as usize
    }

    pub fn allocation(&self) -> Allocation {
        match self.allocate {
            None | Some(Allocate::Averagely) => Allocation::averagely(),
            Some(Allocate::Circle) => Allocation::by_circle(),
            Some(Allocate::ConsistentHash) => Allocation::consistent_hash(),
        }
    }

    /// How many messages are to be handled well, if that is a reason to stop.
    pub fn count(&self) -> Option<u64> {
        let all_sent = self.ends_by_itself().then_some(own::MESSAGES);
        self.count.or(all_sent)
    }

    /// Whether nothing says when to stop, and the messages are those that this program sends to itself.
    fn ends_by_itself(&self) -> bool {
        let limits = [self.count.is_some(), self.seconds.is_some(), self.until_eof];
        let is_limited = limits.contains(&true) || self.idle_ms.is_some();
        self.client.has_own_cluster() && !is_limited
    }

    /// What becomes of a refused message.
    pub fn refused_is(&self) -> Outcome {
        match self.retry_level {
            Some(-1) => Outcome::Dead,
            _ => Outcome::Later,
        }
    }

    /// How a handler of push says that.
    pub fn retry(&self) -> Retry {
        match u32::try_from(self.retry_level.unwrap_or(0)) {
            Ok(level) => Retry::level(level),
            Err(_) => Retry::dead_letter(),
        }
    }

    pub fn idle(&self) -> Option<Duration> {
        // Not all of its own messages need be wanted.
        let all_handled = self.ends_by_itself().then_some(own::DONE_AFTER);
        self.idle_ms.map(Duration::from_millis).or(all_handled)
    }

    /// How long a received message is hidden from others.
    pub fn invisible(&self) -> Duration {
        Duration::from_millis(self.invisible_ms.unwrap_or(30_000))
    }

    pub fn work(&self) -> Duration {
        Duration::from_millis(self.work_ms)
    }
}

fn start_from(text: &str) -> Result<StartFrom, String> {
    let time = |ms| StartFrom::Time(UNIX_EPOCH + Duration::from_millis(ms));
    match text {
        "last" => Ok(StartFrom::Last),
        "first" => Ok(StartFrom::First),
        ms => match ms.parse() {
            Ok(ms) if ms <= i64::MAX as u64 => Ok(time(ms)),
            _ => Err("expected last, first, or epoch milliseconds".to_owned()),
        },
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let parsed = text.parse().ok();
    let time = parsed.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| "expected seconds, as in 2.5".to_owned())
}
