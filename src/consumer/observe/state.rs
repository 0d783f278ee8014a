//! The state of a consumer at one moment.

use std::fmt;
use std::time::Duration;

use crate::message::MessageQueue;

/// The state of a consumer at one moment. Its `Display` is for a log or a status page: one line for the
/// consumer, and one for each queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerState {
    /// The group, without its namespace.
    pub group: String,
    /// The id under which brokers know this member.
    pub client_id: String,
    /// The number of members of the group, by the brokers' last answers; `None` if it is in doubt. Simple
    /// consumers do not ask for it.
    pub members: Option<usize>,
    /// Bytes of messages that are held.
    pub held_bytes: u64,
    /// The queues of this member, sorted. Those of a simple consumer are its topics on each broker, with the
    /// number -1.
    pub queues: Vec<QueueState>,
}

/// One queue of a consumer at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueState {
    /// The queue.
    pub queue: MessageQueue,
    /// What it does.
    pub doing: Doing,
    /// For how long.
    pub since: Duration,
    /// Its messages are popped: it has no offsets (0 or `None` below).
    pub is_popped: bool,
    /// The lowest offset that is not consumed. This offset is committed.
    pub low_water: u64,
    /// The offset that is fetched next.
    pub next: u64,
    /// The last offset that a broker confirmed as committed.
    pub committed: Option<u64>,
    /// The end of the queue, from the broker's last answer.
    pub end: Option<u64>,
    /// Messages that are held, finished ones behind an unfinished one included.
    pub held: usize,
    /// Messages that handlers have, or the program that polled or received them.
    pub running: usize,
    /// When an answer to a request for messages last came.
    pub last_fetch: Option<Duration>,
    /// Why the last request for messages failed; `None` if it succeeded.
    pub last_error: Option<String>,
}

/// The activity of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// It waits for the lock of the queue, which another member has.
    WaitingForLock,
    /// It asks where to start.
    Starting,
    /// It asks for messages.
    Fetching,
    /// It holds as many messages as it may.
    Full,
    /// It waits until messages of other queues are consumed.
    WaitingForBytes,
    /// It is paused.
    Paused,
    /// It waits before it asks again.
    BackingOff,
    /// No thread receives (simple consumers).
    Idle,
    /// It stopped because its offset does not exist, and waits for a seek or a reset.
    Stopped,
    /// It is given up: handlers end, and the progress is committed.
    GivingUp,
}

impl QueueState {
    /// Messages that are not consumed, as far as is known.
    pub fn lag(&self) -> Option<u64> {
        Some(self.end?.saturating_sub(self.low_water))
    }
}

impl fmt::Display for ConsumerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "consumer {} ({}): ", self.group, self.client_id)?;
        match self.members {
            Some(members) => write!(f, "{members} members, ")?,
            None => f.write_str("members not known, ")?,
        }
        write!(
            f,
            "{} queues, {} bytes held",
            self.queues.len(),
            self.held_bytes
        )?;
        self.queues
            .iter()
            .try_for_each(|queue| write!(f, "\n  {queue}"))
    }
}

impl fmt::Display for QueueState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queue, doing) = (&self.queue, &self.doing);
        write!(f, "{queue}: {doing} for {:.1?}, ", self.since)?;
        match (self.is_popped, self.end) {
            (true, _) => f.write_str("popped, ")?,
            (false, Some(end)) => write!(f, "consumed to {} of {end}, ", self.low_water)?,
            (false, None) => write!(f, "consumed to {}, ", self.low_water)?,
        }
        write!(f, "{} held, {} in handlers", self.held, self.running)?;
        match self.committed {
            Some(offset) => write!(f, ", committed {offset}")?,
            None if self.is_popped => {}
            None => f.write_str(", nothing committed")?,
        }
        match &self.last_error {
            Some(error) => write!(f, ", last error: {error}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doing::WaitingForLock => "waits for its lock",
            Doing::Starting => "asks where to start",
            Doing::Fetching => "fetching",
            Doing::Full => "full",
            Doing::WaitingForBytes => "waits for bytes",
            Doing::Paused => "paused",
            Doing::BackingOff => "backing off",
            Doing::Idle => "idle",
            Doing::Stopped => "stopped",
            Doing::GivingUp => "given up",
        })
    }
}
