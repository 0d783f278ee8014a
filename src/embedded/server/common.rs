//! State that all servers of a cluster share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::request_log::RequestLog;
use crate::embedded::clock::Clock;

/// The most requests of a cluster that may wait for a later answer. Further ones are refused with
/// SYSTEM_BUSY.
pub(in crate::embedded) const MAX_HELD: usize = 100_000;
/// The most bytes of their bodies together.
const MAX_HELD_BYTES: usize = 256 << 20;

pub(in crate::embedded) struct Common {
    pub(in crate::embedded) log: RequestLog,
    /// The answers of clients to the servers' requests.
    pub(in crate::embedded) answers: RequestLog,
    pub(super) answer_json_always: bool,
    /// What answers say of the server's version.
    pub(super) version: i32,
    pub(super) clock: Arc<Clock>,
    connection_ids: AtomicU64,
    held: AtomicUsize,
    held_bytes: AtomicUsize,
}

/// The place of one held request within the limits.
pub(in crate::embedded) struct HeldPermit {
    common: Arc<Common>,
    bytes: usize,
}

impl Common {
    pub(in crate::embedded) fn new(
        record_requests: bool,
        answer_json_always: bool,
        version: i32,
        clock: Arc<Clock>,
    ) -> Common {
        Common {
            log: RequestLog::new(record_requests),
            answers: RequestLog::new(record_requests),
            answer_json_always,
            version,
            clock,
            connection_ids: AtomicU64::new(0),
            held: AtomicUsize::new(0),
            held_bytes: AtomicUsize::new(0),
        }
    }

    pub(super) fn next_connection(&self) -> u64 {
        self.connection_ids.fetch_add(1, Ordering::Relaxed)
    }

    /// The number of requests that wait for a later answer.
    #[cfg(test)]
    pub(in crate::embedded) fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }

    /// `None` if as many requests are held as may be.
    pub(in crate::embedded) fn hold(self: &Arc<Common>, bytes: usize) -> Option<HeldPermit> {
        let held = self.held.fetch_add(1, Ordering::AcqRel);
        let held_bytes = self.held_bytes.fetch_add(bytes, Ordering::AcqRel);
        // Dropping the permit returns the excess.
        let permit = HeldPermit {
            common: Arc::clone(self),
            bytes,
        };
        (held < MAX_HELD && held_bytes + bytes <= MAX_HELD_BYTES).then_some(permit)
    }
}

impl Drop for HeldPermit {
    fn drop(&mut self) {
        self.common.held.fetch_sub(1, Ordering::AcqRel);
        self.common
            .held_bytes
            .fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_bytes_are_bounded_and_given_back() {
        let common = Arc::new(Common::new(false, false, 493, Clock::new(true)));
        let mut held: Vec<_> = (0..MAX_HELD).filter_map(|_| common.hold(1)).collect();
        assert_eq!(held.len(), MAX_HELD);
        assert!(common.hold(0).is_none());
        held.pop();
        held.push(common.hold(MAX_HELD_BYTES - MAX_HELD + 1).unwrap());
        held.truncate(MAX_HELD - 2);
        assert!(common.hold(MAX_HELD_BYTES).is_none());
        assert_eq!(common.held(), MAX_HELD - 2);
        drop(held);
        assert!(common.hold(MAX_HELD_BYTES).is_some());
        assert!(common.hold(MAX_HELD_BYTES + 1).is_none());
        assert_eq!(common.held(), 0);
    }
}
