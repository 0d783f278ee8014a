//! The outcome of every message, by its unique key, and whether it is legal.
//!
//! The invariants are those of the fault plan: I1 each send has one outcome; I2 what was confirmed
//! is stored, where the receipt says; I3 outcomes come by the deadline; I4 copies are explained by
//! attempts that may have stored one; I5 nothing is left behind; I6 no thread panics and no log
//! shows a body; I7 an address has one connection. `bench` and `watch` check I5 to I7.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rocketmq_blocking::embedded::StoredMessage;
use rocketmq_blocking::hook::{SendContext, SendMessageHook, SendOutcome};
use rocketmq_blocking::{Error, SendFate, SendReceipt};

use super::PATIENCE;
use super::watch::Control;

type Outcome = Result<SendReceipt, Error>;

pub struct Ledger {
    entries: Mutex<BTreeMap<String, Entry>>,
    changed: Condvar,
    control: Control,
    /// Bytes were changed on the wire, and answers may be wrong.
    distrusted: AtomicBool,
    /// For each send, the failed attempts that may have stored a copy, as counted by hooks.
    doubts: Mutex<Option<BTreeMap<String, usize>>>,
}

/// Tells the ledger of failed attempts, those of sends that succeed in the end too.
pub struct Doubts(Arc<Ledger>);

impl SendMessageHook for Doubts {
    fn after(&self, context: &SendContext, outcome: &SendOutcome<'_>) {
        if let SendOutcome::Failed(error) = outcome {
            if error.fate() == SendFate::MaybeStored {
                let mut doubts = self.0.doubts.lock();
                let doubts = doubts.as_mut().expect("this is there");
                *doubts.entry(context.message_id.clone()).or_default() += 1;
            }
        }
    }
}

/// The numbers of sends that were stored at once, stored after a retry, or failed.
#[derive(Debug, Default)]
pub struct Counts {
    pub stored: usize,
    pub retried: usize,
    pub not_sent: usize,
    pub maybe_stored: usize,
}

struct Entry {
    begun: Instant,
    timeout: Duration,
    body: Vec<u8>,
    outcomes: Vec<(Instant, Outcome)>,
}

impl Ledger {
    pub fn new() -> Ledger {
        Ledger {
            entries: Mutex::default(),
            changed: Condvar::new(),
            control: Control::start(),
            distrusted: AtomicBool::new(false),
            doubts: Mutex::default(),
        }
    }

    /// A hook for all producers whose sends are recorded here.
    pub fn doubts(self: &Arc<Self>) -> Doubts {
        self.doubts.lock().get_or_insert_default();
        Doubts(self.clone())
    }

    /// A send begins.
    pub fn begin(&self, key: &str, timeout: Duration, body: Vec<u8>) {
        let entry = Entry {
            begun: Instant::now(),
            timeout,
            body,
            outcomes: Vec::new(),
        };
        let before = self.entries.lock().insert(key.to_owned(), entry);
        assert!(before.is_none(), "{key} is not unique");
    }

    /// A send has this outcome.
    pub fn end(&self, key: &str, outcome: Outcome) {
        let now = Instant::now();
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(key).expect("it has begun");
        entry.outcomes.push((now, outcome));
        self.changed.notify_all();
    }

    /// When a send ended, and how.
    #[track_caller]
    pub fn outcome(&self, key: &str) -> (Instant, Outcome) {
        let mut entries = self.entries.lock();
        let deadline = Instant::now() + entries[key].timeout + PATIENCE;
        loop {
            if let Some(outcome) = entries[key].outcomes.first() {
                return outcome.clone();
            }
            let waited = self.changed.wait_until(&mut entries, deadline);
            assert!(!waited.timed_out(), "{key} has no outcome");
        }
    }

    pub fn is_over(&self, key: &str) -> bool {
        !self.entries.lock()[key].outcomes.is_empty()
    }

    /// Answers may be wrong from now on.
    pub fn distrust(&self) {
        self.distrusted.store(true, Ordering::SeqCst);
    }

    /// Waits until everything has an outcome.
    #[track_caller]
    pub fn settle(&self) {
        let keys: Vec<String> = self.entries.lock().keys().cloned().collect();
        for key in keys {
            let _ = self.outcome(&key);
        }
    }

    /// The lateness that this machine can cause just now. Computing threads wait longer for a
    /// processor than the sleeping control: hence the seconds.
    pub fn slack(&self) -> Duration {
        Duration::from_secs(3) + self.control.worst() * 5
    }

    /// The outcomes of all sends so far.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let entries = self.entries.lock();
        for (_, outcome) in entries.values().flat_map(|entry| &entry.outcomes) {
            match outcome {
                Ok(receipt) if receipt.attempts() > 1 => counts.retried += 1,
                Ok(_) => counts.stored += 1,
                Err(error) if error.fate() == SendFate::NotSent => counts.not_sent += 1,
                Err(_) => counts.maybe_stored += 1,
            }
        }
        counts
    }

    /// I1 to I4, when nothing more can arrive.
    #[track_caller]
    pub fn check(&self, stored: &[StoredMessage]) {
        let mut copies: BTreeMap<&str, Vec<&StoredMessage>> = BTreeMap::new();
        for message in stored {
            let key = message.unique_key().expect("every message has a key");
            copies.entry(key).or_default().push(message);
        }
        let (slack, trust) = (self.slack(), !self.distrusted.load(Ordering::SeqCst));
        let (entries, doubts) = (self.entries.lock(), self.doubts.lock());
        for (key, entry) in &*entries {
            let copies = copies.remove(key.as_str()).unwrap_or_default();
            let doubts = doubts.as_ref();
            let doubts = doubts.map(|all| all.get(key).copied().unwrap_or(0));
            let broken = entry.broken(&copies, doubts, slack, trust);
            assert!(
                broken.is_none(),
                "{key}: {broken:?}; {} copies, slack {slack:?}, {entry:?}",
                copies.len()
            );
        }
        assert!(
            copies.is_empty(),
            "not sent by the test: {:?}",
            copies.keys()
        );
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes for {:?}", self.body.len(), self.timeout)?;
        for (at, outcome) in &self.outcomes {
            write!(f, ", after {:?}: {outcome:?}", *at - self.begun)?;
        }
        Ok(())
    }
}

impl Entry {
    /// The invariant that does not hold.
    fn broken(
        &self,
        copies: &[&StoredMessage],
        doubts: Option<usize>,
        slack: Duration,
        trust: bool,
    ) -> Option<&'static str> {
        let [(at, outcome)] = &self.outcomes[..] else {
            return Some("I1: not exactly one outcome");
        };
        if copies.iter().any(|copy| *copy.body() != self.body) {
            return Some("I2: another body was stored");
        }
        let latest = self.begun.checked_add(self.timeout + slack);
        if latest.is_some_and(|latest| *at > latest) {
            return Some("I3: late");
        }
        match outcome {
            _ if !trust => None,
            Ok(receipt) => {
                let id = receipt.offset_message_id();
                let confirmed = copies.iter().any(|copy| copy.offset_message_id() == id);
                if !confirmed {
                    return Some("I2: confirmed and not stored, or the receipt of another one");
                }
                let attempts = receipt.attempts() as usize;
                let most = doubts.map_or(attempts, |doubts| doubts + 1);
                (copies.len() > most)
                    .then_some("I4: more copies than attempts that may have stored one")
            }
            Err(error) => {
                let attempts = error.attempts();
                let may_be = |error: &Error| error.fate() == SendFate::MaybeStored;
                let most = attempts.iter().filter(|a| may_be(&a.error)).count();
                // Of very many attempts those in the middle are not listed.
                let more = error.attempts_made() - attempts.len();
                if may_be(error) != (most > 0) && more == 0 {
                    return Some("I4: the error does not promise what its attempts do");
                }
                (copies.len() > most + more)
                    .then_some("I4: more copies than attempts that may have stored")
            }
        }
    }
}
