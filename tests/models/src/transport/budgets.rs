//! The budget: taken, given back, waited for and closed without a lock.

use std::sync::Arc;

use shuttle::thread;

use super::budget::{Account, Budget};
use super::connection::Guard;
use super::{never, passed};
use crate::check::join_all;
use crate::error::ErrorKind;

fn spawn(account: &Arc<Account>, run: fn(&Arc<Account>)) -> thread::JoinHandle<()> {
    let account = account.clone();
    thread::spawn(move || run(&account))
}

fn assert_unused(account: &Arc<Account>) {
    assert_eq!(account.wait_until_returned(passed()), 0);
    // Both limits whole, or this would not fit beside the other.
    let all = account.acquire(1, 1, passed()).expect("all of it is free");
    let more = account.acquire(1, 9, passed()).map(|_| ());
    assert_eq!(more.unwrap_err().kind(), ErrorKind::Busy);
    drop(all);
}

/// No waiter sleeps through returned capacity.
pub fn every_waiter_for_capacity_gets_some() {
    let account = Budget::new(1, 9).account();
    let take = |account: &Arc<Account>| drop(account.acquire(1, 5, never()).expect("room"));
    let bytes = |account: &Arc<Account>| drop(account.acquire(0, 9, never()).expect("room"));
    let gives_up = |account: &Arc<Account>| drop(account.acquire(1, 1, passed()));
    let threads = [take, take, bytes, gives_up].map(|run| spawn(&account, run));
    join_all(threads);
    assert_unused(&account);
}

/// A waiter is woken by the end of its account or of the whole budget, and by nothing else.
pub fn closing_wakes_all_waiters() {
    let budget = Budget::new(1, 9);
    let (closed, other) = (budget.account(), budget.account());
    let held = closed.acquire(1, 0, passed()).expect("it is unused");
    let refused = |account: &Arc<Account>| {
        let error = account.acquire(1, 0, never()).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    };
    let alone = [refused, refused].map(|run| spawn(&closed, run));
    let last = spawn(&other, refused);
    closed.close();
    join_all(alone);
    budget.close();
    last.join().unwrap();
    drop(held);
    assert_eq!(closed.wait_until_returned(never()), 0);
}

/// A closed account whose permits are all back issues no more.
pub fn returned_capacity_stays_returned_after_the_end() {
    let account = Budget::new(2, 9).account();
    let take = |account: &Arc<Account>| {
        if let Ok(permit) = account.acquire(1, 1, never()) {
            assert!(account.wait_until_returned(passed()) > 0, "one is out here");
            drop(permit);
        }
    };
    let merge = |account: &Arc<Account>| {
        let permits = [(); 2].map(|()| account.acquire(1, 1, passed()));
        if let [Ok(mut one), Ok(two)] = permits {
            assert!(one.merge(two).is_none(), "they are of one account");
            one.give_back();
        }
    };
    let threads = [take, take, merge].map(|run| spawn(&account, run));
    account.close();
    assert_eq!(account.wait_until_returned(never()), 0);
    let late = account.acquire(0, 0, passed()).map(|_| ()).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Closed);
    join_all(threads);
    assert_eq!(account.wait_until_returned(passed()), 0);
}
