//! How many bytes the queues of one consumer may hold together, and which of them may fetch now.
//!
//! Half of the budget is guaranteed: each queue has an equal part of it for itself, so that no queue
//! starves. The other half is a pool: a queue that needs more takes it from the pool, in the order of
//! asking, as long as its part of the pool is not larger than the rest. So a single busy queue can use
//! three quarters of the budget, and several busy queues leave a part for the next one.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A broker ends an answer after these bytes, or after the first message.
const MOST_OF_AN_ANSWER: u64 = 256 * 1024;

/// The assumed size of a message until one was seen.
const FIRST_ESTIMATE: u64 = 8 * 1024;

/// The bytes of all queues of a consumer. `K` names a queue.
#[derive(Debug)]
pub(crate) struct Budget<K> {
    bytes: u64,
    /// The most messages that a request asks for.
    most_messages: usize,
    accounts: HashMap<K, Account>,
    /// Queues that wait for the pool.
    line: VecDeque<K>,
    /// Held and reserved bytes of all queues.
    used: u64,
    /// The bytes that queues use beyond their guarantee.
    pooled: u64,
    /// Queues that are not removed.
    queues: u64,
    /// The estimated size of a message, for queues of which none was seen.
    typical: u64,
    /// Queues in line that released bytes: their guarantee may suffice now.
    relieved: Vec<K>,
    /// The guarantee changed, or could not be used because the whole budget was in use: look at all queues
    /// in line.
    look_at_all: bool,
    dropped: u64,
}

#[derive(Debug, Clone, Copy)]
struct Account {
    held: u64,
    /// Set while a request is in flight.
    reserved: Option<u64>,
    /// The estimated size of a message, once one was seen.
    estimate: Option<u64>,
    /// The last answer had no message: the next request is likely to be parked.
    is_caught_up: bool,
    /// The capacity of the queue, in messages, when it last asked.
    wanted: usize,
    is_in_line: bool,
    /// The queue was given up; handlers still hold its bytes.
    is_removed: bool,
}

/// A request that may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    /// How many messages to ask for.
    pub(crate) messages: usize,
    /// Whether the broker may park the request until there is a message. It may not if other queues need
    /// the reservation.
    pub(crate) may_park: bool,
}

/// What to do with the messages of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Accept them. They count until they are [released](Budget::release).
    Kept,
    /// Drop them: they are larger than expected, and there is no capacity. The next request asks for the
    /// same offset, and reserves their real size.
    Dropped,
}

impl<K: Copy + Eq + Hash> Budget<K> {
    pub(crate) fn new(bytes: u64, most_messages: usize) -> Budget<K> {
        Budget {
            bytes: bytes.max(2),
            most_messages,
            accounts: HashMap::new(),
            line: VecDeque::new(),
            used: 0,
            pooled: 0,
            queues: 0,
            typical: FIRST_ESTIMATE,
            relieved: Vec::new(),
            look_at_all: false,
            dropped: 0,
        }
    }

    /// Bytes that are held by messages.
    pub(crate) fn held(&self) -> u64 {
        self.accounts.values().map(|account| account.held).sum()
    }

    /// Answers that were dropped.
    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Queues that wait for capacity.
    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// A queue was taken. If handlers still hold bytes of its last assignment, these still count.
    pub(crate) fn add(&mut self, queue: K) {
        let held = self.remove(queue);
        let account = Account {
            held,
            reserved: None,
            estimate: None,
            is_caught_up: false,
            wanted: 0,
            is_in_line: false,
            is_removed: false,
        };
        self.accounts.insert(queue, account);
        self.count(1);
    }

    /// A queue was given up: its reservation ends. The bytes that handlers still hold count until they are
    /// released. Returns these bytes.
    pub(crate) fn remove(&mut self, queue: K) -> u64 {
        self.unanswered(queue);
        self.leave_line(queue);
        let Some(account) = self.accounts.get_mut(&queue) else {
            return 0;
        };
        let held = account.held;
        let was_ours = !std::mem::replace(&mut account.is_removed, true);
        if held == 0 {
            self.accounts.remove(&queue);
        }
        self.count(-i64::from(was_ours));
        held
    }

    /// Asks for a request of a queue that has capacity for this many messages and no request in
    /// flight. `None`: the queue waits in line, and [`serve`](Budget::serve) will name it.
    pub(crate) fn ask(&mut self, queue: K, capacity: usize) -> Option<Grant> {
        let account = self.accounts.get_mut(&queue)?;
        if account.is_removed || account.reserved.is_some() || capacity == 0 {
            return None;
        }
        account.wanted = capacity.min(self.most_messages);
        if account.is_in_line {
            return None;
        }
        let granted = self.grant(queue, self.line.is_empty());
        if granted.is_none() {
            self.line.push_back(queue);
            self.change(queue, |account| account.is_in_line = true);
        }
        granted
    }

    /// The next queue in line that may send its request now. Call it until it returns `None`, after bytes
    /// were released, a request ended, or a queue was added or removed.
    pub(crate) fn serve(&mut self) -> Option<(K, Grant)> {
        if let Some(first) = self.line.front().copied() {
            if let Some(grant) = self.grant(first, true) {
                self.leave_line(first);
                return Some((first, grant));
            }
        }
        // A queue that needs only its guarantee does not wait for the first in line.
        if std::mem::take(&mut self.look_at_all) {
            self.relieved = self.line.iter().copied().collect();
        }
        while let Some(queue) = self.relieved.pop() {
            let waits = self.accounts.get(&queue).is_some_and(|a| a.is_in_line);
            if let Some(grant) = waits.then(|| self.grant(queue, false)).flatten() {
                self.leave_line(queue);
                return Some((queue, grant));
            }
        }
        None
    }

    /// The request was answered with this many messages of this size.
    pub(crate) fn answered(&mut self, queue: K, messages: usize, bytes: u64) -> Answer {
        let reserved = self.unanswered(queue);
        let Some(account) = self.accounts.get_mut(&queue) else {
            return Answer::Dropped;
        };
        account.is_caught_up = messages == 0;
        if messages > 0 {
            let each = bytes.div_ceil(messages as u64).max(1);
            account.estimate = Some(corrected(account.estimate.unwrap_or(each), each));
            self.typical = corrected(self.typical, each);
        }
        if account.is_removed || bytes > reserved && !self.fits(queue, bytes) {
            self.dropped += u64::from(messages > 0);
            return Answer::Dropped;
        }
        self.change(queue, |account| account.held += bytes);
        Answer::Kept
    }

    /// The request ended without a usable answer. Returns what it had reserved.
    pub(crate) fn unanswered(&mut self, queue: K) -> u64 {
        let reserved = self.change(queue, |account| account.reserved.take());
        reserved.flatten().unwrap_or(0)
    }

    /// Messages of this size were released.
    pub(crate) fn release(&mut self, queue: K, bytes: u64) {
        self.change(queue, |account| {
            account.held = account.held.saturating_sub(bytes)
        });
        match self.accounts.get(&queue) {
            Some(account) if account.is_in_line => self.relieved.push(queue),
            Some(account) if account.is_removed && account.held == 0 => {
                self.accounts.remove(&queue);
            }
            _ => {}
        }
    }

    /// Changes an account, and the sums over all of them with it.
    fn change<R>(&mut self, queue: K, change: impl FnOnce(&mut Account) -> R) -> Option<R> {
        let guarantee = self.guarantee();
        let account = self.accounts.get_mut(&queue)?;
        let (used, pooled) = (account.used(), account.pooled(guarantee));
        let result = change(account);
        self.used = self.used - used + account.used();
        self.pooled = self.pooled - pooled + account.pooled(guarantee);
        Some(result)
    }

    /// The number of queues changed, and so did the guarantees.
    fn count(&mut self, more: i64) {
        self.queues = self.queues.saturating_add_signed(more);
        self.look_at_all = true;
        let guarantee = self.guarantee();
        self.used = self.accounts.values().map(Account::used).sum();
        self.pooled = self.accounts.values().map(|a| a.pooled(guarantee)).sum();
    }

    /// A request of this queue now, if there is capacity for it.
    fn grant(&mut self, queue: K, is_first: bool) -> Option<Grant> {
        let account = self.accounts[&queue];
        let own_left = self.guarantee().saturating_sub(account.used());
        let estimate = account.estimate.unwrap_or(self.typical);
        let size = |messages: usize| {
            let size = estimate.saturating_mul(messages as u64);
            size.min(MOST_OF_AN_ANSWER.max(estimate))
        };
        let wanted = account.wanted;
        let free = self.bytes.saturating_sub(self.used);
        let (messages, reserved, may_park) = if account.is_caught_up {
            // It is parked at the broker, most of the time without a message. Its answer is
            // dropped if there is no capacity then.
            (wanted, size(wanted).min(own_left).min(free), true)
        } else if size(wanted) <= own_left && size(wanted) <= free {
            (wanted, size(wanted), true)
        } else if is_first && self.fits(queue, size(wanted)) {
            (wanted, size(wanted), false)
        } else {
            let fewer = (own_left.min(free) / estimate) as usize;
            if fewer == 0 {
                self.look_at_all |= own_left >= estimate;
                return None;
            }
            (fewer, size(fewer), true)
        };
        self.change(queue, |account| account.reserved = Some(reserved));
        Some(Grant { messages, may_park })
    }

    fn leave_line(&mut self, queue: K) {
        let left = self.change(queue, |account| std::mem::take(&mut account.is_in_line));
        if left == Some(true) {
            let place = self.line.iter().position(|waiting| *waiting == queue);
            place.and_then(|place| self.line.remove(place));
        }
    }

    /// Whether there is capacity for so many more bytes.
    fn fits(&self, queue: K, bytes: u64) -> bool {
        let account = self.accounts[&queue];
        let own = account.pooled(self.guarantee());
        let wanted = account.used().saturating_add(bytes);
        let wanted = wanted.saturating_sub(self.guarantee());
        let pool = self.bytes / 2;
        if wanted > pool {
            // Larger than the budget: passes alone, when its own queue is empty and no queue uses the
            // pool.
            return account.used() == 0 && self.pooled == 0 && self.used <= pool;
        }
        let in_all = self.used.saturating_add(bytes) <= self.bytes;
        in_all && (wanted == own || wanted <= pool.saturating_sub(self.pooled))
    }

    /// The guaranteed bytes of each queue.
    fn guarantee(&self) -> u64 {
        self.bytes / 2 / self.queues.max(1)
    }
}

impl Account {
    fn used(&self) -> u64 {
        self.held + self.reserved.unwrap_or(0)
    }

    fn pooled(&self, guarantee: u64) -> u64 {
        self.used().saturating_sub(guarantee)
    }
}

/// An estimate rises at once and falls slowly.
fn corrected(estimate: u64, seen: u64) -> u64 {
    match estimate.checked_sub(seen) {
        Some(less) => estimate - less / 4,
        None => seen,
    }
}

#[cfg(test)]
mod tests;
