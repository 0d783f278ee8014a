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
    /// Which process this was found to be, and when.
    static LOOKED: Cell<Option<(u32, Instant)>> = const { Cell::new(None) };
}

/// In bursts, where the system call would cost a good part of a message, it is made this often.
const EVERY: Duration = Duration::from_millis(1);

impl Process {
    pub(crate) fn current() -> Process {
        Process(process::id())
    }

    /// Whether the current process is a fork of it.
    pub(crate) fn is_forked(&self) -> bool {
        process::id() != self.0
    }

    /// The same for what is done often: a look of a moment ago counts as one.
    pub(crate) fn is_forked_by(&self, now: Instant) -> bool {
        let looked = LOOKED.get();
        let looked = looked.filter(|(_, at)| now.saturating_duration_since(*at) < EVERY);
        let (here, _) = looked.unwrap_or_else(|| {
            let looked = (process::id(), now);
            LOOKED.set(Some(looked));
            looked
        });
        // A look of just before the fork says too little about a client of the fork's own.
        here != self.0 && self.is_forked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a fork, clients of its own stand beside those that it was given.
    #[test]
    fn a_look_for_one_client_says_nothing_of_another_process_client() {
        let (own, parents) = (Process::current(), Process(process::id() + 1));
        let now = Instant::now();
        for _ in 0..2 {
            assert!(!own.is_forked_by(now));
            assert!(parents.is_forked_by(now));
        }
        // As a look of the parent's, of just before the fork.
        LOOKED.set(Some((parents.0, now)));
        assert!(!own.is_forked_by(now));
    }
}
