//! The table of waiters between a response, a deadline, a death and a waiter that comes late.

use std::sync::Arc;
use std::time::Instant;

use shuttle::thread;

use super::budget::{Account, Budget, Permit};
use super::connection::pending::{Entry, Pending};
use super::connection::slot::{Next, Outcome, Slot, Waiter};
use super::{Claim, never, passed};
use crate::check::join_all;
use crate::error::{Error, ErrorKind, Wait};
use crate::protocol::Command;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// The way in which a connection uses its table, without a socket.
struct Link(Mutex<State>);

struct State {
    pending: Pending<Slot>,
    dead: bool,
}

impl Link {
    fn register(&self, opaque: i32, slot: Slot) -> Result<(), Slot> {
        let mut state = self.0.lock();
        if state.dead {
            return Err(slot);
        }
        let now = Instant::now();
        let entry = Entry::new(slot, now, now, 0, opaque == 2);
        assert!(state.pending.register(opaque, entry).is_ok(), "it is free");
        Ok(())
    }

    /// A response, or a deadline that has passed.
    fn complete(&self, opaque: i32, outcome: Outcome) {
        let entry = self.0.lock().pending.complete(opaque);
        if let Some(entry) = entry {
            answer(entry.slot, outcome);
        }
    }

    fn kill(&self) {
        let mut state = self.0.lock();
        state.dead = true;
        let entries = state.pending.drain();
        drop(state);
        for entry in entries {
            let why = Error::new(ErrorKind::Disconnected, "the connection died");
            answer(entry.slot, Err(why));
        }
    }
}

fn answer(slot: Slot, outcome: Outcome) {
    match slot {
        Slot::Thread(claim) => claim.answer(outcome),
        Slot::Task(task) => drop(task.complete(outcome, Instant::now())),
    }
}

/// A continuation that counts how often it goes on, with its permit.
fn task(count: &Arc<AtomicUsize>, permit: Permit) -> Slot {
    let count = count.clone();
    Slot::Task(Box::new(move |_: Outcome| {
        drop(permit);
        count.fetch_add(1, SeqCst);
        Next::Done
    }))
}

fn timed_out() -> Outcome {
    Err(Error::timeout(Wait::Response))
}

/// Each waiter is answered exactly once, and its permit is returned once, whichever is first: the
/// response (even a duplicate), the deadline, or the death of the connection.
pub fn every_waiter_is_answered_exactly_once() {
    let account = Budget::new(2, 2).account();
    let link = Arc::new(Link(Mutex::new(State {
        pending: Pending::new(),
        dead: false,
    })));
    let counts = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let permit = |account: &Arc<Account>| account.acquire(1, 1, passed()).expect("room");
    let early = task(&counts[0], permit(&account));
    assert!(link.register(1, early).is_ok());
    let late = task(&counts[1], permit(&account));

    let spawn = |run: fn(&Link)| {
        let link = link.clone();
        thread::spawn(move || run(&link))
    };
    let threads = [
        spawn(|link| (1..=3).for_each(|opaque| link.complete(opaque, Ok(Command)))),
        spawn(|link| link.complete(1, Ok(Command))),
        spawn(|link| (1..=2).for_each(|opaque| link.complete(opaque, timed_out()))),
        spawn(Link::kill),
    ];
    // Two more come while all that goes on: a task, and a thread that waits.
    if let Err(refused) = link.register(2, late) {
        answer(refused, timed_out());
    }
    let waiter = Arc::new(Waiter::new());
    if link
        .register(3, Slot::Thread(Claim(waiter.clone())))
        .is_ok()
    {
        if waiter.take_until(passed()).is_none() {
            link.complete(3, timed_out());
            let _one_of_them = waiter.take();
        }
        assert!(waiter.take_until(passed()).is_none(), "a second answer");
    }
    join_all(threads);
    let state = link.0.lock();
    assert_eq!((state.pending.soon(), state.pending.parked()), (0, 0));
    drop(state);
    assert_eq!(counts.map(|count| count.load(SeqCst)), [1, 1]);
    assert_eq!(account.wait_until_returned(passed()), 0);
    assert!(account.acquire(1, 2, passed()).is_ok());
}
