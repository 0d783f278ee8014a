//! Half messages: stored where no consumer looks until their transaction ends.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::LOG;
use super::broker::{BrokerService, bad_request};
use super::store::Draft;
use super::stored::StoredMessage;
use crate::logging;
use crate::message::{TransactionState, name};
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::message::Record;
use crate::protocol::transaction::{CheckTransaction, EndTransaction};

/// Where brokers keep half messages; nobody may send there.
pub(super) const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";

/// One transaction as a broker saw it; see [`Cluster::transactions`](super::Cluster::transactions).
#[derive(Clone)]
pub struct Transaction(Arc<Half>, State);

#[derive(Clone)]
struct State {
    end: Option<TransactionState>,
    checks: usize,
    told: Vec<EndTransaction>,
    remarks: Vec<String>,
}

struct Half {
    /// As it was stored; its topic is [`HALF_TOPIC`].
    stored: StoredMessage,
    topic: Arc<str>,
    queue_id: i32,
    group: String,
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

    /// How often a producer was asked about it.
    pub fn checks(&self) -> usize {
        self.1.checks
    }

    /// What producers said about its end, in order of arrival, until it had ended. Ends that do not
    /// fit the half message are not among them.
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
pub(super) struct Transactions {
    all: Mutex<Vec<Transaction>>,
    told: Condvar,
}

impl Transactions {
    pub(super) fn add(&self, stored: StoredMessage, topic: &Arc<str>, queue_id: i32) {
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

    pub(super) fn all(&self) -> Vec<Transaction> {
        self.all.lock().clone()
    }

    /// The transaction as soon as it is `enough`, or what is known when the time is up.
    pub(super) fn wait(
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
    fn end(
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
        // Shown before anybody can see that it has ended.
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
    fn open(&self, broker: &str) -> Vec<Arc<Half>> {
        let all = self.all.lock();
        let open = all
            .iter()
            .filter(|one| one.1.end.is_none() && one.0.stored.broker() == broker);
        open.map(|one| Arc::clone(&one.0)).collect()
    }

    fn note_check(&self, half: &Arc<Half>) {
        let mut all = self.all.lock();
        if let Some(one) = all.iter_mut().find(|one| Arc::ptr_eq(&one.0, half)) {
            one.1.checks += 1;
        }
    }
}

impl BrokerService {
    /// What a real broker does with the end of a transaction. The answer is seen only if the end
    /// was not sent oneway.
    pub(super) fn end_transaction(&self, request: &Command) -> Command {
        let end = match EndTransaction::decode(&request.ext) {
            Ok(end) => end,
            Err(error) => return bad_request(request, &error),
        };
        let show = |half: &Half| {
            let shown = half.stored.committed(&half.topic, half.queue_id);
            let drafts = vec![Draft::of(shown)];
            self.store
                .append(self.index, &half.topic, half.queue_id, drafts);
        };
        let remark = request.remark.as_deref();
        match self.transactions.end(&self.name, &end, remark, show) {
            Ok(()) => Command::response_to(request, response::SUCCESS),
            Err(remark) => {
                logging::warn!(target: LOG, "{}: end of a transaction refused: {remark}", self.name);
                Command::response_to(request, response::SYSTEM_ERROR).with_remark(remark)
            }
        }
    }

    /// Asks a producer of the group about each open transaction; says how many could be asked.
    pub(super) fn check_transactions(&self) -> usize {
        let mut asked = 0;
        for half in self.transactions.open(&self.name) {
            if self.ask_about(&half) {
                self.transactions.note_check(&half);
                asked += 1;
            }
        }
        asked
    }

    fn ask_about(&self, half: &Half) -> bool {
        let Some(connection) = self.producers.of_group(&half.group) else {
            return false;
        };
        let stored = &half.stored;
        let question = CheckTransaction {
            topic: Some(HALF_TOPIC.to_owned()),
            table_offset: stored.queue_offset(),
            commit_log_offset: stored.commit_log_offset(),
            message_id: stored.unique_key().map(str::to_owned),
            transaction_id: stored.unique_key().map(str::to_owned),
            offset_message_id: Some(stored.offset_message_id()),
            broker_name: Some(self.name.to_string()),
        };
        let properties = stored.handed_out_properties();
        let record = Record {
            topic: &half.topic,
            queue_id: half.queue_id,
            ..stored.record(&properties)
        };
        let mut body = Vec::new();
        if record.encode(&mut body).is_err() {
            return false;
        }
        let ask = Command::request(request::CHECK_TRANSACTION_STATE);
        let ask = ask.with_fields(&question).with_body(body).oneway();
        self.ask_client(connection, ask)
    }
}
