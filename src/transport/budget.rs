use std::sync::Arc;
use std::time::Instant;

use super::Deadline;
use super::connection::Guard;
use crate::error::{Error, ErrorKind};
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use crate::sync::{Condvar, Mutex};

/// The one back-pressure mechanism: how many messages, and bytes of messages, may be in flight.
///
/// A caller that finds it exhausted waits until its deadline. Taking and returning touch one atomic
/// number each, here and in the account; only waiters use locks.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Inner>);

struct Inner {
    limit: Amount,
    /// An [`Amount`] in one number, so that both limits are looked at in one step.
    used: AtomicU64,
    closed: AtomicBool,
    freed: Bell,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Amount {
    messages: u64,
    bytes: u64,
}

/// One producer's account in a budget: it counts its own permits, and can be closed separately.
pub(crate) struct Account {
    budget: Budget,
    /// The number of permits in use.
    out: AtomicUsize,
    closed: AtomicBool,
    returned: Bell,
}

/// A part of the budget; dropping it gives it back.
pub(crate) struct Permit {
    account: Arc<Account>,
    /// An [`Amount`] in one number: every message in flight has a permit.
    amount: u64,
    /// The number of messages that this permit covers.
    permits: u32,
    waited: bool,
}

/// A wait for a change that is made without a lock.
#[derive(Default)]
struct Bell {
    waiting: AtomicUsize,
    lock: Mutex<()>,
    rung: Condvar,
}

impl Bell {
    /// Waits until `done` has something to give, or gives up at the deadline.
    fn wait<T>(&self, deadline: Deadline, done: impl Fn() -> Option<T>) -> Option<T> {
        // Counted before the check: a thread that changes something afterwards sees the waiter.
        self.waiting.fetch_add(1, SeqCst);
        let mut guard = self.lock.lock();
        let found = loop {
            let found = done();
            if found.is_some() || deadline.has_passed(Instant::now()) {
                break found;
            }
            self.rung.wait_until(&mut guard, deadline.instant());
        };
        self.waiting.fetch_sub(1, SeqCst);
        found
    }

    /// After a change.
    fn ring(&self) {
        if self.waiting.load(SeqCst) > 0 {
            // Under the lock, so that no waiter is between its check and its wait.
            drop(self.lock.lock());
            // Wakes all: which one can continue is not known here, and waiting is the slow case.
            self.rung.notify_all();
        }
    }
}

impl Budget {
    pub(crate) fn new(messages: usize, bytes: usize) -> Budget {
        Budget(Arc::new(Inner {
            limit: Amount {
                messages: (messages as u64).min(Amount::MOST_MESSAGES),
                bytes: (bytes as u64).min(Amount::MOST_BYTES),
            },
            used: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            freed: Bell::default(),
        }))
    }

    pub(crate) fn account(&self) -> Arc<Account> {
        Arc::new(Account {
            budget: self.clone(),
            out: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            returned: Bell::default(),
        })
    }

    /// Wakes all waiters, and issues no more permits.
    pub(crate) fn close(&self) {
        self.0.closed.store(true, SeqCst);
        self.0.freed.ring();
    }

    /// The messages and bytes in flight.
    pub(crate) fn used(&self) -> (u64, u64) {
        let used = Amount::unpack(self.0.used.load(SeqCst));
        (used.messages, used.bytes)
    }

    /// Takes the amount if it fits.
    fn try_take(&self, amount: Amount) -> bool {
        let take = |used| {
            let used = Amount::unpack(used);
            let fits = self.0.limit.admits(used, amount);
            fits.then(|| used.plus(amount).pack())
        };
        self.0.used.fetch_update(SeqCst, SeqCst, take).is_ok()
    }

    fn give_back(&self, amount: u64) {
        if amount > 0 {
            self.0.used.fetch_sub(amount, SeqCst);
            self.0.freed.ring();
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
        let amount = Amount {
            messages: messages as u64,
            bytes: bytes as u64,
        };
        let attempt = || match self.try_take(amount) {
            Ok(taken) => taken.then_some(Ok(())),
            Err(closed) => Some(Err(closed)),
        };
        let mut waited = false;
        let taken = attempt().unwrap_or_else(|| {
            waited = true;
            let taken = self.budget.0.freed.wait(deadline, attempt);
            taken.unwrap_or_else(|| Err(self.budget.busy()))
        });
        taken.map(|()| Permit {
            account: self.clone(),
            amount: amount.pack(),
            permits: 1,
            waited,
        })
    }

    fn try_take(&self, amount: Amount) -> Result<bool, Error> {
        // Counted before `closed` is checked: a thread that closes the account sees the permit, or
        // it is not issued.
        self.out.fetch_add(1, SeqCst);
        let closed = self.closed.load(SeqCst) || self.budget.0.closed.load(SeqCst);
        let taken = !closed && self.budget.try_take(amount);
        if !taken {
            self.note_returned(1);
        }
        if closed {
            return Err(Error::new(ErrorKind::Closed, "the producer is shut down"));
        }
        Ok(taken)
    }

    /// Wakes the waiters of this account, and issues no more permits on it.
    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
        self.budget.0.freed.ring();
    }

    /// Whether this account is closed, or its budget.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst) || self.budget.0.closed.load(SeqCst)
    }

    /// Waits until every permit is returned; returns the number still in use at the deadline.
    pub(crate) fn wait_until_returned(&self, deadline: Deadline) -> usize {
        let all_back = || (self.out.load(SeqCst) == 0).then_some(());
        match self.returned.wait(deadline, all_back) {
            Some(()) => 0,
            None => self.out.load(SeqCst),
        }
    }

    fn note_returned(&self, permits: usize) {
        if self.out.fetch_sub(permits, SeqCst) == permits {
            self.returned.ring();
        }
    }
}

impl Permit {
    /// Whether its taker had to wait for it.
    pub(crate) fn waited(&self) -> bool {
        self.waited
    }

    /// Returns the permit before it is dropped. (The counted reference to the account, which other
    /// threads touch too, is dropped with the rest.)
    pub(crate) fn give_back(&mut self) {
        let amount = std::mem::take(&mut self.amount);
        self.account.budget.give_back(amount);
        let permits = std::mem::take(&mut self.permits);
        if permits > 0 {
            self.account.note_returned(permits as usize);
        }
    }
}

impl Guard for Permit {
    fn merge(&mut self, mut other: Permit) -> Option<Permit> {
        let permits = self.permits.checked_add(other.permits);
        let Some(permits) = permits.filter(|_| Arc::ptr_eq(&self.account, &other.account)) else {
            return Some(other);
        };
        self.amount += other.amount;
        self.permits = permits;
        (other.amount, other.permits) = (0, 0);
        None
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Amount {
    /// Beyond what memory can hold, and what makes a sum that fits one number.
    const MOST_MESSAGES: u64 = (1 << (64 - Amount::BYTE_BITS)) - 1;
    const MOST_BYTES: u64 = (1 << Amount::BYTE_BITS) - 1;
    const BYTE_BITS: u32 = 40;

    fn pack(self) -> u64 {
        self.messages << Amount::BYTE_BITS | self.bytes
    }

    fn unpack(packed: u64) -> Amount {
        Amount {
            messages: packed >> Amount::BYTE_BITS,
            bytes: packed & Amount::MOST_BYTES,
        }
    }

    fn plus(self, more: Amount) -> Amount {
        Amount {
            messages: self.messages + more.messages,
            bytes: self.bytes + more.bytes,
        }
    }

    /// A message larger than the whole limit may be the only one in flight; otherwise it could
    /// never be sent.
    fn admits(self, used: Amount, more: Amount) -> bool {
        let fits =
            |limit: u64, used: u64, more: u64| more == 0 || used == 0 || used + more <= limit;
        fits(self.messages, used.messages, more.messages)
            && fits(self.bytes, used.bytes, more.bytes)
    }
}

impl Budget {
    /// The error of a caller whose deadline has passed.
    fn busy(&self) -> Error {
        let (used, limit) = (Amount::unpack(self.0.used.load(SeqCst)), self.0.limit);
        let text = format!(
            "{} of {} messages and {} of {} bytes are in flight; send slower, or raise the limits",
            used.messages, limit.messages, used.bytes, limit.bytes
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
    fn full_means_busy_at_the_deadline_and_a_dropped_permit_frees_capacity() {
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
            "taking nothing never waits"
        );
        drop((a, b));
        assert!(
            budget.acquire(1, 1000, deadline(0)).is_ok(),
            "larger than the limit is alone in flight"
        );
    }

    #[test]
    fn a_waiting_caller_continues_when_capacity_is_returned_or_its_account_closes() {
        let budget = Budget::new(1, 100);
        let (account, other) = (budget.account(), budget.account());
        let wait_for_one = || {
            while budget.0.freed.waiting.load(SeqCst) == 0 {
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
    fn an_account_counts_its_permits() {
        let account = Budget::new(9, 9).account();
        let permit = account.acquire(0, 1, deadline(0)).unwrap();
        assert_eq!(account.wait_until_returned(deadline(5)), 1);
        drop(permit);
        assert_eq!(account.wait_until_returned(deadline(10_000)), 0);
    }
}
