//! Single sends that come close together leave as batches (Java's `ProduceAccumulator`).
//!
//! A message joins the open group of those that it can share a batch with. The sender that fills a
//! group starts its send; the timer has the rest started by the retry workers. From there on it is
//! an ordinary asynchronous send, whose listener hands each member its part of the receipt.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::asynchronous::{AsyncSend, Listener, Who};
use super::attempt::Start;
use super::config::ProducerConfig;
use super::core::Core;
use super::hook::SendMode;
use super::members::{Held, Member, Members};
use super::send::Send;
use super::target::Target;
use super::turn::{Turn, Waits};
use super::validate;
use crate::client::epoch_millis;
use crate::error::{Error, ErrorKind, Wait};
use crate::message::{Batch, Message, MessageQueue};
use crate::protocol::properties::MAX_LEN;
use crate::sync::Mutex;
use crate::transport::Deadline;

/// The groups of one producer that are still open.
pub(super) struct Accumulator {
    max_delay: Duration,
    /// The largest batch that this producer may send.
    max_bytes: usize,
    max_total_bytes: usize,
    /// Bytes of bodies that are gathered and unanswered.
    held: Arc<AtomicUsize>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: HashMap<Key, Group>,
    /// When the timer will next look here.
    timer: Option<Instant>,
    closed: bool,
}

/// What the messages of a batch have in common. The same timeout means that their deadlines are as
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

struct Group {
    queue: Option<MessageQueue>,
    mode: SendMode,
    messages: Vec<Message>,
    members: Members,
    /// The size of the batch.
    bytes: usize,
    flush_at: Instant,
    /// The earliest of its members: the batch ends before any of them has to.
    deadline: Deadline,
}

/// A send that could go with others.
pub(super) struct Joining<'a> {
    pub(super) message: &'a Message,
    pub(super) queue: Option<MessageQueue>,
    pub(super) timeout: Duration,
    pub(super) deadline: Deadline,
    pub(super) mode: SendMode,
    /// How much of the limit for messages in flight it takes: 0 or 1.
    pub(super) in_flight: usize,
}

/// What became of it.
pub(super) enum Joined {
    /// The listener will hear.
    Gathered,
    /// It is to be sent on its own.
    Alone(Listener),
    Refused(Listener, Error),
}

impl Accumulator {
    pub(super) fn new(config: &ProducerConfig) -> Option<Accumulator> {
        let auto = config.auto_batch?;
        Some(Accumulator {
            max_delay: auto.max_delay,
            max_bytes: auto.max_bytes.min(config.max_message_size),
            max_total_bytes: auto.max_total_bytes,
            held: Arc::default(),
            state: Mutex::default(),
        })
    }

    /// Puts a message to others of its kind, on the sender's own thread; if that fills the group,
    /// its send starts here too.
    pub(super) fn join(core: &Arc<Core>, joining: &Joining<'_>, listener: Listener) -> Joined {
        let Some(this) = &core.accumulator else {
            return Joined::Alone(listener);
        };
        let message = joining.message;
        let bytes = message.batch_entry_len();
        // A batch is never compressed: what would be goes alone.
        let body = message.body().len();
        let small = bytes <= this.max_bytes && body < core.config.compress_over;
        // With properties that cannot be sent it would take the others along.
        let small = small && bytes - body <= MAX_LEN;
        if !small || !message.can_be_batched() {
            return Joined::Alone(listener);
        }
        if let Err(error) = core.check_open() {
            return Joined::Refused(listener, error);
        }
        if !knows_route(core, message) {
            return Joined::Alone(listener);
        }
        let Some(held) = this.hold(message.body().len()) else {
            return Joined::Alone(listener);
        };
        if let Err(error) = validate::message(message, core.config.max_message_size) {
            return Joined::Refused(listener, error);
        }
        // Whoever waits for room until half of the time is gone had better not wait any more.
        let patience = joining.deadline.capped(Instant::now(), joining.timeout / 2);
        let len = message.body().len();
        let permit = match core.account.acquire(joining.in_flight, len, patience) {
            Ok(permit) => permit,
            Err(error) if error.kind() == ErrorKind::Busy => return Joined::Alone(listener),
            Err(error) => return Joined::Refused(listener, error),
        };
        let given = message.get_unique_key().filter(|key| !key.is_empty());
        let unique_key = match given {
            Some(key) => key.to_owned(),
            None => core.client.inner().identity.unique_key(epoch_millis()),
        };
        let member = Member {
            unique_key,
            listener,
            permit,
            held,
        };
        this.add(core, joining, bytes, member)
    }

    fn add(&self, core: &Arc<Core>, joining: &Joining<'_>, bytes: usize, member: Member) -> Joined {
        let message = joining.message.clone().unique_key(&member.unique_key);
        let key = Key {
            topic: message.shared_topic().clone(),
            queue: joining.queue.clone(),
            wait_store: message.get_wait_store(),
            tag: message.get_tag().map(str::to_owned),
            timeout: joining.timeout,
            mode: joining.mode,
        };
        let now = Instant::now();
        let (mut full, mut wake_at) = (Vec::new(), None);
        let mut state = self.state.lock();
        if state.closed {
            return Joined::Alone(member.listener);
        }
        let fits = |group: &Group| group.bytes + bytes <= self.max_bytes;
        if state.open.get(&key).is_some_and(|group| !fits(group)) {
            full.extend(state.open.remove(&key));
        }
        if !state.open.contains_key(&key) {
            let half = joining.deadline.remaining(now) / 2;
            let flush_at = now + self.max_delay.min(half);
            if state.timer.is_none_or(|at| flush_at < at) {
                state.timer = Some(flush_at);
                wake_at = Some(flush_at);
            }
            let group = Group {
                queue: joining.queue.clone(),
                mode: joining.mode,
                messages: Vec::new(),
                members: Members {
                    core: core.clone(),
                    list: Vec::new(),
                },
                bytes: 0,
                flush_at,
                deadline: joining.deadline,
            };
            state.open.insert(key.clone(), group);
        }
        if let Some(group) = state.open.get_mut(&key) {
            group.messages.push(message);
            group.members.list.push(member);
            group.bytes += bytes;
            // It had to wait for room: the others' time is longer than its own.
            let late = joining.deadline < group.deadline;
            group.deadline = group.deadline.min(joining.deadline);
            if late || group.bytes >= self.max_bytes {
                full.extend(state.open.remove(&key));
            }
        }
        drop(state);
        if let Some(at) = wake_at {
            Later::schedule(core, at);
        }
        full.into_iter().for_each(Group::start);
        Joined::Gathered
    }

    /// Has the sends of all groups started now.
    pub(super) fn flush(&self) {
        let groups: Vec<Group> = self.state.lock().open.drain().map(|(_, g)| g).collect();
        groups.into_iter().for_each(Group::start_soon);
    }

    /// The same, and gathers nothing more.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.flush();
    }

    fn hold(&self, bytes: usize) -> Option<Held> {
        let more = |held: usize| Some(held + bytes).filter(|sum| *sum <= self.max_total_bytes);
        let held = self
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        held.ok().map(|_| Held(self.held.clone(), bytes))
    }

    /// Starts what is due; says when to look again, unless another look than this one, which was
    /// meant for `at`, is there for that.
    fn look(&self, at: Instant, now: Instant) -> Option<Instant> {
        let mut state = self.state.lock();
        let due = |group: &Group| group.flush_at <= now;
        let keys: Vec<Key> = state
            .open
            .iter()
            .filter(|(_, group)| due(group))
            .map(|(key, _)| key.clone())
            .collect();
        let groups: Vec<Group> = keys.iter().filter_map(|k| state.open.remove(k)).collect();
        let mut next = None;
        if state.timer == Some(at) {
            next = state.open.values().map(|group| group.flush_at).min();
            state.timer = next;
        }
        drop(state);
        groups.into_iter().for_each(Group::start_soon);
        next
    }
}

/// The timer's next look. If the timer is closed before, everything is started at once and nothing
/// gathered any more, so that nobody waits for ever.
struct Later {
    /// Groups that are open have it.
    core: Weak<Core>,
    looked: bool,
}

impl Later {
    fn schedule(core: &Arc<Core>, at: Instant) {
        let mut later = Later {
            core: Arc::downgrade(core),
            looked: false,
        };
        let timer = &core.client.inner().workers.timer;
        timer.schedule(at, move |now| {
            later.looked = true;
            let Some(core) = later.core.upgrade() else {
                return;
            };
            let accumulator = core.accumulator.as_ref();
            if let Some(next) = accumulator.and_then(|accumulator| accumulator.look(at, now)) {
                Later::schedule(&core, next);
            }
        });
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        if self.looked {
            return;
        }
        let core = self.core.upgrade();
        if let Some(accumulator) = core.as_ref().and_then(|core| core.accumulator.as_ref()) {
            accumulator.close();
        }
    }
}

impl Group {
    /// Makes the first attempt on this thread.
    fn start(self) {
        let core = self.members.core.clone();
        let target = match self.queue {
            Some(queue) => Target::Queue(queue),
            None => Target::Any,
        };
        let (messages, deadline, mode) = (self.messages, self.deadline, self.mode);
        let out = match &messages[..] {
            [alone] => core.outgoing(alone, None, Start::now(), String::new()),
            _ => Batch::new(messages).and_then(|batch| core.outgoing_batch(&batch)),
        };
        let send = out.and_then(|out| {
            if core.client.inner().is_closed() {
                return Err(Error::new(ErrorKind::Closed, "the client is shut down"));
            }
            Send::new(&core, out, target, deadline, mode)
        });
        match send {
            Ok(send) => AsyncSend::start(
                &core,
                send,
                Listener::uncounted(Who::Batch(Box::new(self.members))),
                None,
                None,
            ),
            Err(error) => self.members.answer(Err(error)),
        }
    }

    /// Makes the first attempt on a retry worker.
    fn start_soon(self) {
        let workers = self.members.core.client.inner().workers.clone();
        let (turn, deadline) = (Turn::new(), self.deadline);
        turn.put(self);
        turn.watch(&workers.timer, deadline);
        let start = move || {
            if let Some(group) = turn.take() {
                group.start();
            }
        };
        workers.retries.submit(Box::new(start));
    }
}

impl Waits for Group {
    fn end_late(self) {
        let late = Error::timeout(Wait::Queue);
        let late = match self.messages.first() {
            Some(message) => late.on_topic(message.shared_topic()),
            None => late,
        };
        self.members.answer(Err(late));
    }
}

/// Looking for a route can take long: that is the time of the sender who is the first to need it, on
/// its own thread, and not of the workers who start everybody's batches.
fn knows_route(core: &Core, message: &Message) -> bool {
    let topics = core.config.topics(message.shared_topic());
    topics.is_ok_and(|(_, on_wire)| core.client.inner().routes.known(&on_wire).is_some())
}
