//! What the peer of a connection knows of this client's members.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The version of the last heartbeat that the peer has confirmed, and of the one on its way. Versions
/// begin with 1.
///
/// A peer may forget what it has confirmed, and says so in answers to other requests, to many of them at
/// a time. Each of these remembers the [`Confirmation`] that it relied on, and only the first one counts.
#[derive(Default)]
pub(crate) struct Registration {
    /// 0 before the first, and when the peer has forgotten it.
    confirmed: AtomicU64,
    /// How often it was confirmed.
    times: AtomicU64,
    /// The version of the heartbeat on its way, else 0.
    on_its_way: AtomicU64,
    /// Whether any heartbeat was sent.
    told: AtomicBool,
    /// Heartbeats that failed since the last one that was confirmed.
    failures: AtomicU32,
}

/// What a request relied on that needs the peer to know a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confirmation(u64);

impl Registration {
    pub(crate) fn confirmed(&self) -> u64 {
        self.confirmed.load(Ordering::Relaxed)
    }

    pub(crate) fn confirmation(&self) -> Confirmation {
        Confirmation(self.times.load(Ordering::Acquire))
    }

    /// The peer has confirmed a heartbeat; returns the version of the last one before.
    pub(crate) fn note_confirmed(&self, version: u64) -> u64 {
        let before = self.confirmed.fetch_max(version, Ordering::Relaxed);
        self.times.fetch_add(1, Ordering::Release);
        self.failures.store(0, Ordering::Relaxed);
        before
    }

    /// A heartbeat has failed; returns how many have in a row.
    pub(crate) fn note_failed(&self) -> u32 {
        self.failures.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The peer does not know what it had confirmed. Says whether it has to be told again: not if that
    /// was found out before, or it has confirmed another heartbeat since.
    pub(crate) fn note_forgotten(&self, relied_on: Confirmation) -> bool {
        self.confirmation() == relied_on && self.confirmed.swap(0, Ordering::Relaxed) != 0
    }

    /// A heartbeat of this version is about to leave.
    pub(crate) fn begin(&self, version: u64) {
        self.on_its_way.fetch_max(version, Ordering::Relaxed);
        self.told.store(true, Ordering::Relaxed);
    }

    /// It was answered, or lost.
    pub(crate) fn end(&self, version: u64) {
        // A later one may be on its way too.
        let (relaxed, on_its_way) = (Ordering::Relaxed, &self.on_its_way);
        let _ = on_its_way.compare_exchange(version, 0, relaxed, relaxed);
    }

    /// Whether the peer has to be told, so that it knows what has this version: it has not confirmed
    /// that, or the last heartbeat failed; and none is on its way.
    pub(crate) fn needs(&self, version: u64) -> bool {
        let failed = self.failures.load(Ordering::Relaxed) > 0;
        let is_open = failed || self.confirmed() < version;
        is_open && self.on_its_way.load(Ordering::Relaxed) < version
    }

    /// Whether the peer was ever sent a heartbeat.
    pub(crate) fn was_told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_answers_that_a_peer_has_forgotten_us_one_counts() {
        let peer = Registration::default();
        peer.begin(3);
        assert!(!peer.needs(3) && peer.needs(4));
        assert_eq!(peer.note_confirmed(3), 0);
        peer.end(3);
        assert_eq!((peer.confirmed(), peer.needs(3)), (3, false));
        let relied_on = peer.confirmation();
        assert!(peer.note_forgotten(relied_on) && peer.needs(3));
        assert!(!peer.note_forgotten(relied_on), "known");
        assert_eq!(peer.note_confirmed(3), 0, "the same as before");
        assert!(!peer.note_forgotten(relied_on), "told since");
        assert!(peer.note_forgotten(peer.confirmation()));
    }

    #[test]
    fn a_heartbeat_that_is_lost_is_needed_again_unless_a_later_one_is_on_its_way() {
        let peer = Registration::default();
        assert!(!peer.was_told());
        peer.begin(1);
        peer.begin(2);
        peer.end(1);
        assert!(!peer.needs(2));
        peer.end(2);
        assert!(peer.needs(1) && peer.was_told());
    }

    #[test]
    fn a_peer_that_knows_us_is_told_again_once_a_heartbeat_has_failed() {
        let peer = Registration::default();
        peer.note_confirmed(1);
        assert!(!peer.needs(1));
        assert_eq!((peer.note_failed(), peer.note_failed()), (1, 2));
        assert!(peer.needs(1));
        peer.begin(1);
        assert!(!peer.needs(1));
        peer.end(1);
        peer.note_confirmed(1);
        assert!(!peer.needs(1));
        assert_eq!(peer.note_failed(), 1);
    }
}
