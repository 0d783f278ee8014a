//! Which message of a window is handed out next.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

/// The messages that wait for a handler, by their numbers in the window: in the order of the queue, or in the
/// order of each key.
#[derive(Debug)]
pub(super) struct Line {
    /// The number of the first message that was never handed out, nor any behind it.
    fresh: u64,
    /// Messages that were put back, with the time before which they are not handed out.
    again: BTreeSet<(Instant, u64)>,
    keys: Option<Keys>,
    stop: Option<Stop>,
}

/// The queue is about to be given up.
#[derive(Debug, Clone, Copy)]
struct Stop {
    /// Messages from this number on were never handed out, and will not be.
    end: u64,
    /// Until when those below it are.
    until: Instant,
}

/// How many messages are out, and how many handlers run whose results do not count any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out {
    pub(super) current: usize,
    pub(super) strays: usize,
}

impl Line {
    /// `keys`: messages of one key are handed out one after the other, and so many messages at once.
    pub(super) fn new(keys: Option<usize>) -> Line {
        Line {
            fresh: 0,
            again: BTreeSet::new(),
            keys: keys.map(Keys::new),
            stop: None,
        }
    }

    /// The queue is about to be given up. Until this time those messages are still handed out that never were, and
    /// that others of other keys have overtaken: else what overtook them would be handled twice.
    pub(super) fn stop(&mut self, until: Instant) {
        self.again.clear();
        // One that is closed stays so.
        let end = self.stop.map_or(self.fresh, |stop| stop.end);
        self.stop = Some(Stop { end, until });
    }

    /// Nothing is handed out any more, whatever a thread that is late takes for the time.
    pub(super) fn close(&mut self, now: Instant) {
        self.again.clear();
        self.stop = Some(Stop { end: 0, until: now });
    }

    /// How many messages may be out at once, if the order is that of the keys.
    pub(super) fn keys(&self) -> Option<usize> {
        self.keys.as_ref().map(|keys| keys.most)
    }

    pub(super) fn fresh(&self) -> u64 {
        self.fresh
    }

    /// A message was fetched.
    pub(super) fn add(&mut self, number: u64, key: Option<u64>) {
        if let Some(keys) = &mut self.keys {
            keys.add(number, key);
        }
    }

    /// The next message: first those that were put back and are due. `end`: the number behind the last one.
    pub(super) fn next(&self, end: u64, out: Out, now: Instant) -> Option<u64> {
        if !self.may_start(out) {
            return None;
        }
        let due = self.again.first().filter(|(at, _)| *at <= now);
        due.map(|(_, number)| *number)
            .or(self.first_fresh(end, now))
    }

    /// When there is a next message; `None` if there is none to wait for.
    pub(super) fn ready_at(&self, end: u64, out: Out, now: Instant) -> Option<Instant> {
        if !self.may_start(out) {
            return None;
        }
        let fresh = self.first_fresh(end, now).map(|_| now);
        fresh.or(self.again.first().map(|(at, _)| *at))
    }

    /// When the next one of those that were put back is due, after `now`.
    pub(super) fn due_after(&self, now: Instant) -> Option<Instant> {
        let mut later = self.again.range((now, u64::MAX)..);
        later.next().map(|(at, _)| *at)
    }

    /// A message is handed out; `waited`: the time of one that was put back.
    pub(super) fn taken(&mut self, number: u64, waited: Option<Instant>) {
        if let Some(at) = waited {
            self.again.remove(&(at, number));
        }
        if let Some(keys) = &mut self.keys {
            keys.ready.remove(&number);
        }
        self.fresh = self.fresh.max(number + 1);
    }

    /// A message comes again, at this time at the earliest. Those behind it of its key wait.
    pub(super) fn put_back(&mut self, number: u64, not_before: Instant) {
        self.again.insert((not_before, number));
    }

    /// A message is final: the next one of its key may start.
    pub(super) fn finished(&mut self, number: u64) {
        if let Some(keys) = &mut self.keys {
            keys.finished(number);
        }
    }

    fn first_fresh(&self, end: u64, now: Instant) -> Option<u64> {
        let first = match &self.keys {
            None => Some(self.fresh),
            Some(keys) => keys.ready.first().copied(),
        };
        let end = self.stop.map_or(end, |stop| match now < stop.until {
            true => stop.end,
            false => 0,
        });
        first.filter(|number| *number < end)
    }

    /// Whether one more message may be out. What the strays have may be of any key.
    fn may_start(&self, out: Out) -> bool {
        let allows = |keys: &Keys| out.strays == 0 && out.current < keys.most;
        self.keys.as_ref().is_none_or(allows)
    }
}

/// The unfinished messages of a window by key.
#[derive(Debug)]
struct Keys {
    /// How many messages may be out at once.
    most: usize,
    of: HashMap<u64, u64>,
    /// The messages of each key, in their order. Only the first one may be out.
    lanes: HashMap<u64, VecDeque<u64>>,
    /// Those that were never handed out and may start: the first ones of their keys, and those without a key.
    ready: BTreeSet<u64>,
}

impl Keys {
    fn new(most: usize) -> Keys {
        Keys {
            most: most.max(1),
            of: HashMap::new(),
            lanes: HashMap::new(),
            ready: BTreeSet::new(),
        }
    }

    fn add(&mut self, number: u64, key: Option<u64>) {
        let Some(key) = key else {
            self.ready.insert(number);
            return;
        };
        self.of.insert(number, key);
        let lane = self.lanes.entry(key).or_default();
        if lane.is_empty() {
            self.ready.insert(number);
        }
        lane.push_back(number);
    }

    fn finished(&mut self, number: u64) {
        let Some(key) = self.of.remove(&number) else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(&key) else {
            return;
        };
        lane.pop_front();
        match lane.front() {
            Some(next) => drop(self.ready.insert(*next)),
            None => drop(self.lanes.remove(&key)),
        }
    }
}
