//! A window beside a model of it, and workers that end in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const STEPS_OF_A_CASE: usize = 250;
const WORKERS: usize = 64;

/// A message in the model.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Fetched,
    Waiting(Instant),
    Out,
    Final,
}

/// A window in the simplest way: a table of all messages, searched from the start each time.
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
            window: Window::new(1, 0, MOST, None),
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
            // A request of an older generation blocks nothing.
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
            // One batch at a time, including those whose results do not count any more.
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

    /// Some worker ends, in any order: it succeeds, fails, or has sent a copy.
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

    /// A message is recalled: its worker's result does not count any more.
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

    /// The queue is given up while handlers run, and is taken again at the same offset.
    fn drain_and_come_back(&mut self) {
        self.window.drain(self.now + Duration::from_secs(1));
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
        // All messages below the low-water are final, and it never falls.
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
