//! The pending table: the pending requests of a connection. Pure: no clock, no socket, no lock of
//! its own.
//!
//! An answer is due *soon*, or the request may be *parked* at the peer (a long poll of up to 30 s).
//! A parked request has a deadline like any other, but the heuristics about expected answers ignore
//! it: [`Pending::soon`] does not count it.

use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::Instant;

/// Waiters by opaque id, or by another number that we generate. The code that removes an entry owns
/// the waiter, and only the owner answers it: so every waiter is answered exactly once.
pub(crate) struct Pending<S, K = i32> {
    entries: HashMap<K, Entry<S>, BuildHasherDefault<Opaque>>,
    /// The number of parked ones.
    parked: usize,
    /// The time of the next expiry pass. A pass requested earlier for a later time is obsolete: if
    /// each of those requested another one, passes would multiply.
    earliest: Option<Instant>,
}

/// A waiter, and the data of its request.
pub(crate) struct Entry<S> {
    pub(crate) slot: S,
    /// When it was registered.
    pub(crate) since: Instant,
    pub(crate) deadline: Instant,
    /// [`end`](Entry::end) and [`is_parked`](Entry::is_parked) in one number: there may be many
    /// thousands of entries.
    end_and_parked: u64,
}

impl<S> Entry<S> {
    /// `end`: position in the connection's stream behind the request's frame; 0 if there is none.
    /// `parked`: whether the peer may park the answer.
    pub(crate) fn new(
        slot: S,
        since: Instant,
        deadline: Instant,
        end: u64,
        parked: bool,
    ) -> Entry<S> {
        Entry {
            slot,
            since,
            deadline,
            end_and_parked: end << 1 | u64::from(parked),
        }
    }

    /// Position in the connection's stream behind the request's frame.
    pub(crate) fn end(&self) -> u64 {
        self.end_and_parked >> 1
    }

    /// Whether the peer may park the answer.
    pub(crate) fn is_parked(&self) -> bool {
        self.end_and_parked & 1 == 1
    }
}

impl<S, K: Copy + Eq + Hash> Pending<S, K> {
    pub(crate) fn new() -> Pending<S, K> {
        Pending {
            entries: HashMap::default(),
            parked: 0,
            earliest: None,
        }
    }

    /// Adds a waiter under this id, or gives it back if the id is in use: one that is in flight must
    /// never be given out again. Returns its deadline if the table must now be looked at earlier than
    /// before: [`expired`](Pending::expired) must be called then.
    pub(crate) fn register(
        &mut self,
        opaque: K,
        entry: Entry<S>,
    ) -> Result<Option<Instant>, Entry<S>> {
        let (deadline, parked) = (entry.deadline, entry.is_parked());
        match self.entries.entry(opaque) {
            Occupied(_) => return Err(entry),
            Vacant(place) => drop(place.insert(entry)),
        }
        self.parked += usize::from(parked);
        let is_first = self.earliest.is_none_or(|earliest| deadline < earliest);
        if is_first {
            self.earliest = Some(deadline);
        }
        Ok(is_first.then_some(deadline))
    }

    /// Removes the waiter of a response; `None` if this id has no waiter (any more).
    pub(crate) fn complete(&mut self, opaque: K) -> Option<Entry<S>> {
        let entry = self.entries.remove(&opaque)?;
        self.parked -= usize::from(entry.is_parked());
        Some(entry)
    }

    pub(crate) fn get(&self, opaque: K) -> Option<&Entry<S>> {
        self.entries.get(&opaque)
    }

    /// The ids whose deadline has passed. They stay in the table: the caller decides for each
    /// whether to remove it. Also returns the time of the next pass. `look` is the requested time
    /// of this pass.
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

    /// The ids of some waiters, which stay in the table.
    pub(crate) fn ids(&self, pick: impl Fn(&S) -> bool) -> Vec<K> {
        let picked = self.entries.iter().filter(|(_, entry)| pick(&entry.slot));
        picked.map(|(id, _)| *id).collect()
    }

    /// Takes all waiters.
    pub(crate) fn drain(&mut self) -> impl ExactSizeIterator<Item = Entry<S>> + use<S, K> {
        (self.earliest, self.parked) = (None, 0);
        std::mem::take(&mut self.entries).into_values()
    }

    /// The number of answers that are due soon.
    pub(crate) fn soon(&self) -> usize {
        self.entries.len() - self.parked
    }

    /// The number of parked requests.
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
        Entry::new(slot, deadline, deadline, 0, false)
    }

    #[test]
    fn parked_requests_are_counted_apart_wherever_they_go() {
        let now = Instant::now();
        let parked = |slot| Entry::new(slot, now, now, u64::MAX >> 1, true);
        let counts = |table: &Pending<&str>| (table.soon(), table.parked());
        let mut table = Pending::new();
        let _ = table.register(1, entry("soon", now));
        assert_eq!(counts(&table), (1, 0));
        let _ = table.register(2, parked("parked"));
        let _ = table.register(3, parked("parked too"));
        assert_eq!(counts(&table), (1, 2));
        assert!(table.complete(4).is_none());
        let taken = table.complete(2).expect("it is there");
        assert_eq!((taken.is_parked(), taken.end()), (true, u64::MAX >> 1));
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
        let register = |table: &mut Pending<_>| table.register(7, entry("a", now)).ok();
        assert_eq!(register(&mut table), Some(Some(now)));
        assert_eq!(register(&mut table), None, "in use");
        assert_eq!(table.complete(7).map(|e| e.slot), Some("a"));
        assert!(table.complete(7).is_none());
        assert!(table.complete(8).is_none());
        assert_eq!(register(&mut table), Some(None));
    }

    #[test]
    fn only_an_earlier_deadline_causes_an_earlier_expiry_pass() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let mut table = Pending::new();
        let register = |table: &mut Pending<_>, opaque, ms| {
            let registered = table.register(opaque, entry("x", at(ms)));
            registered.ok()
        };
        assert_eq!(register(&mut table, 1, 30), Some(Some(at(30))));
        assert_eq!(register(&mut table, 2, 40), Some(None));
        assert_eq!(register(&mut table, 3, 20), Some(Some(at(20))));
        let (mut expired, next) = table.expired(at(20), at(30));
        expired.sort();
        assert_eq!((expired, next), (vec![1, 3], Some(at(40))));
        let stale = table.expired(at(30), at(60));
        assert_eq!(
            stale,
            (vec![], None),
            "the pass at 30 was replaced by the one at 20"
        );
        assert_eq!(register(&mut table, 4, 50), Some(None));
        assert_eq!(table.drain().len(), 4);
        assert_eq!(register(&mut table, 5, 60), Some(Some(at(60))));
    }
}
