use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use super::{Deadline, Promise, catch_bug};
use crate::sync::Mutex;

/// Single flight: one lookup per key at a time, whose result goes to all callers that need it at
/// the time.
///
/// The first caller leads: it does the work, on its own thread or another one, and finishes with
/// the result. The others follow, each until its own deadline or with a continuation. A lead that
/// is dropped unfinished (its thread panicked, or could not be started) leaves its followers with
/// `None`.
pub(crate) struct SingleFlight<K, V>(Arc<Mutex<HashMap<K, Arc<Flight<V>>>>>);

/// The role of a caller.
pub(crate) enum Role<K: Eq + Hash, V: Clone> {
    /// Does the work.
    Lead(Lead<K, V>),
    /// Waits for it.
    Follow(Arc<Flight<V>>),
}

/// A lookup in flight.
pub(crate) struct Flight<V> {
    begun: Instant,
    result: Promise<Option<V>>,
    /// Those that go on without a thread, until the result is there.
    followers: Mutex<Vec<Continuation<V>>>,
}

type Continuation<V> = Box<dyn FnOnce(Option<V>) + Send>;

/// The right and the duty to finish a lookup.
pub(crate) struct Lead<K: Eq + Hash, V: Clone> {
    flights: SingleFlight<K, V>,
    /// `None` once it has finished.
    key: Option<K>,
    flight: Arc<Flight<V>>,
}

impl<K: Eq + Hash + Clone, V: Clone> SingleFlight<K, V> {
    /// Begins a lookup, or joins the one in flight. A leader checks again whether it is needed:
    /// another one may have just finished.
    pub(crate) fn join(&self, key: &K) -> Role<K, V> {
        let mut flights = self.0.lock();
        if let Some(flight) = flights.get(key) {
            return Role::Follow(flight.clone());
        }
        let flight = Arc::new(Flight {
            begun: Instant::now(),
            result: Promise::new(),
            followers: Mutex::default(),
        });
        flights.insert(key.clone(), flight.clone());
        drop(flights);
        Role::Lead(Lead {
            flights: self.clone(),
            key: Some(key.clone()),
            flight,
        })
    }

    /// Ends a lookup without its leader, whose own result is then dropped.
    pub(crate) fn abandon(&self, key: &K, result: V) {
        let flight = self.0.lock().remove(key);
        if let Some(flight) = flight {
            flight.land(Some(result), || ());
        }
    }

    /// Whether one is in flight for this key.
    pub(crate) fn is_under_way(&self, key: &K) -> bool {
        self.0.lock().contains_key(key)
    }
}

impl<V: Clone> Flight<V> {
    /// When it was begun: what happened later need not be in its result.
    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// Waits for the result. The outer `None`: it is not there at the deadline; the inner one: the
    /// leader has given up without a result.
    pub(crate) fn wait(&self, deadline: Deadline) -> Option<Option<V>> {
        self.result.get_until(deadline)
    }

    /// Goes on with the result: now, if it is there, else on the leader's thread. `None`: the leader
    /// has given up without one.
    pub(crate) fn then(&self, run: impl FnOnce(Option<V>) + Send + 'static) {
        let mut followers = self.followers.lock();
        match self.result.get() {
            None => followers.push(Box::new(run)),
            Some(result) => {
                drop(followers);
                run(result);
            }
        }
    }

    fn land(&self, result: Option<V>, between: impl FnOnce()) {
        self.result.keep(result.clone());
        between();
        // Afterwards: a caller that comes now finds the result.
        let followers = mem::take(&mut *self.followers.lock());
        for run in followers {
            // The others are in the same hands: one that panics must not lose them.
            catch_bug("a continuation", || run(result.clone()));
        }
    }
}

impl<K: Eq + Hash, V: Clone> Lead<K, V> {
    /// The lookup, to wait for where another thread does the work.
    pub(crate) fn flight(&self) -> &Arc<Flight<V>> {
        &self.flight
    }

    /// Gives the result to all followers. The key is freed first: a later caller begins a new
    /// lookup.
    pub(crate) fn finish(self, result: V) {
        self.finish_with(result, || ());
    }

    /// The same; `between` runs once the threads that wait have been woken, and before continuations.
    pub(crate) fn finish_with(mut self, result: V, between: impl FnOnce()) {
        self.land(Some(result), between);
    }

    fn land(&mut self, result: Option<V>, between: impl FnOnce()) {
        let Some(key) = self.key.take() else {
            return;
        };
        let mut flights = self.flights.0.lock();
        // After it was abandoned, another one may be in flight.
        let is_own = |flight: &Arc<Flight<V>>| Arc::ptr_eq(flight, &self.flight);
        if flights.get(&key).is_some_and(is_own) {
            flights.remove(&key);
        }
        drop(flights);
        self.flight.land(result, between);
    }
}

impl<K: Eq + Hash, V: Clone> Drop for Lead<K, V> {
    fn drop(&mut self) {
        self.land(None, || ());
    }
}

impl<K, V> Clone for SingleFlight<K, V> {
    fn clone(&self) -> SingleFlight<K, V> {
        SingleFlight(self.0.clone())
    }
}

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> SingleFlight<K, V> {
        SingleFlight(Arc::default())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn deadline(ms: u64) -> Deadline {
        Deadline::after(Instant::now(), Duration::from_millis(ms))
    }

    fn lead(
        flights: &SingleFlight<&'static str, u32>,
        key: &'static str,
    ) -> Lead<&'static str, u32> {
        match flights.join(&key) {
            Role::Lead(lead) => lead,
            Role::Follow(_) => panic!("a lookup of {key} is in flight"),
        }
    }

    fn follow(flights: &SingleFlight<&'static str, u32>, key: &'static str) -> Arc<Flight<u32>> {
        match flights.join(&key) {
            Role::Follow(flight) => flight,
            Role::Lead(_) => panic!("no lookup of {key} is in flight"),
        }
    }

    #[test]
    fn one_leads_and_all_others_get_its_result() {
        let flights = SingleFlight::default();
        let leading = lead(&flights, "a");
        let other = lead(&flights, "b");
        let (first, second) = (follow(&flights, "a"), follow(&flights, "a"));
        assert_eq!(first.wait(deadline(1)), None, "not there yet");
        let (tell, told) = crossbeam_channel::unbounded();
        let tell_late = tell.clone();
        second.then(move |result| tell.send(result).unwrap());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| first.wait(deadline(10_000)));
            leading.finish(7);
            assert_eq!(waiting.join().unwrap(), Some(Some(7)));
        });
        assert_eq!(told.try_recv(), Ok(Some(7)));
        second.then(move |result| tell_late.send(result).unwrap());
        assert_eq!(told.try_recv(), Ok(Some(7)), "at once when it is there");
        assert!(!flights.is_under_way(&"a"));
        lead(&flights, "a").finish(8);
        other.finish(9);
    }

    #[test]
    fn a_lead_that_is_lost_leaves_its_followers_without_a_result() {
        let flights = SingleFlight::default();
        let leading = lead(&flights, "a");
        let following = follow(&flights, "a");
        drop(leading);
        assert_eq!(following.wait(deadline(0)), Some(None));
        lead(&flights, "a").finish(1);
    }

    #[test]
    fn an_abandoned_lookup_has_the_result_that_it_was_given() {
        let flights = SingleFlight::default();
        let leading = lead(&flights, "a");
        let following = follow(&flights, "a");
        let (tell, told) = crossbeam_channel::unbounded();
        following.then(move |result| tell.send(result).unwrap());
        flights.abandon(&"a", 1);
        assert_eq!(told.try_recv(), Ok(Some(1)));
        let next = lead(&flights, "a");
        leading.finish(2);
        assert_eq!(following.wait(deadline(0)), Some(Some(1)));
        assert!(flights.is_under_way(&"a"), "the next one goes on");
        next.finish(3);
        assert!(told.is_empty());
    }
}
