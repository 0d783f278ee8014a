//! The brokers' questions about transactions, answered by a bounded pool of threads.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::Throttle;
use crate::error::Printable;
use crate::logging;
use crate::message::{MessageView, TransactionState, name};
use crate::panics::caught;
use crate::protocol::code::request;
use crate::protocol::message::Packed;
use crate::protocol::transaction::{CheckTransaction, EndTransaction};
use crate::send::hooks::EndTransactionContext;
use crate::send::{LOG, SendConfig};
use crate::transport::{Account, Connection, Deadline, Pool, Remoting, Request, Threads};

/// The user's answer to a check.
pub(super) type Check = dyn Fn(&MessageView) -> TransactionState + Send + Sync;

/// The parts that a transaction producer needs to answer checks.
pub(super) struct Checks {
    pub(super) config: SendConfig,
    pub(super) check: Arc<Check>,
    pub(super) account: Arc<Account>,
    pub(super) remoting: Arc<Remoting>,
    /// Brokers ask as often as they like.
    pub(super) warnings: Throttle,
}

/// The same, with its threads.
pub(in crate::producer) struct Running {
    checks: Arc<Checks>,
    pool: Pool,
    threads: Threads,
    waiting: Arc<AtomicUsize>,
    most_waiting: usize,
}

impl Checks {
    pub(super) fn start(self, threads: usize, most_waiting: usize) -> io::Result<Running> {
        let own = Threads::default();
        Ok(Running {
            pool: Pool::start(&own, "rmq-check", threads)?,
            checks: Arc::new(self),
            threads: own,
            waiting: Arc::default(),
            most_waiting,
        })
    }

    /// Calls the user's closure and answers the broker, over the connection of its request.
    fn answer(&self, from: &Arc<Connection>, question: CheckTransaction, half: Packed) {
        // Held until the answer is written: a shutdown waits for it. None is given out after one,
        // so that no check begins then.
        let now = Deadline::after(Instant::now(), Duration::ZERO);
        let Ok(permit) = self.account.acquire(0, 0, now) else {
            return;
        };
        let config = &self.config;
        let topic = config.names.for_users(&half.topic().into());
        let half = half.with_topic(Arc::clone(&topic));
        let (state, failure) = match half.clone().unpack(config.max_message_size) {
            Ok(half) => match catch(|| (self.check)(&half)) {
                Ok(state) => (state, None),
                Err(panic) => (TransactionState::Unknown, Some(panic.to_string())),
            },
            Err(error) => {
                let text = format!("the half message cannot be read: {}", error.error);
                (TransactionState::Unknown, Some(text))
            }
        };
        let key = half.property(name::UNIQ_KEY).map(str::to_owned);
        let end = EndTransaction {
            topic: question.topic,
            producer_group: config.group_on_wire.to_string(),
            table_offset: question.table_offset,
            commit_log_offset: question.commit_log_offset,
            state,
            from_check: true,
            message_id: key.or(question.message_id),
            transaction_id: question.transaction_id,
            broker_name: question.broker_name,
        };
        let failure = failure.map(|text| format!("check failed: {text}"));
        let told = with_end(&end, failure, |request| {
            self.remoting.send_on(from, request, permit)
        });
        if let Err(error) = told {
            let id = &end.message_id;
            let (level, more) = self.warnings.level(Instant::now());
            logging::log!(
                target: LOG,
                level,
                "the answer ({state}) about transaction {id:?} was not taken, the broker asks again: {error}{more}"
            );
        }
        config.hooks.ended(|| EndTransactionContext {
            group: config.group.clone(),
            topic,
            message_id: end.message_id.clone().unwrap_or_default(),
            transaction_id: end.transaction_id.clone().unwrap_or_default(),
            tag: half.property(name::TAGS).map(str::to_owned),
            keys: half.property(name::KEYS).map(str::to_owned),
            broker_address: from.address().clone(),
            state: java_name(state),
            from_check: true,
        });
    }
}

impl Running {
    /// Takes a broker's check of a half message, whose body is still packed. Runs on a reader
    /// thread, so it only hands over.
    pub(in crate::producer) fn check(
        &self,
        from: &Arc<Connection>,
        question: CheckTransaction,
        half: Packed,
    ) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.most_waiting {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            let (broker, group) = (from.address(), &self.checks.config.group);
            let (level, more) = self.checks.warnings.level(Instant::now());
            logging::log!(
                target: LOG,
                level,
                "{broker}: too many checks of group {group} wait; it will ask again{more}"
            );
            return;
        }
        let (checks, waiting, from) = (self.checks.clone(), self.waiting.clone(), from.clone());
        self.pool.submit(Box::new(move || {
            waiting.fetch_sub(1, Ordering::Relaxed);
            checks.answer(&from, question, half);
        }));
    }

    /// No check begins from now on.
    pub(in crate::producer) fn stop(&self) {
        self.pool.close();
    }

    /// Waits for the threads of running checks; names those that still run at the deadline.
    pub(in crate::producer) fn join(&self, deadline: Deadline) -> Vec<String> {
        self.threads.join(deadline)
    }
}

/// Builds the request that ends a transaction: after the local transaction or after a check. An
/// error of the user's code goes into the remark, truncated and escaped.
pub(super) fn with_end<T>(
    end: &EndTransaction,
    failure: Option<String>,
    run: impl FnOnce(&Request<'_>) -> T,
) -> T {
    let remark = failure.map(|text| Printable(&text).to_string());
    if let (Some(remark), Some(id)) = (&remark, &end.message_id) {
        logging::warn!(target: LOG, "transaction {id} of group {}: {remark}", end.producer_group);
    }
    let request = Request::new(request::END_TRANSACTION, end);
    run(&request.with_remark(remark.as_deref()))
}

/// The state as hooks see it.
pub(super) fn java_name(state: TransactionState) -> &'static str {
    match state {
        TransactionState::Commit => "COMMIT_MESSAGE",
        TransactionState::Rollback => "ROLLBACK_MESSAGE",
        TransactionState::Unknown => "UNKNOW",
    }
}

/// Runs the user's code; its panic comes back as an error.
pub(super) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    caught(run).map_err(|payload| Panicked(panic_text(&**payload)))
}

/// The user's code panicked.
#[derive(Debug)]
pub(super) struct Panicked(String);

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.0)
    }
}

impl StdError for Panicked {}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("with something that is no text").to_owned()
}
