use std::fmt;

/// The report of a bounded shutdown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Sends that were still in flight when the time was up; their callers got an error.
    pub unanswered: usize,
    /// Oneway messages that had been accepted and could not be written.
    pub lost_oneway: u64,
    /// Names of threads that had not ended in time, mostly callbacks stuck in user code. They are
    /// detached.
    pub stuck_threads: Vec<String>,
}

impl ShutdownReport {
    /// Whether everything was answered and every thread ended.
    pub fn is_clean(&self) -> bool {
        self.unanswered == 0 && self.lost_oneway == 0 && self.stuck_threads.is_empty()
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("clean shutdown");
        }
        write!(
            f,
            "shutdown left {} sends unanswered, lost {} oneway messages, and left {} threads running",
            self.unanswered,
            self.lost_oneway,
            self.stuck_threads.len()
        )?;
        if !self.stuck_threads.is_empty() {
            write!(f, " ({})", self.stuck_threads.join(", "))?;
        }
        Ok(())
    }
}
