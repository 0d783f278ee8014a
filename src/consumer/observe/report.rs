use std::fmt;

use crate::message::MessageQueue;

/// The result of a consumer's bounded shutdown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Messages that handlers still had at the deadline: each queue with the offset of the message. Their
    /// results do not count any more; another member gets these messages again.
    pub running: Vec<(MessageQueue, u64)>,
    /// Progress that no broker confirmed: each queue with the offset that should have been
    /// committed. Messages before it may be consumed again. Of popped messages: the place of each one whose
    /// acknowledgement no broker confirmed.
    pub uncommitted: Vec<(MessageQueue, u64)>,
    /// Names of threads that had not ended at the deadline, mostly handlers stuck in user code. They end
    /// by themselves later.
    pub stuck_threads: Vec<String>,
    /// A handler called the shutdown, which cannot wait for that handler: it goes on in the background,
    /// and this report is not final.
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
