use std::fmt;

use crate::message::MessageQueue;

/// What a consumer's bounded shutdown achieved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Messages that were with handlers when the time was up: each queue with the offset of the
    /// message. Their results do not count any more; another member gets them again.
    pub running: Vec<(MessageQueue, u64)>,
    /// Progress that no broker confirmed: each queue with the offset that should have been
    /// committed. What lies before it may be consumed again.
    pub uncommitted: Vec<(MessageQueue, u64)>,
    /// Names of threads that had not ended when the time was up, mostly handlers stuck in user
    /// code. They are left to end by themselves.
    pub stuck_threads: Vec<String>,
    /// The shutdown was begun by a handler, which it cannot wait for: it goes on in the background,
    /// and this report is not its last word.
    pub goes_on: bool,
}

impl ShutdownReport {
    /// Whether all handlers ended, all progress was confirmed, and every thread ended.
    pub fn is_clean(&self) -> bool {
        self.running.is_empty() && self.uncommitted.is_empty() && self.stuck_threads.is_empty()
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.goes_on {
            return f.write_str("the shutdown goes on in the background");
        }
        if self.is_clean() {
            return f.write_str("clean shutdown");
        }
        f.write_str("shutdown left ")?;
        let mut list = |what: &str, queues: &[(MessageQueue, u64)]| {
            let shown: Vec<_> = queues.iter().map(|(q, o)| format!("{q} at {o}")).collect();
            write!(f, "{} {what} ({}), ", queues.len(), shown.join(", "))
        };
        if !self.running.is_empty() {
            list("messages with handlers", &self.running)?;
        }
        if !self.uncommitted.is_empty() {
            list("queues uncommitted", &self.uncommitted)?;
        }
        write!(f, "{} threads running", self.stuck_threads.len())?;
        if !self.stuck_threads.is_empty() {
            write!(f, " ({})", self.stuck_threads.join(", "))?;
        }
        Ok(())
    }
}
