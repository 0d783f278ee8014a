//! One value, one result, one lookup: between the threads that take it, the timer and the end.

use std::sync::Arc;
use std::time::Instant;

use shuttle::thread;

use super::{Deferred, Promise, Role, SingleFlight, Threads, Timer, never, passed};
use crate::check::join_all;
use crate::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Two parties, the timer and its end: one of them uses the value, or it is dropped with the timer.
pub fn a_deferred_value_is_used_exactly_once() {
    let threads = Threads::default();
    let timer = Timer::start(&threads).expect("a thread can be started");
    let uses = Arc::new(AtomicUsize::new(0));
    let value = Arc::new(());
    let deferred = Deferred::new(value.clone());
    let parties = [(); 2].map(|()| {
        let (deferred, uses) = (deferred.clone(), uses.clone());
        thread::spawn(move || {
            if deferred.take().is_some() {
                uses.fetch_add(1, SeqCst);
            }
        })
    });
    let late = uses.clone();
    deferred.expire_at(&timer, Instant::now(), move |_| {
        late.fetch_add(1, SeqCst);
    });
    timer.close();
    join_all(parties);
    assert!(threads.join(never()).is_empty());
    assert_eq!(uses.load(SeqCst), 1);
    assert!(deferred.take().is_none());
    assert_eq!(Arc::strong_count(&value), 1, "the value is kept somewhere");
}

/// The timer does not forget it, whatever else is scheduled and cancelled.
pub fn a_deferred_value_that_is_not_taken_is_used_by_the_timer() {
    let threads = Threads::default();
    let timer = Timer::start(&threads).expect("a thread can be started");
    let used = Arc::new(Promise::new());
    let deferred = Deferred::new(7);
    let tell = used.clone();
    let other = {
        let timer = timer.clone();
        thread::spawn(move || {
            let scheduled = timer.schedule(Instant::now(), |_| ());
            scheduled.cancel();
        })
    };
    deferred.expire_at(&timer, Instant::now(), move |value| tell.keep(value));
    assert_eq!(used.take(), 7);
    other.join().unwrap();
    timer.close();
    assert!(threads.join(never()).is_empty());
}

/// At most one caller leads at a time; every caller ends, with a result or its own lead; a lost
/// lead leaves no waiter.
pub fn a_lookup_is_made_once_at_a_time_and_all_followers_get_its_result() {
    let flights: SingleFlight<u32, usize> = SingleFlight::default();
    let (leading, led) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let told = Arc::new(AtomicUsize::new(0));
    let callers = [0, 1, 2, 3].map(|which| {
        let (flights, leading, led, told) =
            (flights.clone(), leading.clone(), led.clone(), told.clone());
        thread::spawn(move || match flights.join(&7) {
            Role::Lead(lead) => {
                assert_eq!(leading.fetch_add(1, SeqCst), 0, "two lead at a time");
                let number = led.fetch_add(1, SeqCst) + 1;
                thread::yield_now();
                leading.fetch_sub(1, SeqCst);
                if which == 0 {
                    drop(lead);
                } else {
                    lead.finish(number);
                }
                told.fetch_add(1, SeqCst);
            }
            Role::Follow(flight) if which % 2 == 0 => {
                let result = flight.wait(never()).expect("in time");
                assert!(result.is_none_or(|number| number <= led.load(SeqCst)));
                told.fetch_add(1, SeqCst);
            }
            Role::Follow(flight) => {
                let _late = flight.wait(passed());
                flight.then(move |_| {
                    told.fetch_add(1, SeqCst);
                });
            }
        })
    });
    join_all(callers);
    assert!(!flights.is_under_way(&7));
    assert_eq!(
        told.load(SeqCst),
        4,
        "a caller was forgotten, or answered twice"
    );
}

/// The first value stays, and no thread sleeps through it.
pub fn a_promise_is_kept_once_and_wakes_all_that_wait() {
    let promise = Arc::new(Promise::new());
    let keepers = [1, 2].map(|value| {
        let promise = promise.clone();
        thread::spawn(move || promise.keep(value))
    });
    let readers = [(); 2].map(|()| {
        let promise = promise.clone();
        thread::spawn(move || {
            let early = promise.get_until(passed());
            let value = promise.get_until(never()).expect("it is kept");
            assert!(early.is_none_or(|early| early == value), "it has changed");
        })
    });
    join_all(keepers);
    join_all(readers);
    assert!(promise.is_kept());
    assert!(promise.take_until(passed()).is_some());
    assert!(promise.take_until(passed()).is_none(), "taken twice");
}
