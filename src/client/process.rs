use std::cell::Cell;
use std::process;
use std::time::{Duration, Instant};

/// The process that a client belongs to.
///
/// A fork has none of the client's threads, but its sockets: what it wrote would land in the middle of
/// what the parent writes, and what it shut down would be shut down for the parent. So nothing is
/// sent or closed there, and this is looked at before any lock is touched, which a thread may have
/// held that the fork does not have.
pub(crate) struct Process(u32);

thread_local! {
    static LOOKED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// In bursts, where the system call would cost a good part of a message, it is made this often.
const EVERY: Duration = Duration::from_millis(1);

impl Process {
    pub(crate) fn current() -> Process {
        Process(process::id())
    }

    /// Whether the current process is a fork of it.
    pub(crate) fn is_forked(&self) -> bool {
        let forked = process::id() != self.0;
        if forked {
            LOOKED.set(None);
        }
        forked
    }

    /// The same for what is done often: a look of a moment ago counts as one.
    pub(crate) fn is_forked_by(&self, now: Instant) -> bool {
        let looked = LOOKED.get();
        if looked.is_some_and(|looked| now.saturating_duration_since(looked) < EVERY) {
            return false;
        }
        let forked = self.is_forked();
        if !forked {
            LOOKED.set(Some(now));
        }
        forked
    }
}
