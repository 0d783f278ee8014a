use std::time::{Duration, Instant};

/// The one moment until which a call may wait, handed down to every wait of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// `timeout` from `now`; a timeout that no clock can hold means a century.
    pub(crate) fn after(now: Instant, timeout: Duration) -> Deadline {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        Deadline(now.checked_add(timeout.min(CENTURY)).unwrap_or(now))
    }

    pub(crate) fn instant(self) -> Instant {
        self.0
    }

    pub(crate) fn has_passed(self, now: Instant) -> bool {
        now >= self.0
    }

    /// What is left; zero if it has passed.
    pub(crate) fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// Of what is left, one of so many parts.
    pub(crate) fn share(self, now: Instant, parts: u32) -> Deadline {
        Deadline::after(now, self.remaining(now) / parts)
    }

    /// The earlier of this and `timeout` from `now`.
    pub(crate) fn capped(self, now: Instant, timeout: Duration) -> Deadline {
        self.min(Deadline::after(now, timeout))
    }
}
