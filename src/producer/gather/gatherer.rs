use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::auto_batch::AutoBatch;
use super::batch_listeners::{BatchListener, Lease};
use super::group::{Group, Seat};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Message, MessageQueue, SendReceipt};
use crate::send::hooks::SendMode;
use crate::send::{
    Content, Engine, Listener, MAX_PROPERTIES, QueueChoice, Recipient, SendCall, check_message,
    check_open_to_send, launch, send_uncounted, topic_names, unique_key,
};
use crate::sync::Mutex;
use crate::transport::{Deadline, epoch_millis};

/// The groups of one producer that are still open.
pub(in crate::producer) struct Gatherer {
    engine: Arc<Engine>,
    max_delay: Duration,
    /// The largest batch that this producer may send.
    max_bytes: usize,
    max_total_bytes: usize,
    /// Bytes of bodies that are gathered and unanswered.
    held: Arc<AtomicUsize>,
    groups: Mutex<Groups>,
}

#[derive(Default)]
struct Groups {
    open: HashMap<Key, Group>,
    /// When the timer next visits the gatherer.
    timer: Option<Instant>,
    closed: bool,
}

/// The properties that the messages of a batch share. With the same timeout, their deadlines are as
/// close together as their arrivals.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    topic: Arc<str>,
    queue: Option<MessageQueue>,
    wait_store: bool,
    tag: Option<String>,
    timeout: Duration,
    mode: SendMode,
}

/// A send that could go with others.
struct Joining<'a> {
    message: &'a Message,
    queue: Option<MessageQueue>,
    start: Instant,
    timeout: Duration,
    deadline: Deadline,
    /// The wait of a synchronous send's thread; none for an asynchronous send.
    seat: Option<&'a Seat>,
}

/// The result of an attempt to gather a message.
enum Joined {
    /// The listener gets the result.
    Gathered,
    /// It is sent as a single message.
    Alone(Listener),
    Refused(Listener, Error),
}

impl Gatherer {
    pub(in crate::producer) fn new(engine: &Arc<Engine>, auto: AutoBatch) -> Arc<Gatherer> {
        Arc::new(Gatherer {
            engine: engine.clone(),
            max_delay: auto.max_delay,
            max_bytes: auto.max_bytes.min(engine.config.max_message_size),
            max_total_bytes: auto.max_total_bytes,
            held: Arc::default(),
            groups: Mutex::default(),
        })
    }

    /// Sends and waits for the receipt: with others, if that is possible.
    pub(in crate::producer) fn send(self: &Arc<Self>, call: SendCall<'_>) -> Result<SendReceipt> {
        let (engine, seat) = (&self.engine, Seat::new());
        engine.counters.count(call.size, || {
            let joined = match Joining::new(&call, Some(&seat)) {
                Some(joining) => self.join(&joining, seat.listener()),
                None => return send_uncounted(engine, call),
            };
            match joined {
                Joined::Gathered => {
                    let result = seat.wait(call.deadline);
                    result.map_err(|error| match call.content {
                        Content::Message(message) => error.on_topic(message.shared_topic()),
                        Content::Batch(_) => error,
                    })
                }
                Joined::Refused(_, error) => Err(error),
                Joined::Alone(_) => send_uncounted(engine, call),
            }
        })
    }

    /// The same without waiting.
    pub(in crate::producer) fn send_async(
        self: &Arc<Self>,
        call: SendCall<'_>,
        recipient: Recipient,
    ) {
        let (engine, size) = (&self.engine, call.size);
        engine.counters.begin(size);
        let listener = Listener { recipient, size };
        if let Err(error) = check_open_to_send(engine, call.start.at) {
            return listener.end(engine, Err(error));
        }
        let joined = match Joining::new(&call, None) {
            Some(joining) => self.join(&joining, listener),
            None => Joined::Alone(listener),
        };
        match joined {
            Joined::Gathered => {}
            Joined::Refused(listener, error) => listener.end(engine, Err(error)),
            Joined::Alone(listener) => launch(engine, call, 1, listener),
        }
    }

    /// Puts a message to others of its kind, on the sender's own thread; if that fills the group,
    /// its send starts here too.
    fn join(self: &Arc<Self>, joining: &Joining<'_>, listener: Listener) -> Joined {
        let engine = &self.engine;
        let message = joining.message;
        let bytes = message.batch_entry_len();
        // A batch is never compressed: messages to compress are sent as single messages.
        let body = message.body().len();
        let small = bytes <= self.max_bytes && body < engine.config.compress_over;
        // If its properties were refused, the other messages would fail with it.
        let small = small && bytes - body <= MAX_PROPERTIES / 2;
        if !small || !message.can_be_batched() {
            return Joined::Alone(listener);
        }
        if let Err(error) = check_open_to_send(engine, joining.start) {
            return Joined::Refused(listener, error);
        }
        if !self.knows_route(message) {
            return Joined::Alone(listener);
        }
        let Some(lease) = Lease::take(&self.held, body, self.max_total_bytes) else {
            return Joined::Alone(listener);
        };
        if let Err(error) = check_message(message, &engine.config) {
            return Joined::Refused(listener, error);
        }
        // A send that waits for capacity until half of its time is gone does not wait for others too.
        let patience = joining.deadline.capped(Instant::now(), joining.timeout / 2);
        let messages = usize::from(joining.seat.is_none());
        let permit = match engine.account.acquire(messages, body, patience) {
            Ok(permit) => permit,
            Err(error) if error.kind() == ErrorKind::Busy => return Joined::Alone(listener),
            Err(error) => return Joined::Refused(listener, error),
        };
        let given = message.get_unique_key().filter(|key| !key.is_empty());
        let unique_key = match given {
            Some(key) => key.to_owned(),
            None => unique_key(&engine.core.identity, epoch_millis()),
        };
        let listener = BatchListener {
            unique_key,
            listener,
            permit,
            lease,
        };
        self.add(joining, bytes, listener)
    }

    fn add(
        self: &Arc<Self>,
        joining: &Joining<'_>,
        bytes: usize,
        listener: BatchListener,
    ) -> Joined {
        let message = joining.message.clone().unique_key(&listener.unique_key);
        let mode = match joining.seat {
            Some(_) => SendMode::Sync,
            None => SendMode::Async,
        };
        let key = Key {
            topic: message.shared_topic().clone(),
            queue: joining.queue.clone(),
            wait_store: message.get_wait_store(),
            tag: message.get_tag().map(str::to_owned),
            timeout: joining.timeout,
            mode,
        };
        let now = Instant::now();
        let (mut others, mut own, mut wake_at) = (None, None, None);
        let mut groups = self.groups.lock();
        if groups.closed {
            return Joined::Alone(listener.listener);
        }
        let fits = |group: &Group| group.bytes + bytes <= self.max_bytes;
        if groups.open.get(&key).is_some_and(|group| !fits(group)) {
            others = groups.open.remove(&key);
        }
        if !groups.open.contains_key(&key) {
            let half = joining.deadline.remaining(now) / 2;
            let flush_at = now + self.max_delay.min(half);
            if groups.timer.is_none_or(|at| flush_at < at) {
                groups.timer = Some(flush_at);
                wake_at = Some(flush_at);
            }
            let queue = joining.queue.clone();
            let group = Group::new(&self.engine, queue, mode, flush_at, joining.deadline);
            groups.open.insert(key.clone(), group);
        }
        if let Some(group) = groups.open.get_mut(&key) {
            group.add(message, bytes, listener, joining.seat);
            // It had to wait for capacity: the others' time is longer than its own.
            let late = joining.deadline < group.deadline;
            group.deadline = group.deadline.min(joining.deadline);
            if late || group.bytes >= self.max_bytes {
                own = groups.open.remove(&key);
            }
        }
        drop(groups);
        if let Some(at) = wake_at {
            Later::schedule(self, at);
        }
        if let Some(others) = others {
            match joining.seat {
                Some(_) => others.start_soon(),
                None => others.start_here(None),
            }
        }
        if let Some(own) = own {
            own.start_here(joining.seat);
        }
        Joined::Gathered
    }

    /// Has the sends of all groups started now.
    pub(in crate::producer) fn flush(&self) {
        let groups: Vec<Group> = self.groups.lock().open.drain().map(|(_, g)| g).collect();
        groups.into_iter().for_each(Group::start_soon);
    }

    /// The same, and gathers nothing more.
    pub(in crate::producer) fn close(&self) {
        self.groups.lock().closed = true;
        self.flush();
    }

    /// A route look-up can be slow. The first sender that needs the route waits for it on its own
    /// thread, not a worker that starts other senders' batches.
    fn knows_route(&self, message: &Message) -> bool {
        let topics = topic_names(&self.engine.config, message.shared_topic());
        topics.is_ok_and(|(_, on_wire)| self.engine.core.routes.table.publish(&on_wire).is_some())
    }

    /// Starts the due groups. Returns the time of the next visit, unless another visit than this
    /// one (planned for `at`) is already planned.
    fn look(&self, at: Instant, now: Instant) -> Option<Instant> {
        let mut groups = self.groups.lock();
        let due = |group: &Group| group.flush_at <= now;
        let keys: Vec<Key> = groups
            .open
            .iter()
            .filter(|(_, group)| due(group))
            .map(|(key, _)| key.clone())
            .collect();
        let started: Vec<Group> = keys.iter().filter_map(|k| groups.open.remove(k)).collect();
        let mut next = None;
        if groups.timer == Some(at) {
            next = groups.open.values().map(|group| group.flush_at).min();
            groups.timer = next;
        }
        drop(groups);
        started.into_iter().for_each(Group::start_soon);
        next
    }
}

impl<'a> Joining<'a> {
    /// A call as one that may go with others; some never do.
    fn new(call: &SendCall<'a>, seat: Option<&'a Seat>) -> Option<Joining<'a>> {
        let Content::Message(message) = call.content else {
            return None;
        };
        let queue = match &call.choice {
            None => None,
            Some(QueueChoice::Queue(queue)) if queue.topic() == message.topic() => {
                Some(queue.clone())
            }
            Some(_) => return None,
        };
        Some(Joining {
            message,
            queue,
            start: call.start.at,
            timeout: call.deadline.remaining(call.start.at),
            deadline: call.deadline,
            seat,
        })
    }
}

/// The timer's next visit. If the timer is closed first, all groups start at once and gathering
/// ends, so that no sender waits without end.
struct Later {
    gatherer: Weak<Gatherer>,
    looked: bool,
}

impl Later {
    fn schedule(gatherer: &Arc<Gatherer>, at: Instant) {
        let mut later = Later {
            gatherer: Arc::downgrade(gatherer),
            looked: false,
        };
        let timer = &gatherer.engine.core.workers.timer;
        timer.schedule(at, move |now| {
            later.looked = true;
            if let Some(gatherer) = later.gatherer.upgrade() {
                if let Some(next) = gatherer.look(at, now) {
                    Later::schedule(&gatherer, next);
                }
            }
        });
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        if !self.looked {
            if let Some(gatherer) = self.gatherer.upgrade() {
                gatherer.close();
            }
        }
    }
}
