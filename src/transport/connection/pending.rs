//! The table of requests that wait for an answer. Pure: no clock, no socket, no lock of its own.
//!
//! An answer is due *soon*, or it may be *parked* at the peer (a long poll, for 30 s, say). Parked
//! requests have their deadlines like all others, but nothing that reasons about answers to come
//! counts them: [`Pending::soon`] does not.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::Instant;

/// Waiters by opaque id, or by another number of our own making. Whoever removes an entry owns the
/// waiter, and only the owner answers it: that is why every waiter is answered exactly once.
pub(crate) struct Pending<S, K = i32> {
    entries: HashMap<K, Entry<S>, BuildHasherDefault<Opaque>>,
    /// How many of them are parked.
    parked: usize,
    /// When the table must next be looked at. A look that was asked for a later time before is out
    /// of date: if each of them asked for a next one too, they would become more and more.
    earliest: Option<Instant>,
}

/// A waiter and what is known about its request.
pub(crate) struct Entry<S> {
    pub(crate) slot: S,
    /// When it was registered.
    pub(crate) since: Instant,
    pub(crate) deadline: Instant,
    /// Position in the connection's stream behind the request's frame; 0 where there is none.
    pub(crate) end: u64,
    /// Whether the peer may park the answer.
    pub(crate) parked: bool,
}

impl<S, K: Copy + Eq + Hash> Pending<S, K> {
    pub(crate) fn new() -> Pending<S, K> {
        Pending {
            entries: HashMap::default(),
            parked: 0,
            earliest: None,
        }
    }

    /// Whether an id is free: one that is in flight must never be given out again.
    pub(crate) fn is_free(&self, opaque: K) -> bool {
        !self.entries.contains_key(&opaque)
    }

    /// Adds a waiter under a free id. Returns its deadline if the table must now be looked at
    /// earlier than before.
    #[must_use = "somebody must call expire at the returned time"]
    pub(crate) fn register(&mut self, opaque: K, entry: Entry<S>) -> Option<Instant> {
        let deadline = entry.deadline;
        self.parked += usize::from(entry.parked);
        let replaced = self.entries.insert(opaque, entry);
        debug_assert!(replaced.is_none(), "opaque id used twice");
        if self.earliest.is_none_or(|earliest| deadline < earliest) {
            self.earliest = Some(deadline);
            return Some(deadline);
        }
        None
    }

    /// Takes the waiter of a response; `None` if nobody waits under this id (any more).
    pub(crate) fn complete(&mut self, opaque: K) -> Option<Entry<S>> {
        let entry = self.entries.remove(&opaque)?;
        self.parked -= usize::from(entry.parked);
        Some(entry)
    }

    pub(crate) fn get(&self, opaque: K) -> Option<&Entry<S>> {
        self.entries.get(&opaque)
    }

    /// The ids whose deadline has passed. They stay in the table: the caller decides for each
    /// whether to take it. Also says when to look again. `look` is the time for which this look was
    /// asked for.
    pub(crate) fn expired(&mut self, look: Instant, now: Instant) -> (Vec<K>, Option<Instant>) {
        if self.earliest != Some(look) {
            return (Vec::new(), None);
        }
        let mut expired = Vec::new();
        let mut next: Option<Instant> = None;
        for (opaque, entry) in &self.entries {
            if entry.deadline <= now {
                expired.push(*opaque);
            } else if next.is_none_or(|next| entry.deadline < next) {
                next = Some(entry.deadline);
            }
        }
        self.earliest = next;
        (expired, next)
    }

    /// The ids of some waiters, who stay in the table.
    pub(crate) fn ids(&self, pick: impl Fn(&S) -> bool) -> Vec<K> {
        let picked = self.entries.iter().filter(|(_, entry)| pick(&entry.slot));
        picked.map(|(id, _)| *id).collect()
    }

    /// Takes all waiters.
    pub(crate) fn drain(&mut self) -> impl ExactSizeIterator<Item = Entry<S>> + use<S, K> {
        (self.earliest, self.parked) = (None, 0);
        std::mem::take(&mut self.entries).into_values()
    }

    /// How many answers are due soon.
    pub(crate) fn soon(&self) -> usize {
        self.entries.len() - self.parked
    }

    /// How many may be parked at the peer.
    pub(crate) fn parked(&self) -> usize {
        self.parked
    }
}

/// Spreads ids that are given out in sequence. Peers cannot choose them, so that nothing needs to
/// be hidden from them.
#[derive(Default)]
pub(crate) struct Opaque(u64);

impl Hasher for Opaque {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_i32(i32::from(*byte));
        }
    }

    fn write_i32(&mut self, value: i32) {
        self.0 = (self.0 ^ u64::from(value as u32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(slot: &'static str, deadline: Instant) -> Entry<&'static str> {
        Entry {
            slot,
            since: deadline,
            deadline,
            end: 0,
            parked: false,
        }
    }

    #[test]
    fn parked_requests_are_counted_apart_wherever_they_go() {
        let now = Instant::now();
        let parked = |slot| Entry {
            parked: true,
            ..entry(slot, now)
        };
        let counts = |table: &Pending<&str>| (table.soon(), table.parked());
        let mut table = Pending::new();
        let _ = table.register(1, entry("soon", now));
        assert_eq!(counts(&table), (1, 0));
        let _ = table.register(2, parked("parked"));
        let _ = table.register(3, parked("parked too"));
        assert_eq!(counts(&table), (1, 2));
        assert!(table.complete(4).is_none());
        assert!(table.complete(2).is_some_and(|entry| entry.parked));
        assert!(table.complete(2).is_none(), "taken once");
        assert_eq!(counts(&table), (1, 1));
        let mut expired = table.expired(now, now).0;
        expired.sort();
        assert_eq!(expired, [1, 3], "both have deadlines");
        assert!(table.complete(1).is_some());
        assert_eq!(counts(&table), (0, 1));
        assert_eq!(table.drain().len(), 1);
        assert_eq!(counts(&table), (0, 0));
    }

    #[test]
    fn a_waiter_is_taken_once() {
        let now = Instant::now();
        let mut table = Pending::new();
        assert_eq!(table.register(7, entry("a", now)), Some(now));
        assert!(!table.is_free(7));
        assert_eq!(table.complete(7).map(|e| e.slot), Some("a"));
        assert!(table.complete(7).is_none());
        assert!(table.complete(8).is_none());
        assert!(table.is_free(7));
    }

    #[test]
    fn only_an_earlier_deadline_asks_for_an_earlier_look() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let mut table = Pending::new();
        assert_eq!(table.register(1, entry("a", at(30))), Some(at(30)));
        assert_eq!(table.register(2, entry("b", at(40))), None);
        assert_eq!(table.register(3, entry("c", at(20))), Some(at(20)));
        let (mut expired, next) = table.expired(at(20), at(30));
        expired.sort();
        assert_eq!((expired, next), (vec![1, 3], Some(at(40))));
        let stale = table.expired(at(30), at(60));
        assert_eq!(
            stale,
            (vec![], None),
            "the look for 30 was replaced by that for 20"
        );
        assert_eq!(table.register(4, entry("d", at(50))), None);
        assert_eq!(table.drain().len(), 4);
        assert_eq!(table.register(5, entry("e", at(60))), Some(at(60)));
    }
}
