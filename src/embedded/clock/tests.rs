use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;

use super::{Clock, Millis};

const MS: Duration = Duration::from_millis(1);
/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// The work that ran, with the time that it saw, counted from the start.
#[derive(Clone)]
struct Journal {
    clock: Arc<Clock>,
    start: Millis,
    lines: Arc<Mutex<Vec<(&'static str, Millis)>>>,
}

impl Journal {
    fn of(clock: &Arc<Clock>) -> Journal {
        Journal {
            clock: Arc::clone(clock),
            start: clock.now(),
            lines: Arc::default(),
        }
    }

    fn note(&self, name: &'static str) -> impl FnOnce() + Send + 'static {
        let journal = self.clone();
        move || {
            let at = journal.clock.now() - journal.start;
            journal.lines.lock().push((name, at));
        }
    }

    fn take(&self) -> Vec<(&'static str, Millis)> {
        std::mem::take(&mut self.lines.lock())
    }
}

#[test]
fn a_manual_clock_runs_work_in_order_and_each_piece_at_its_time() {
    let clock = Clock::new(true);
    let journal = Journal::of(&clock);
    let _late = clock.after(30 * MS, journal.note("late"));
    let _first = clock.after(10 * MS, journal.note("first"));
    let _second = clock.after(10 * MS, journal.note("second"));
    let _due = clock.at(journal.start - 5, journal.note("due already"));
    clock.advance(9 * MS);
    assert_eq!(journal.take(), [("due already", 0)]);
    clock.advance(MS);
    assert_eq!(journal.take(), [("first", 10), ("second", 10)]);
    clock.advance(Duration::MAX);
    assert_eq!(journal.take(), [("late", 30)]);
    assert!(clock.now() > journal.start);
    let _ = clock.system_time();
}

#[test]
fn work_may_schedule_work_that_the_same_move_reaches() {
    let clock = Clock::new(true);
    let journal = Journal::of(&clock);
    let chain = {
        let (clock, journal) = (Arc::clone(&clock), journal.clone());
        move || {
            journal.note("outer")();
            let inner = clock.after(10 * MS, journal.note("inner"));
            std::mem::forget(inner);
        }
    };
    let _outer = clock.after(10 * MS, chain);
    let _after = clock.after(25 * MS, journal.note("after"));
    clock.advance(30 * MS);
    assert_eq!(
        journal.take(),
        [("outer", 10), ("inner", 20), ("after", 25)]
    );
}

#[test]
fn a_dropped_timer_runs_nothing_and_neither_does_a_closed_clock() {
    let clock = Clock::new(true);
    let journal = Journal::of(&clock);
    drop(clock.after(MS, journal.note("cancelled")));
    let kept = clock.after(MS, journal.note("kept"));
    let other = clock.after(MS, journal.note("dropped by the end"));
    drop(other);
    clock.advance(MS);
    assert_eq!(journal.take(), [("kept", 1)]);
    drop(kept);
    let (held, free): (Sender<()>, Receiver<()>) = crossbeam_channel::unbounded();
    let _pending = clock.after(MS, move || drop(held));
    clock.close();
    // The captures of the work were dropped.
    assert!(free.recv().is_err());
    let _later = clock.after(MS, journal.note("after the end"));
    clock.advance(10 * MS);
    assert_eq!(journal.take(), []);
}

#[test]
fn a_panic_ends_no_other_work() {
    let clock = Clock::new(true);
    let journal = Journal::of(&clock);
    let _bad = clock.after(MS, || panic!("of the work"));
    let _good = clock.after(2 * MS, journal.note("good"));
    clock.advance(2 * MS);
    assert_eq!(journal.take(), [("good", 2)]);
}

#[test]
fn a_running_clock_runs_work_by_itself_and_can_be_moved_too() {
    let clock = Clock::new(false);
    let (ran, runs) = crossbeam_channel::unbounded();
    let (soon, far) = (ran.clone(), ran);
    let begun = Instant::now();
    let _soon = clock.after(5 * MS, move || soon.send("soon").unwrap());
    let _far = clock.after(Duration::from_secs(3600), move || far.send("far").unwrap());
    assert_eq!(runs.recv_timeout(PATIENCE), Ok("soon"));
    assert!(begun.elapsed() >= 4 * MS);
    assert!(runs.try_recv().is_err());
    clock.advance(Duration::from_secs(3601));
    assert_eq!(runs.recv_timeout(PATIENCE), Ok("far"));
    // The thread ends, though it waits for something far away.
    let _never = clock.after(Duration::from_secs(3600), || ());
    clock.close();
    assert_eq!(Arc::strong_count(&clock), 1);
}
