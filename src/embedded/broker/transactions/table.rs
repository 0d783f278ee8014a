//! Half messages: hidden from consumers until their transaction ends.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::embedded::store::StoredMessage;
use crate::message::{TransactionState, name};
use crate::protocol::transaction::EndTransaction;

/// The topic in which brokers keep half messages; clients must not send to it.
pub(in crate::embedded::broker) const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";

/// One transaction as a broker saw it; see
/// [`Cluster::transactions`](crate::embedded::Cluster::transactions).
#[derive(Clone)]
pub struct Transaction(Arc<Half>, State);

#[derive(Clone)]
struct State {
    end: Option<TransactionState>,
    checks: usize,
    told: Vec<EndTransaction>,
    remarks: Vec<String>,
}

pub(super) struct Half {
    /// As it was stored; its topic is [`HALF_TOPIC`].
    pub(super) stored: StoredMessage,
    pub(super) topic: Arc<str>,
    pub(super) queue_id: i32,
    pub(super) group: String,
}

impl Transaction {
    /// The half message. It is stored in the broker's own topic; its other parts are the sender's.
    pub fn half(&self) -> &StoredMessage {
        &self.0.stored
    }

    /// The topic in which consumers see the message once it is committed.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// The group that is asked about it.
    pub fn group(&self) -> &str {
        &self.0.group
    }

    /// The transaction's id: the message's unique key.
    pub fn id(&self) -> &str {
        self.0.stored.unique_key().unwrap_or_default()
    }

    /// [`Unknown`](TransactionState::Unknown) as long as it is open.
    pub fn state(&self) -> TransactionState {
        self.1.end.unwrap_or(TransactionState::Unknown)
    }

    /// How many checks were sent.
    pub fn checks(&self) -> usize {
        self.1.checks
    }

    /// The states that producers reported, in order of arrival, until it ended. Reports that do not
    /// match the half message are not included.
    pub fn told(&self) -> &[EndTransaction] {
        &self.1.told
    }

    /// The remarks that came with it: what failed in the producers' code.
    pub fn remarks(&self) -> &[String] {
        &self.1.remarks
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("id", &self.id())
            .field("topic", &self.0.topic)
            .field("group", &self.0.group)
            .field("state", &self.state())
            .field("checks", &self.1.checks)
            .finish_non_exhaustive()
    }
}

/// The transactions of all brokers, in order of arrival.
#[derive(Default)]
pub(in crate::embedded) struct Transactions {
    all: Mutex<Vec<Transaction>>,
    told: Condvar,
}

impl Transactions {
    pub(in crate::embedded) fn add(&self, stored: StoredMessage, topic: &Arc<str>, queue_id: i32) {
        let group = stored.property(name::PRODUCER_GROUP).unwrap_or_default();
        let half = Half {
            group: group.to_owned(),
            topic: Arc::clone(topic),
            queue_id,
            stored,
        };
        let open = State {
            end: None,
            checks: 0,
            told: Vec::new(),
            remarks: Vec::new(),
        };
        self.all.lock().push(Transaction(Arc::new(half), open));
    }

    pub(in crate::embedded) fn all(&self) -> Vec<Transaction> {
        self.all.lock().clone()
    }

    /// The transaction as soon as it is `enough`, or its state at the timeout.
    pub(in crate::embedded) fn wait(
        &self,
        id: &str,
        timeout: Duration,
        enough: impl Fn(&Transaction) -> bool,
    ) -> Option<Transaction> {
        let deadline = Instant::now() + timeout;
        let mut all = self.all.lock();
        loop {
            let found = all.iter().find(|one| one.id() == id);
            if found.is_some_and(&enough) {
                return found.cloned();
            }
            let found = found.cloned();
            if self.told.wait_until(&mut all, deadline).timed_out() {
                return found;
            }
        }
    }

    /// Notes an end; `show` gets the half message that this commits.
    pub(super) fn end(
        &self,
        broker: &str,
        end: &EndTransaction,
        remark: Option<&str>,
        show: impl FnOnce(&Half),
    ) -> Result<(), &'static str> {
        let mut all = self.all.lock();
        let found = all.iter_mut().find(|one| {
            let half = &one.0.stored;
            let same = half.commit_log_offset() == end.commit_log_offset;
            one.1.end.is_none() && same && half.broker() == broker
        });
        let Some(Transaction(half, state)) = found else {
            return Err("Find prepared transaction message failed");
        };
        if half.group != end.producer_group {
            return Err("The producer group wrong");
        }
        if half.stored.queue_offset() != end.table_offset {
            return Err("The transaction state table offset wrong");
        }
        // Made visible before the end can be observed.
        if end.state == TransactionState::Commit {
            show(half);
        }
        state.told.push(end.clone());
        state.remarks.extend(remark.map(str::to_owned));
        if end.state != TransactionState::Unknown {
            state.end = Some(end.state);
        }
        drop(all);
        self.told.notify_all();
        Ok(())
    }

    /// The open ones of a broker.
    pub(super) fn open(&self, broker: &str) -> Vec<Arc<Half>> {
        let all = self.all.lock();
        let open = all
            .iter()
            .filter(|one| one.1.end.is_none() && one.0.stored.broker() == broker);
        open.map(|one| Arc::clone(&one.0)).collect()
    }

    pub(super) fn note_check(&self, half: &Arc<Half>) {
        let mut all = self.all.lock();
        if let Some(one) = all.iter_mut().find(|one| Arc::ptr_eq(&one.0, half)) {
            one.1.checks += 1;
        }
    }
}
