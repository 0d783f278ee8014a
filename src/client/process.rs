use std::cell::Cell;
use std::process;
use std::time::{Duration, Instant};

/// The process that a client belongs to.
///
/// A fork has the client's sockets but none of its threads: what it wrote would land in the middle of
/// what the parent writes, and what it shut down would be shut down for the parent. So it is refused:
/// always where that is free, which is everything but a send, and by sends as soon as their thread looks.
pub(crate) struct Process(u32);

thread_local! {
    /// Which process this was found to be, and when.
    static LOOKED: Cell<Option<(u32, Instant)>> = const { Cell::new(None) };
}

/// How often the sends of a thread look: the system call is free at this rate.
const EVERY: Duration = Duration::from_millis(100);

impl Process {
    pub(crate) fn current() -> Process {
        Process(process::id())
    }

    /// Whether the current process is a fork of it. A system call.
    pub(crate) fn is_forked(&self) -> bool {
        process::id() != self.0
    }

    /// The same for every send: what this thread saw less than a tenth of a second ago still counts.
    pub(crate) fn is_forked_at(&self, now: Instant) -> bool {
        let looked = LOOKED.get();
        let looked = looked.filter(|(_, at)| now.saturating_duration_since(*at) < EVERY);
        let (here, _) = looked.unwrap_or_else(|| {
            let looked = (process::id(), now);
            LOOKED.set(Some(looked));
            looked
        });
        // What was seen just before the fork says too little about a client of the fork's own.
        here != self.0 && self.is_forked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a fork, clients of its own stand beside those of its parent.
    #[test]
    fn a_look_for_one_client_says_nothing_of_another_process_client() {
        let (own, parents) = (Process::current(), Process(process::id() + 1));
        let now = Instant::now();
        for _ in 0..2 {
            assert!(!own.is_forked_at(now));
            assert!(parents.is_forked_at(now));
        }
        // As a look of the parent's, of just before the fork.
        LOOKED.set(Some((parents.0, now)));
        assert!(!own.is_forked_at(now));
    }

    /// A thread that has not sent for a while, as the one that makes worker processes, looks.
    #[test]
    fn a_thread_looks_again_after_a_tenth_of_a_second() {
        let parents = Process(process::id() + 1);
        let now = Instant::now();
        LOOKED.set(Some((parents.0, now)));
        assert!(!parents.is_forked_at(now + EVERY / 2));
        assert!(parents.is_forked_at(now + EVERY));
    }
}
