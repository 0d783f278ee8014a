//! What members, senders and the observer of a run write down.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use rocketmq_blocking::MessageQueue;
use serde::{Deserialize, Serialize};

/// Microseconds since the epoch: all processes of a run are on one machine.
pub type Micros = i64;

pub fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock").as_micros() as Micros
}

pub const SECOND: Micros = 1_000_000;

/// A queue of a broker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Queue {
    pub topic: String,
    pub broker: String,
    pub id: i32,
}

/// Where a message is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    pub queue: Queue,
    pub offset: i64,
}

/// What a handler said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Done,
    Later,
    Dead,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub at: Micros,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// A send was confirmed.
    Stored {
        key: u64,
        place: Place,
    },
    Joined {
        member: String,
    },
    /// Ended as asked. What the shutdown reported, if it was not clean.
    Left {
        member: String,
        left_over: Option<String>,
    },
    Killed {
        member: String,
    },
    /// All queues of a member from now on.
    Assigned {
        member: String,
        queues: Vec<Queue>,
    },
    /// Given up with messages in handlers, or without a confirmed commit.
    Lost {
        member: String,
        queue: Queue,
    },
    /// Other events, for people.
    Event {
        member: String,
        text: String,
    },
    /// A handler has a message.
    Enter(Enter),
    /// It is done with it.
    Outcome {
        enter: Enter,
        outcome: Outcome,
    },
    /// A broker confirmed an offset that was sent to it at this time.
    Commit {
        member: String,
        queue: Queue,
        offset: i64,
        sent: Micros,
    },
    BrokerKilled {
        broker: String,
    },
    BrokerBack {
        broker: String,
    },
    /// The offset of the group that a broker has.
    Offset {
        queue: Queue,
        offset: i64,
    },
}

/// A message in the hand of a handler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enter {
    pub member: String,
    pub place: Place,
    pub key: u64,
    /// How often it was refused before.
    pub attempt: i32,
    /// Whether the consumer said that the group may have had it before.
    pub repeated: bool,
}

/// Keeps the records of a run in a file, for people.
pub fn keep(name: &str, records: &[Record]) {
    let path = format!("{}/{name}.jsonl", env!("CARGO_TARGET_TMPDIR"));
    let lines = records
        .iter()
        .map(|record| serde_json::to_string(record).expect("JSON"));
    let lines: Vec<String> = lines.collect();
    std::fs::write(&path, lines.join("\n")).expect("a file");
    println!("the records are in {path}");
}

impl Queue {
    pub fn of(queue: &MessageQueue) -> Queue {
        Queue {
            topic: queue.topic().to_owned(),
            broker: queue.broker().to_owned(),
            id: queue.id(),
        }
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.topic, self.broker, self.id)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.queue, self.offset)
    }
}
