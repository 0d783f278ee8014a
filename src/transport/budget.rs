use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::Deadline;
use crate::error::{Error, ErrorKind};

/// The one back-pressure mechanism: how many messages, and bytes of messages, may be in flight.
///
/// Who finds it full waits at most to its deadline.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Inner>);

struct Inner {
    limit: Amount,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    used: Amount,
    waiting: usize,
    closed: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Amount {
    messages: usize,
    bytes: usize,
}

/// One producer's share in a budget: it takes from it, knows what it has out, and can be closed
/// alone.
pub(crate) struct Account {
    budget: Budget,
    state: Mutex<AccountState>,
    returned: Condvar,
}

#[derive(Default)]
struct AccountState {
    out: usize,
    waiting: usize,
    closed: bool,
}

/// A part of the budget; dropping it gives it back.
pub(crate) struct Permit {
    account: Arc<Account>,
    amount: Amount,
}

impl Budget {
    pub(crate) fn new(messages: usize, bytes: usize) -> Budget {
        Budget(Arc::new(Inner {
            limit: Amount { messages, bytes },
            state: Mutex::default(),
            freed: Condvar::new(),
        }))
    }

    pub(crate) fn account(&self) -> Arc<Account> {
        let (state, returned) = (Mutex::default(), Condvar::new());
        Arc::new(Account {
            budget: self.clone(),
            state,
            returned,
        })
    }

    /// Wakes everybody who waits; from now on nothing is given out.
    pub(crate) fn close(&self) {
        self.0.state.lock().closed = true;
        self.0.freed.notify_all();
    }

    fn take(&self, amount: Amount, account: &Account, deadline: Deadline) -> Result<(), Error> {
        let limit = self.0.limit;
        let mut state = self.0.state.lock();
        loop {
            let mut own = account.state.lock();
            if state.closed || own.closed {
                return Err(Error::new(ErrorKind::Closed, "the producer is shut down"));
            }
            if limit.admits(state.used, amount) {
                state.used.messages += amount.messages;
                state.used.bytes += amount.bytes;
                // With the look at `closed`: who closes the account then sees every permit.
                own.out += 1;
                return Ok(());
            }
            drop(own);
            if deadline.has_passed(Instant::now()) {
                let used = state.used;
                return Err(limit.busy(used));
            }
            state.waiting += 1;
            self.0.freed.wait_until(&mut state, deadline.instant());
            state.waiting -= 1;
        }
    }

    fn give_back(&self, amount: Amount) {
        let mut state = self.0.state.lock();
        state.used.messages -= amount.messages;
        state.used.bytes -= amount.bytes;
        let waiting = state.waiting;
        drop(state);
        if waiting > 0 {
            // All of them: the one that fits is not known here, and a full budget is the slow case.
            self.0.freed.notify_all();
        }
    }
}

impl Account {
    /// Takes `bytes`, and `messages` (0 or 1) of the message limit.
    ///
    /// # Errors
    /// `Busy` if that is not free by the deadline, `Closed` after [`close`](Account::close).
    pub(crate) fn acquire(
        self: &Arc<Self>,
        messages: usize,
        bytes: usize,
        deadline: Deadline,
    ) -> Result<Permit, Error> {
        let amount = Amount { messages, bytes };
        self.budget.take(amount, self, deadline)?;
        Ok(Permit {
            account: self.clone(),
            amount,
        })
    }

    /// Wakes those who wait here; nothing more is given out on this account.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        // The budget's lock, so that nobody is between its check and its wait.
        drop(self.budget.0.state.lock());
        self.budget.0.freed.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Waits until every permit is back; says how many are not at the deadline.
    pub(crate) fn wait_until_returned(&self, deadline: Deadline) -> usize {
        let mut state = self.state.lock();
        while state.out > 0 && !deadline.has_passed(Instant::now()) {
            state.waiting += 1;
            self.returned.wait_until(&mut state, deadline.instant());
            state.waiting -= 1;
        }
        state.out
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.account.budget.give_back(self.amount);
        let mut state = self.account.state.lock();
        state.out -= 1;
        if state.out == 0 && state.waiting > 0 {
            self.account.returned.notify_all();
        }
    }
}

impl Amount {
    /// What is larger than a whole limit may go alone, since it could not go at all otherwise.
    fn admits(self, used: Amount, more: Amount) -> bool {
        let fits = |limit: usize, used: usize, more: usize| {
            more == 0 || used == 0 || used.saturating_add(more) <= limit
        };
        fits(self.messages, used.messages, more.messages)
            && fits(self.bytes, used.bytes, more.bytes)
    }

    /// What a caller hears whose time is up; `self` is the limit.
    fn busy(self, used: Amount) -> Error {
        let text = format!(
            "{} of {} messages and {} of {} bytes are in flight; send slower, or raise the limits",
            used.messages, self.messages, used.bytes, self.bytes
        );
        Error::new(ErrorKind::Busy, text)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn deadline(ms: u64) -> Deadline {
        Deadline::after(Instant::now(), Duration::from_millis(ms))
    }

    fn kind(result: Result<Permit, Error>) -> Option<ErrorKind> {
        result.err().map(|e| e.kind())
    }

    #[test]
    fn full_means_busy_at_the_deadline_and_a_dropped_permit_makes_room() {
        let budget = Budget::new(2, 100).account();
        let a = budget.acquire(1, 60, deadline(0)).unwrap();
        assert_eq!(
            kind(budget.acquire(1, 60, deadline(0))),
            Some(ErrorKind::Busy)
        );
        let b = budget.acquire(1, 40, deadline(0)).unwrap();
        assert_eq!(
            kind(budget.acquire(1, 0, deadline(0))),
            Some(ErrorKind::Busy)
        );
        assert!(
            budget.acquire(0, 0, deadline(0)).is_ok(),
            "who takes nothing never waits"
        );
        drop((a, b));
        assert!(
            budget.acquire(1, 1000, deadline(0)).is_ok(),
            "larger than the limit goes alone"
        );
    }

    #[test]
    fn a_waiting_caller_goes_on_when_room_is_made_or_its_account_closes() {
        let budget = Budget::new(1, 100);
        let (account, other) = (budget.account(), budget.account());
        let wait_for_one = || {
            while budget.0.state.lock().waiting == 0 {
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            let permit = account.acquire(1, 0, deadline(0)).unwrap();
            let waiter = scope.spawn(|| account.acquire(1, 0, deadline(10_000)).is_ok());
            wait_for_one();
            drop(permit);
            assert!(waiter.join().unwrap());
            let _held = other.acquire(1, 0, deadline(0)).unwrap();
            let waiter = scope.spawn(|| kind(account.acquire(1, 0, deadline(10_000))));
            wait_for_one();
            account.close();
            assert_eq!(waiter.join().unwrap(), Some(ErrorKind::Closed));
            assert_eq!(
                kind(other.acquire(1, 0, deadline(0))),
                Some(ErrorKind::Busy)
            );
            budget.close();
            assert_eq!(
                kind(other.acquire(1, 0, deadline(0))),
                Some(ErrorKind::Closed)
            );
        });
    }

    #[test]
    fn an_account_knows_what_it_has_out() {
        let account = Budget::new(9, 9).account();
        let permit = account.acquire(0, 1, deadline(0)).unwrap();
        assert_eq!(account.wait_until_returned(deadline(5)), 1);
        drop(permit);
        assert_eq!(account.wait_until_returned(deadline(10_000)), 0);
    }
}
