use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const STEPS_OF_A_CASE: usize = 250;
const WORKERS: usize = 64;

fn fetched(offsets: impl IntoIterator<Item = u64>) -> Vec<Fetched<u64>> {
    let message = |offset| Fetched {
        offset,
        bytes: 10,
        payload: offset,
    };
    offsets.into_iter().map(message).collect()
}

fn window(offsets: impl IntoIterator<Item = u64>, next: u64) -> Window<u64> {
    let mut window = Window::new(1, 0, 8);
    let ask = window.ask().expect("there is capacity");
    window.answer(ask, fetched(offsets), next).expect("current");
    window
}

fn take(window: &mut Window<u64>, now: Instant) -> Handed<u64> {
    window.take(now).expect("a message is ready")
}

#[test]
fn the_low_water_is_the_lowest_unfinished_offset() {
    let now = Instant::now();
    let mut window = window([3, 4, 7], 9);
    assert_eq!(
        (window.low_water(), window.end(), window.bytes()),
        (3, 9, 30)
    );
    let [a, b, c] = std::array::from_fn(|_| take(&mut window, now));
    assert!(window.take(now).is_none());
    let low = |finished: Result<Finished, Stale>| finished.expect("current").low_water;
    assert_eq!(low(window.finish(b.ticket)), 3);
    assert_eq!((window.len(), window.bytes()), (3, 20));
    assert_eq!(window.head(), Some((3, Held::Running(now))));
    assert_eq!(low(window.finish(a.ticket)), 7);
    assert_eq!(low(window.finish(c.ticket)), 9);
    assert!(window.is_empty() && window.is_quiet());
}

#[test]
fn an_answer_without_messages_moves_the_low_water_of_an_empty_window_only() {
    let now = Instant::now();
    let mut window = window([], 500);
    assert_eq!(window.low_water(), 500);
    let ask = window.ask().expect("capacity");
    assert_eq!((ask.offset, window.ask()), (500, None));
    window.answer(ask, fetched([500]), 501).expect("current");
    let ask = window.ask().expect("capacity");
    window.answer(ask, fetched([]), 900).expect("current");
    assert_eq!((window.low_water(), window.end()), (500, 900));
    let only = take(&mut window, now);
    assert_eq!(window.finish(only.ticket).expect("current").low_water, 900);
}

#[test]
fn repeated_messages_are_refused_and_surplus_is_asked_for_again() {
    let mut window = window([2, 3], 4);
    let ask = window.ask().expect("capacity");
    assert_eq!(ask.capacity, 6);
    let answered = window.answer(ask, fetched([1, 3, 4, 5, 5, 6, 7, 8, 9, 12, 13]), 14);
    let expected = Answered {
        accepted: 6,
        bytes: 60,
        repeated: 3,
        surplus: 2,
    };
    assert_eq!(answered, Ok(expected));
    assert_eq!((window.end(), window.ask()), (12, None));
    let counts = window.counts();
    assert_eq!((counts.repeated, counts.surplus), (3, 2));
    let first = take(&mut window, Instant::now());
    window.finish(first.ticket).expect("current");
    assert_eq!(window.ask().expect("capacity").offset, 12);
}

#[test]
fn a_failed_request_is_made_again_from_the_same_offset() {
    let mut window = window([0], 1);
    let ask = window.ask().expect("capacity");
    window.no_answer(ask).expect("current");
    assert_eq!(window.ask().expect("capacity").offset, 1);
}

#[test]
fn what_is_put_back_comes_first_when_its_time_has_come() {
    let now = Instant::now();
    let at = |s| now + Duration::from_secs(s);
    let mut window = window([0, 1, 2], 3);
    let first = take(&mut window, now);
    assert_eq!(window.put_back(first.ticket, at(5)), Ok(0));
    assert_eq!(window.head(), Some((0, Held::Waiting(at(5)))));
    assert_eq!(take(&mut window, at(1)).offset, 1);
    assert_eq!(window.ready_at(at(1)), Some(at(1)));
    let again = take(&mut window, at(5));
    assert_eq!((again.offset, again.failures, again.payload), (0, 1, 0));
    assert_eq!(take(&mut window, at(5)).offset, 2);
    assert_eq!((window.ready_at(at(5)), window.handlers()), (None, 3));
}

#[test]
fn an_ordered_queue_hands_out_one_batch_at_a_time() {
    let now = Instant::now();
    let at = |ms| now + Duration::from_millis(ms);
    let mut window = window([0, 1, 5, 6], 7);
    let offsets = |batch: &[Handed<u64>]| -> Vec<u64> { batch.iter().map(|h| h.offset).collect() };
    assert_eq!(window.ordered_ready_at(now), Some(now));
    let batch = window.take_ordered(3, now);
    assert_eq!(offsets(&batch), [0, 1, 5]);
    assert!(window.take_ordered(3, now).is_empty() && window.ordered_ready_at(now).is_none());
    let [a, b, c] = <[Handed<u64>; 3]>::try_from(batch).expect("three");
    window.finish(a.ticket).expect("current");
    window.put_back(c.ticket, at(50)).expect("current");
    window.settle(&b.ticket).expect("current");
    assert!(
        window.take_ordered(3, at(60)).is_empty(),
        "a copy is on its way"
    );
    window.put_back(b.ticket, at(50)).expect("current");
    assert!(
        window.take_ordered(3, at(49)).is_empty(),
        "the first one waits"
    );
    assert_eq!(window.ordered_ready_at(at(49)), Some(at(50)));
    let batch = window.take_ordered(9, at(50));
    assert_eq!(offsets(&batch), [1, 5, 6]);
    let failures: Vec<u32> = batch.iter().map(|h| h.failures).collect();
    assert_eq!(failures, [1, 1, 0]);
}

#[test]
fn results_and_answers_of_an_older_generation_are_refused_and_counted() {
    let now = Instant::now();
    let mut window = window([0, 1], 2);
    let (a, b) = (take(&mut window, now), take(&mut window, now));
    let ask = window.ask().expect("capacity");
    assert_eq!(window.restart(2, 50), 20);
    assert_eq!(
        (window.low_water(), window.generation(), window.handlers()),
        (50, 2, 2)
    );
    assert_eq!(window.answer(ask, fetched([2]), 3), Err(Stale));
    let ask = window.ask().expect("capacity");
    window.answer(ask, fetched([50]), 51).expect("current");
    assert!(
        window.take_ordered(1, now).is_empty(),
        "old handlers are still inside"
    );
    assert_eq!(window.finish(a.ticket), Err(Stale));
    assert_eq!(window.put_back(b.ticket, now), Err(Stale));
    assert!(window.is_quiet());
    assert_eq!(window.take_ordered(1, now).len(), 1);
    let counts = window.counts();
    assert_eq!((counts.stale_results, counts.stale_answers), (2, 1));
}

#[test]
fn a_recalled_message_is_decided_by_who_recalled_it() {
    let now = Instant::now();
    let mut window = window([0, 1], 2);
    let stuck = take(&mut window, now);
    assert_eq!(window.running().collect::<Vec<_>>(), [(0, now)]);
    assert_eq!((window.recall(1), window.recall(7)), (None, None));
    let ticket = window.recall(0).expect("it runs");
    assert_eq!((window.recall(0), window.handlers()), (None, 1));
    assert_eq!(window.finish(ticket).expect("current").low_water, 1);
    assert!(!window.is_quiet());
    assert_eq!(window.finish(stuck.ticket), Err(Stale));
    assert!(window.is_quiet());
}

#[test]
fn a_handler_that_was_recalled_does_not_decide_for_the_next_one() {
    let now = Instant::now();
    let mut window = window([0], 1);
    let stuck = take(&mut window, now);
    let ticket = window.recall(0).expect("it runs");
    window.put_back(ticket, now).expect("current");
    let next = take(&mut window, now);
    assert_eq!((next.offset, window.handlers()), (0, 2));
    assert_eq!(window.finish(stuck.ticket), Err(Stale));
    assert_eq!((window.low_water(), window.handlers()), (0, 1));
    assert_eq!(window.finish(next.ticket).expect("current").low_water, 1);
}

#[test]
fn a_queue_that_drains_hands_out_nothing_and_still_counts_results() {
    let now = Instant::now();
    let mut window = window([0, 1, 2, 3], 4);
    let [a, b] = std::array::from_fn(|_| take(&mut window, now));
    let ask = window.ask().expect("capacity");
    assert_eq!(window.drain(), 20);
    assert!(window.take(now).is_none() && window.take_ordered(1, now).is_empty());
    assert_eq!(
        (window.ready_at(now), window.ordered_ready_at(now)),
        (None, None)
    );
    assert_eq!(window.answer(ask, fetched([4]), 5), Err(Stale));
    assert_eq!(window.ask(), None);
    assert_eq!(window.put_back(b.ticket, now), Ok(10));
    assert_eq!(window.finish(a.ticket).expect("current").low_water, 1);
    assert_eq!(
        (window.bytes(), window.is_quiet(), window.low_water()),
        (0, true, 1)
    );
}

/// What the model knows of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Fetched,
    Waiting(Instant),
    Out,
    Final,
}

/// The same in the simplest way: a table of all messages, searched from the start each time.
struct Model {
    fates: BTreeMap<u64, Fate>,
    failures: BTreeMap<u64, u32>,
    end: u64,
}

impl Model {
    fn low_water(&self) -> u64 {
        let unfinished = self.fates.iter().find(|(_, fate)| **fate != Fate::Final);
        unfinished.map_or(self.end, |(offset, _)| *offset)
    }

    /// Those that count for the limit.
    fn len(&self) -> usize {
        self.fates.range(self.low_water()..).count()
    }
}

/// A window, its model, and the workers that run its messages.
struct World {
    window: Window<u64>,
    model: Model,
    ordered: bool,
    now: Instant,
    workers: Vec<Option<(Handed<u64>, u64)>>,
    ask: Option<(Ask, u64)>,
    /// The highest low-water of this generation.
    committed: u64,
}

const MOST: usize = 40;

/// Whether the broker's queue has a message there: some offsets are gaps.
fn exists(offset: u64) -> bool {
    offset % 7 != 3 && !(100..140).contains(&(offset % 200))
}

impl World {
    fn new(ordered: bool) -> World {
        World {
            window: Window::new(1, 0, MOST),
            model: Model {
                fates: BTreeMap::new(),
                failures: BTreeMap::new(),
                end: 0,
            },
            ordered,
            now: Instant::now(),
            workers: (0..WORKERS).map(|_| None).collect(),
            ask: None,
            committed: 0,
        }
    }

    fn step(&mut self, kind: u8, arg: u16) {
        let arg = usize::from(arg);
        match kind {
            0..=14 => self.fetch(arg),
            15..=44 => self.take(arg),
            45..=84 => self.end_worker(arg),
            85..=92 => self.now += Duration::from_millis(arg as u64 % 40),
            93..=95 => self.recall(arg),
            96 => self.seek(arg),
            97 => self.drain_and_come_back(),
            _ => {
                if let Some((ask, generation)) = self.ask.take() {
                    let failed = self.window.no_answer(ask);
                    assert_eq!(failed.is_ok(), generation == self.window.generation());
                }
            }
        }
        self.check();
    }

    /// Asks, or answers what was asked.
    fn fetch(&mut self, arg: usize) {
        let Some((ask, generation)) = self.ask.take() else {
            let may_ask = self.model.len() < MOST;
            let ask = self.window.ask();
            // A request of an older generation is in nobody's way.
            assert_eq!(ask.is_some(), may_ask);
            if let Some(ask) = ask {
                assert_eq!(ask.offset, self.model.end);
                self.ask = Some((ask, self.window.generation()));
            }
            return;
        };
        // Begins a bit too low, ends behind its messages, and may have more than was asked for.
        let start = ask.offset.saturating_sub(arg as u64 % 3);
        let end = start + arg as u64 % 60;
        let next = end.max(ask.offset);
        let offsets: Vec<u64> = (start..end).filter(|o| exists(*o)).collect();
        let answered = self
            .window
            .answer(ask, fetched(offsets.iter().copied()), next);
        if generation != self.window.generation() {
            assert_eq!(answered, Err(Stale));
            return;
        }
        let model = &mut self.model;
        let mut accepted = 0;
        let mut full = false;
        let first = model.end;
        for offset in offsets.into_iter().filter(|o| *o >= first) {
            if model.len() == MOST {
                (full, model.end) = (true, offset);
                break;
            }
            model.fates.insert(offset, Fate::Fetched);
            model.end = offset + 1;
            accepted += 1;
        }
        if !full {
            model.end = model.end.max(next);
        }
        assert_eq!(answered.expect("current").accepted, accepted);
    }

    fn take(&mut self, arg: usize) {
        let free: Vec<usize> = (0..WORKERS)
            .filter(|i| self.workers[*i].is_none())
            .collect();
        let batch = match self.ordered {
            false if free.is_empty() => return,
            false => self.window.take(self.now).into_iter().collect(),
            true => self
                .window
                .take_ordered((1 + arg % 5).min(free.len()), self.now),
        };
        let (now, fates) = (self.now, &self.model.fates);
        let is_due = |fate: &Fate| match fate {
            Fate::Fetched => true,
            Fate::Waiting(at) => *at <= now,
            _ => false,
        };
        let expected = match self.ordered {
            false => fates.values().any(is_due),
            // One batch at a time, also of those whose results count no longer.
            true => {
                let first = fates.values().find(|fate| **fate != Fate::Final);
                free.len() == WORKERS && first.is_some_and(is_due)
            }
        };
        assert_eq!(!batch.is_empty(), expected);
        for (handed, worker) in batch.into_iter().zip(free) {
            let (offset, fate) = (handed.offset, self.model.fates[&handed.offset]);
            assert!(is_due(&fate), "{fate:?}");
            let failures = self.model.failures.get(&offset).copied();
            assert_eq!(
                (handed.payload, handed.failures),
                (offset, failures.unwrap_or(0))
            );
            if self.ordered {
                let open =
                    |o: &u64| matches!(self.model.fates[o], Fate::Fetched | Fate::Waiting(_));
                assert_eq!(
                    self.model.fates.range(..offset).find(|(o, _)| open(o)),
                    None
                );
            }
            self.model.fates.insert(offset, Fate::Out);
            self.workers[worker] = Some((handed, self.window.generation()));
        }
    }

    /// Some worker ends, in any order: well, badly, or after it sent a copy.
    fn end_worker(&mut self, arg: usize) {
        let busy: Vec<usize> = (0..WORKERS)
            .filter(|i| self.workers[*i].is_some())
            .collect();
        if busy.is_empty() {
            return;
        }
        let worker = self.workers[busy[arg % busy.len()]]
            .take()
            .expect("it is busy");
        let (handed, generation) = worker;
        let is_current = generation == self.window.generation();
        if arg % 3 == 0 && is_current {
            assert_eq!(self.window.settle(&handed.ticket), Ok(()));
        }
        if arg % 5 == 0 {
            let until = self.now + Duration::from_millis(arg as u64 % 20);
            let back = self.window.put_back(handed.ticket, until);
            assert_eq!(back.is_ok(), is_current);
            if is_current {
                self.model.fates.insert(handed.offset, Fate::Waiting(until));
                *self.model.failures.entry(handed.offset).or_default() += 1;
            }
        } else {
            let finished = self.window.finish(handed.ticket);
            assert_eq!(finished.is_ok(), is_current);
            if is_current {
                self.model.fates.insert(handed.offset, Fate::Final);
                let low_water = self.model.low_water();
                assert_eq!(
                    finished,
                    Ok(Finished {
                        low_water,
                        freed: 10
                    })
                );
            }
        }
    }

    /// The decision goes to somebody else, and the worker's result counts no longer.
    fn recall(&mut self, arg: usize) {
        let current = self.window.generation();
        let (offset, worker) = match &mut self.workers[arg % WORKERS] {
            Some((handed, generation)) if *generation == current => (handed.offset, generation),
            _ => return,
        };
        *worker = 0;
        let ticket = self.window.recall(offset).expect("it runs");
        let fate = match arg % 3 {
            0 => {
                self.window.put_back(ticket, self.now).expect("current");
                *self.model.failures.entry(offset).or_default() += 1;
                Fate::Waiting(self.now)
            }
            _ => {
                self.window.finish(ticket).expect("current");
                Fate::Final
            }
        };
        self.model.fates.insert(offset, fate);
    }

    /// A seek: back or forward.
    fn seek(&mut self, arg: usize) {
        self.begin((self.model.end + 30).saturating_sub(arg as u64 % 60));
    }

    /// The queue is given up with some handlers inside, and comes back where it was left.
    fn drain_and_come_back(&mut self) {
        self.window.drain();
        assert!(self.window.take(self.now).is_none() && self.window.ask().is_none());
        assert_eq!(self.window.low_water(), self.model.low_water());
        self.begin(self.window.low_water());
    }

    fn begin(&mut self, offset: u64) {
        self.window.restart(self.window.generation() + 1, offset);
        self.model.fates.clear();
        self.model.failures.clear();
        (self.model.end, self.committed) = (offset, offset);
    }

    fn check(&mut self) {
        let (window, model) = (&self.window, &self.model);
        let low_water = model.low_water();
        assert_eq!((window.low_water(), window.end()), (low_water, model.end));
        assert_eq!(window.len(), model.len());
        assert!(window.len() <= MOST);
        let unfinished = model.fates.values().filter(|fate| **fate != Fate::Final);
        assert_eq!(window.bytes(), 10 * unfinished.count() as u64);
        let busy = self.workers.iter().flatten().count();
        assert_eq!(window.handlers(), busy);
        let offsets: BTreeSet<u64> = window.running().map(|(offset, _)| offset).collect();
        let out = model.fates.iter().filter(|(_, fate)| **fate == Fate::Out);
        assert_eq!(offsets, out.map(|(offset, _)| *offset).collect());
        // Nothing below the low-water lacks a final outcome, and it never falls.
        assert!(low_water >= self.committed);
        for offset in (self.committed..low_water).filter(|o| exists(*o)) {
            assert_eq!(
                model.fates.get(&offset),
                Some(&Fate::Final),
                "{offset} was skipped"
            );
        }
        self.committed = low_water;
    }

    /// After all workers ended, everything fetched gets final.
    fn end(&mut self) {
        while self.workers.iter().any(Option::is_some) || !self.window.is_empty() {
            self.now += Duration::from_secs(1);
            self.take(0);
            self.end_worker(1);
            self.check();
        }
        assert_eq!(self.window.low_water(), self.window.end());
        assert!(self.window.is_quiet() && self.window.bytes() == 0);
    }
}

proptest! {
    // A million steps where the code is optimized.
    #![proptest_config(crate::consumer::cases(100, 4_000))]
    #[test]
    fn a_window_is_what_the_model_says(
        ordered: bool,
        steps in prop::collection::vec((0u8..100, any::<u16>()), STEPS_OF_A_CASE),
    ) {
        let mut world = World::new(ordered);
        for (kind, arg) in steps {
            world.step(kind, arg);
        }
        world.end();
    }
}
