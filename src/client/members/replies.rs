//! Replies that brokers push, over any connection, and the requests that wait for them.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::member::BrokerRequest;
use crate::client::LOG;
use crate::error::{Error, ErrorKind, Result, Wait};
use crate::logging;
use crate::message::MessageView;
use crate::protocol::reply::{self, PushedReply};
use crate::protocol::sys_flag;
use crate::sync::Mutex;
use crate::transport::{Deadline, Entry, Pending, Timer};

/// The requests of a client that wait for replies, by correlation id.
pub(crate) struct Replies(Arc<Shared>);

struct Shared {
    table: Mutex<Table>,
    timer: Timer,
    random: RandomState,
    made: AtomicU64,
}

struct Table {
    pending: Pending<Waiting, u128>,
    closed: bool,
}

/// A waiter for a reply.
pub(crate) struct Waiting {
    /// The group of the producer that asked.
    pub(crate) group: Arc<str>,
    pub(crate) topic: Arc<str>,
    pub(crate) timeout: Duration,
    /// The most that a compressed reply may inflate to.
    pub(crate) limit: usize,
    pub(crate) answer: Answer,
}

/// Takes the reply or the error, exactly once, on a reader, timer or shutdown thread. It hands over
/// and runs no user code; the receiver unpacks the reply.
pub(crate) type Answer = Box<dyn FnOnce(Result<PackedReply>) + Send>;

/// A reply as it came. The thread that wants it unpacks it: a reader has all other answers of its
/// connection to read, and no time to inflate a body.
pub(crate) struct PackedReply {
    header: PushedReply,
    body: Vec<u8>,
    topic: Arc<str>,
    limit: usize,
    /// The broker's request. Taken once it is answered.
    question: Option<BrokerRequest>,
}

impl Replies {
    pub(in crate::client) fn new(timer: Timer) -> Replies {
        Replies(Arc::new(Shared {
            table: Mutex::new(Table {
                pending: Pending::new(),
                closed: false,
            }),
            timer,
            random: RandomState::new(),
            made: AtomicU64::new(0),
        }))
    }

    /// An unpredictable correlation id, so that a peer cannot forge a reply.
    pub(crate) fn new_id(&self) -> u128 {
        let shared = &self.0;
        let half = || {
            let count = shared.made.fetch_add(1, Ordering::Relaxed);
            u128::from(shared.random.hash_one(count))
        };
        reply::correlation(half() << 64 | half())
    }

    /// Adds a waiter until the deadline. After the end of the client it is returned.
    pub(crate) fn register(
        &self,
        id: u128,
        deadline: Deadline,
        waiting: Waiting,
    ) -> std::result::Result<(), Waiting> {
        let mut table = self.0.table.lock();
        if table.closed {
            return Err(waiting);
        }
        let entry = Entry::new(waiting, Instant::now(), deadline.instant(), 0, false);
        let look = match table.pending.register(id, entry) {
            Ok(look) => look,
            Err(entry) => return Err(entry.slot),
        };
        drop(table);
        if let Some(at) = look {
            self.0.look_at(at);
        }
        Ok(())
    }

    /// Removes the waiter of this id. Only the thread that removed it may answer it.
    pub(crate) fn take(&self, id: u128) -> Option<Waiting> {
        let entry = self.0.table.lock().pending.complete(id);
        entry.map(|entry| entry.slot)
    }

    /// A broker pushed a reply. It is answered at once, with success, unless the body is compressed:
    /// then by the thread that unpacks it. Also where nothing waits (any more), since asking again would
    /// not help.
    pub(crate) fn pushed(&self, mut request: BrokerRequest) {
        let header = match PushedReply::decode(&request.command().ext) {
            Ok(header) => header,
            Err(error) => return request.unreadable(&error),
        };
        let waiting = reply::correlation_of(&header.properties()).and_then(|id| self.take(id));
        let Some(waiting) = waiting else {
            logging::debug!(target: LOG, "a reply has no waiter (it is late or unknown)");
            return request.done();
        };
        let body = request.take_body();
        let question = match header.send.sys_flag & sys_flag::COMPRESSED {
            0 => {
                request.done();
                None
            }
            _ => Some(request),
        };
        let reply = PackedReply {
            header,
            body,
            topic: waiting.topic,
            limit: waiting.limit,
            question,
        };
        (waiting.answer)(Ok(reply));
    }

    /// Answers those that one producer's callers wait for.
    pub(crate) fn close_group(&self, group: &str) {
        let mut table = self.0.table.lock();
        let ids = table.pending.ids(|waiting| *waiting.group == *group);
        let gone: Vec<_> = ids
            .into_iter()
            .filter_map(|id| table.pending.complete(id))
            .collect();
        drop(table);
        for entry in gone {
            entry.slot.closed();
        }
    }

    /// Answers all waiters, and refuses new ones from now on.
    pub(in crate::client) fn close(&self) {
        let mut table = self.0.table.lock();
        table.closed = true;
        let gone = table.pending.drain();
        drop(table);
        for entry in gone {
            entry.slot.closed();
        }
    }
}

impl Shared {
    fn look_at(self: &Arc<Self>, at: Instant) {
        let shared = Arc::downgrade(self);
        self.timer.schedule(at, move |now| {
            if let Some(shared) = shared.upgrade() {
                shared.expire(at, now);
            }
        });
    }

    fn expire(self: &Arc<Self>, look: Instant, now: Instant) {
        let mut table = self.table.lock();
        let (expired, next) = table.pending.expired(look, now);
        let gone: Vec<_> = expired
            .into_iter()
            .filter_map(|id| table.pending.complete(id))
            .collect();
        drop(table);
        if let Some(at) = next {
            self.look_at(at);
        }
        for entry in gone {
            entry.slot.expire();
        }
    }
}

impl PackedReply {
    /// The reply; the broker is informed whether it was readable.
    ///
    /// # Errors
    /// `Protocol`: the body is damaged, or too large.
    pub(crate) fn unpack(mut self) -> Result<MessageView> {
        let read = self.header.message(&self.body, self.limit);
        match (self.question.take(), &read) {
            (Some(question), Ok(_)) => question.done(),
            (Some(question), Err(error)) => question.unreadable(error),
            (None, _) => {}
        }
        read.map_err(|error| {
            let text = format!("the reply cannot be read: {error}");
            let error = Error::new(ErrorKind::Protocol, text).caused_by(error);
            error.on_topic(&self.topic).maybe_stored()
        })
    }
}

impl Drop for PackedReply {
    /// It is not wanted any more.
    fn drop(&mut self) {
        if let Some(question) = self.question.take() {
            question.done();
        }
    }
}

impl Waiting {
    /// Its time is up.
    fn expire(self) {
        let error = self.no_reply();
        (self.answer)(Err(error));
    }

    /// The error of a caller whose deadline has passed.
    pub(crate) fn no_reply(&self) -> Error {
        let text = format!("no reply came within {:?}", self.timeout);
        let error = Error::timeout(Wait::Response).detailed(text);
        error.on_topic(&self.topic).maybe_stored()
    }

    /// The producer or the client is shut down.
    pub(crate) fn closed(self) {
        let text = "the producer was shut down while it waited for a reply";
        self.fail(Error::new(ErrorKind::Closed, text));
    }

    /// The same, before anything was sent.
    pub(crate) fn refused(&self) -> Error {
        Error::new(ErrorKind::Closed, "the producer is shut down").on_topic(&self.topic)
    }

    fn fail(self, error: Error) {
        let error = error.on_topic(&self.topic).maybe_stored();
        (self.answer)(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::transport::Threads;

    const SOON: Duration = Duration::from_secs(20);

    fn waiting(group: &str, answered: &crossbeam_channel::Sender<Option<ErrorKind>>) -> Waiting {
        let answered = answered.clone();
        Waiting {
            group: group.into(),
            topic: "T".into(),
            timeout: Duration::ZERO,
            limit: 10,
            answer: Box::new(move |reply| answered.send(reply.err().map(|e| e.kind())).unwrap()),
        }
    }

    #[test]
    fn a_waiter_is_answered_once_by_its_deadline_or_by_the_end() {
        let threads = Threads::default();
        let timer = Timer::start(&threads).unwrap();
        let replies = Replies::new(timer.clone());
        let (answered, answers) = crossbeam_channel::unbounded();
        let now = Instant::now();
        let (soon, late) = (
            Deadline::after(now, Duration::from_millis(1)),
            Deadline::after(now, SOON),
        );
        let register = |group, deadline| {
            let id = replies.new_id();
            let registered = replies.register(id, deadline, waiting(group, &answered));
            assert!(registered.is_ok());
            id
        };
        let next = || answers.recv_timeout(SOON).unwrap();
        let (_a, b) = (register("a", late), register("b", late));
        register("a", soon);
        assert_eq!(next(), Some(ErrorKind::Timeout));
        replies.close_group("a");
        assert_eq!(next(), Some(ErrorKind::Closed));
        assert!(replies.take(b).is_some());
        assert!(replies.take(b).is_none());
        register("c", late);
        replies.close();
        assert_eq!(next(), Some(ErrorKind::Closed));
        let refused = replies.register(1, late, waiting("c", &answered));
        assert!(refused.is_err());
        assert!(answers.is_empty());
        timer.close();
        assert!(threads.join(late).is_empty());
    }

    #[test]
    fn ids_differ_and_cannot_be_foreseen() {
        let threads = Threads::default();
        let timer = Timer::start(&threads).unwrap();
        let (one, other) = (Replies::new(timer.clone()), Replies::new(timer.clone()));
        let ids: HashSet<u128> = (0..100)
            .flat_map(|_| [one.new_id(), other.new_id()])
            .collect();
        assert_eq!(ids.len(), 200);
        timer.close();
        assert!(
            threads
                .join(Deadline::after(Instant::now(), SOON))
                .is_empty()
        );
    }
}
