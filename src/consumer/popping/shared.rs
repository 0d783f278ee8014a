//! The state of popping that all threads share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ahead::Ahead;
use super::running::{Consumed, Running};
use crate::client::ClientCore;
use crate::consumer::config::ConsumerConfig;
use crate::consumer::control::Event;
use crate::consumer::observe::{Doing, QueueState};
use crate::consumer::pop::{
    ANY_QUEUE, AckStatus, Delivery, Known, LagQuestions, MOST_MESSAGES, PopSettings, PopShared,
    Received, Source, ask_lag, dead_letter, hide,
};
use crate::consumer::queue::PopQueue;
use crate::consumer::shared::Shared;
use crate::error::Result;
use crate::message::{MessageQueue, MessageView};
use crate::sync::{Condvar, Mutex};
use crate::transport::Deadline;

/// How long a request to settle a message may take.
pub(super) const SETTLE_WITHIN: Duration = Duration::from_secs(5);

/// The pause of a thread after a bug of ours, which may come again at once.
pub(super) const REST: Duration = Duration::from_secs(1);

/// A broker ends an answer after these bytes of a queue.
const ANSWER: u64 = 256 * 1024;

/// What a consumer pops, and the messages that it popped.
pub(crate) struct Popping {
    pub(super) pop: Arc<PopShared>,
    pub(super) consumer: Shared,
    /// The topics that are popped, on the wire. They stay the same until the consumer ends.
    topics: BTreeSet<Arc<str>>,
    pub(super) table: Mutex<Table>,
    /// There is capacity, or the consumer has ended.
    pub(super) has_capacity: Condvar,
    /// There is work for the keeper, or the consumer has ended.
    pub(super) has_work: Condvar,
    /// Renewals have ended.
    pub(super) renewed: Condvar,
}

/// Never locked over user code or I/O.
pub(super) struct Table {
    /// The messages that wait for a handler, those that are just being received included.
    pub(super) ahead: Ahead,
    /// The bytes of all messages that wait or have a handler.
    pub(super) bytes: u64,
    pub(super) running: Running,
    /// Consumed messages, until their acknowledgement is answered.
    pub(super) to_ack: Vec<Consumed>,
    /// Messages that no handler gets here: they should come again soon.
    pub(super) to_return: Vec<Arc<Delivery>>,
    /// The keeper works for some of these.
    pub(super) is_keeping: bool,
    /// When the keeper looks again by itself; `None`: not before it is woken.
    pub(super) keeps_at: Option<Instant>,
    /// No message is popped or handed out any more.
    pub(super) is_closed: bool,
    /// The keeper ends.
    pub(super) has_ended: bool,
}

impl Popping {
    /// `first`: the topics to pop, each with its sources.
    pub(crate) fn new(
        consumer: &Shared,
        core: &Arc<ClientCore>,
        first: BTreeMap<Arc<str>, BTreeSet<Source>>,
        now: Instant,
    ) -> Popping {
        let config = &consumer.config;
        let settings = PopSettings {
            start_from: config.start_from,
            is_ordered: false,
            // Only a handler that failed makes a dead letter: brokers also count deliveries without a handler.
            max_attempts: None,
        };
        let (group, topics) = (consumer.group.clone(), consumer.topics.clone());
        let popping = Popping {
            pop: Arc::new(PopShared::new(
                settings,
                group,
                topics,
                core.clone(),
                consumer.counters.clone(),
            )),
            consumer: consumer.clone(),
            topics: first.keys().cloned().collect(),
            table: Mutex::new(Table::new(config)),
            has_capacity: Condvar::new(),
            has_work: Condvar::new(),
            renewed: Condvar::new(),
        };
        for (topic, sources) in first {
            popping.assign(&topic, sources, now);
        }
        popping
    }

    pub(crate) fn consumer(&self) -> &Shared {
        &self.consumer
    }

    /// The topics that are popped, on the wire.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &Arc<str>> {
        self.topics.iter()
    }

    pub(crate) fn pops(&self, topic: &str) -> bool {
        self.topics.contains(topic)
    }

    /// Sets the sources of a topic from now on. Returns whether they are others than before.
    pub(crate) fn assign(&self, topic: &Arc<str>, sources: BTreeSet<Source>, now: Instant) -> bool {
        let assignment = &self.consumer.assignment;
        let before = assignment.queues();
        let names = &self.consumer.topics;
        let queues = sources.into_iter().map(|source| {
            let queue = MessageQueue::new(topic.clone(), source.broker.clone(), source.queue);
            Arc::new(PopQueue::new(source, names.for_users(&queue), now))
        });
        let shown = names.names().for_users(topic);
        for gone in assignment.set_popped(&shown, queues.collect()) {
            gone.pause(true);
            self.take_back(&gone);
        }
        self.pop.wake();
        assignment.queues() != before
    }

    /// What may be popped now.
    pub(super) fn known(&self) -> Known {
        let queues = self.consumer.assignment.popped().into_iter();
        let mut sources: Vec<Source> = queues
            .filter(|queue| !queue.is_paused())
            .map(|queue| queue.source.clone())
            .collect();
        sources.sort();
        Known {
            sources,
            is_missing: false,
        }
    }

    /// Some queues were paused or resumed.
    pub(crate) fn paused(&self) {
        for queue in self.consumer.assignment.popped() {
            if queue.is_paused() {
                self.take_back(&queue);
            }
        }
        self.pop.wake();
    }

    /// Messages wait that no handler gets.
    fn take_back(&self, queue: &PopQueue) {
        self.give_back(queue.clear());
    }

    /// These messages do not wait any more, and no handler has them.
    fn removed(&self, table: &mut Table, messages: &[Received]) {
        table.ahead.removed(messages.len());
        table.bytes = table.bytes.saturating_sub(messages.iter().map(size).sum());
        self.let_pop(table, Instant::now());
    }

    /// Messages were popped for a handler, by a pop that `asked` for so many of them.
    pub(super) fn received(&self, asked: &mut usize, source: &Source, messages: Vec<Received>) {
        let bytes: u64 = messages.iter().map(size).sum();
        let counters = &self.consumer.counters;
        counters.fetched.add(messages.len() as u64);
        counters.fetched_bytes.add(bytes);
        let queues = self.consumer.assignment.popped().into_iter();
        let queue = queues.into_iter().find(|queue| queue.source == *source);
        {
            let mut table = self.table.lock();
            table.ahead.answered(std::mem::take(asked), messages.len());
            table.bytes += bytes;
            self.let_pop(&mut table, Instant::now());
        }
        match queue {
            Some(queue) => {
                // One that is paused, as all are after the end, takes none.
                self.give_back(queue.put(messages));
                self.consumer.dispatcher.offer_popped(&queue);
            }
            None => self.give_back(messages),
        }
    }

    /// Messages that wait, and that no handler gets, come again soon, here or elsewhere.
    fn give_back(&self, messages: Vec<Received>) {
        if messages.is_empty() {
            return;
        }
        {
            let mut table = self.table.lock();
            self.removed(&mut table, &messages);
            let back = messages.into_iter().map(|one| Arc::new(one.delivery));
            table.to_return.extend(back);
        }
        self.has_work.notify_one();
    }

    /// Takes up to `most` messages for a call of a handler, each with the number under which it is settled, and
    /// returns whether more of them may start now.
    pub(crate) fn take(&self, queue: &PopQueue, most: usize) -> (Vec<(u64, MessageView)>, bool) {
        let now = Instant::now();
        let taken = queue.take(most, now);
        self.consumer
            .counters
            .expired
            .add(taken.expired.len() as u64);
        let deliveries = || taken.messages.iter().map(|one| &one.delivery);
        let first = deliveries().map(|delivery| delivery.renew_at()).min();
        let oldest = deliveries().map(|delivery| delivery.age(now)).max();
        let mut table = self.table.lock();
        if !taken.expired.is_empty() {
            self.removed(&mut table, &taken.expired);
        }
        if let Some(oldest) = oldest {
            table.ahead.taken(taken.messages.len(), oldest, now);
        }
        let mut messages = Vec::with_capacity(taken.messages.len());
        for one in taken.messages {
            if table.is_closed {
                table.bytes = table.bytes.saturating_sub(size(&one));
                table.to_return.push(Arc::new(one.delivery));
                continue;
            }
            let number = table.running.begin(one.delivery, &one.message, now);
            messages.push((number, one.message));
        }
        self.let_pop(&mut table, now);
        // The keeper may have to wake earlier.
        if table.is_closed || first.is_some_and(|first| table.keeps_at.is_none_or(|at| first < at))
        {
            self.has_work.notify_one();
        }
        (messages, taken.more)
    }

    /// A message is consumed: it is acknowledged in the background.
    pub(crate) fn acknowledge(&self, number: u64) {
        let mut table = self.table.lock();
        if let Some((consumed, bytes)) = table.running.end(number) {
            table.bytes = table.bytes.saturating_sub(bytes);
            table.to_ack.push(consumed);
        }
        self.let_pop(&mut table, Instant::now());
        self.has_work.notify_one();
    }

    /// A message comes again after this time.
    ///
    /// # Errors
    /// The broker refuses.
    pub(crate) fn retry(&self, number: u64, after: Duration) -> Result<AckStatus> {
        self.settle(number, |delivery, deadline| {
            let hidden = hide(&self.pop, delivery, after, deadline);
            if let Ok(AckStatus::Confirmed) = hidden {
                delivery.give_back();
            }
            hidden
        })
    }

    /// A message becomes a dead letter. If that fails, it comes again.
    ///
    /// # Errors
    /// The broker refuses.
    pub(crate) fn bury(&self, number: u64) -> Result<AckStatus> {
        self.settle(number, |delivery, deadline| {
            dead_letter(&self.pop, delivery, deadline)
        })
    }

    /// Settles a message on the thread of its handler, and renews it no more.
    fn settle(
        &self,
        number: u64,
        ask: impl FnOnce(&Delivery, Deadline) -> Result<AckStatus>,
    ) -> Result<AckStatus> {
        let delivery = {
            let mut table = self.table.lock();
            table.running.leave(number);
            // A renewal in flight changes the handle.
            while table.running.is_renewing(number) {
                self.renewed.wait(&mut table);
            }
            table.running.delivery(number)
        };
        let Some(delivery) = delivery else {
            return Ok(AckStatus::Unknown);
        };
        let outcome = ask(&delivery, Deadline::after(Instant::now(), SETTLE_WITHIN));
        self.leave(number);
        outcome
    }

    /// A message is neither acknowledged nor changed: it comes again when its time is over.
    pub(crate) fn leave(&self, number: u64) {
        let mut table = self.table.lock();
        if let Some((_, bytes)) = table.running.end(number) {
            table.bytes = table.bytes.saturating_sub(bytes);
        }
        if table.is_closed {
            // The end may have waited for it.
            self.consumer.inbox.put(Event::Settled);
        }
        self.let_pop(&mut table, Instant::now());
    }

    /// Nothing is popped or handed out from now on.
    pub(crate) fn close(&self) {
        self.pop.close();
        self.table.lock().is_closed = true;
        for queue in self.consumer.assignment.popped() {
            queue.pause(true);
            self.take_back(&queue);
        }
        self.has_capacity.notify_all();
    }

    /// Whether no message is popped, waits or has a handler, and all acknowledgements are answered.
    pub(crate) fn is_quiet(&self) -> bool {
        let table = self.table.lock();
        let is_kept = table.to_ack.is_empty() && table.to_return.is_empty() && !table.is_keeping;
        is_kept && table.ahead.is_empty() && table.running.is_empty()
    }

    /// The messages with handlers, by queue and offset.
    pub(crate) fn left(&self) -> Vec<(MessageQueue, u64)> {
        self.table.lock().running.left()
    }

    /// The consumed messages whose acknowledgement is not answered, by queue and offset.
    pub(crate) fn unacknowledged(&self) -> Vec<(MessageQueue, u64)> {
        let table = self.table.lock();
        let open = table.to_ack.iter();
        let mut open: Vec<_> = open.map(|one| (one.queue.clone(), one.offset)).collect();
        open.sort();
        open
    }

    /// Nothing is settled from now on; the keeper ends.
    pub(crate) fn end(&self) {
        self.pop.end();
        for topic in &self.topics {
            self.assign(topic, BTreeSet::new(), Instant::now());
        }
        self.table.lock().has_ended = true;
        self.has_work.notify_one();
    }

    /// Asks brokers how many messages of what this member pops no member has received yet.
    pub(crate) fn ask_lag(&self, deadline: Deadline) -> LagQuestions<'_> {
        let queues = self.consumer.assignment.popped().into_iter();
        let sources: Vec<Source> = queues.map(|queue| queue.source.clone()).collect();
        ask_lag(&self.pop, &sources, deadline)
    }

    /// The bytes of all messages that wait or have a handler.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.table.lock().bytes
    }

    /// The state of each source, for people.
    pub(crate) fn describe(&self, now: Instant) -> Vec<QueueState> {
        let (left, is_full) = {
            let mut table = self.table.lock();
            let pops = table.ahead.pops();
            let is_full = pops == 0 && self.capacity(&mut table, now) == 0;
            (table.running.left(), is_full)
        };
        let queues = self.consumer.assignment.popped().into_iter();
        let state = |queue: Arc<PopQueue>| {
            let is_of = |of: &&(MessageQueue, u64)| {
                let (of, shown) = (&of.0, &queue.shown);
                let is_source = of.topic() == shown.topic() && of.broker() == shown.broker();
                is_source && (shown.id() == ANY_QUEUE || of.id() == shown.id())
            };
            let running = left.iter().filter(is_of).count();
            let doing = match (queue.is_paused(), is_full) {
                (true, _) => Doing::Paused,
                (false, true) => Doing::Full,
                (false, false) => Doing::Fetching,
            };
            let look = self.pop.look(&queue.source, now);
            let (doing, waiting) = ((doing, queue.since), queue.waiting());
            look.state(queue.shown.clone(), doing, waiting, running, now)
        };
        queues.map(state).collect()
    }

    /// For how many messages a pop may ask now. The bytes of those in flight are not known: each counts as one
    /// answer of a queue, which it may exceed.
    pub(super) fn capacity(&self, table: &mut Table, now: Instant) -> usize {
        let in_flight = table.ahead.pops() as u64 * ANSWER;
        match table.bytes + in_flight >= self.consumer.config.byte_budget {
            true => 0,
            false => table.ahead.capacity(now),
        }
    }

    /// Has a receiving thread pop, if there is capacity. That thread wakes the next one.
    pub(super) fn let_pop(&self, table: &mut Table, now: Instant) {
        if self.capacity(table, now) > 0 {
            self.has_capacity.notify_one();
        }
    }

    /// Has the control thread tell the user.
    pub(super) fn tell(&self, event: crate::consumer::observe::Event) {
        self.consumer.inbox.put(Event::Tell(Box::new(event)));
    }
}

impl Table {
    fn new(config: &ConsumerConfig) -> Table {
        let batch = config.pull_batch.min(MOST_MESSAGES);
        let (threads, call) = (config.threads, config.call_batch);
        Table {
            ahead: Ahead::new(batch, threads, call, config.invisible_time),
            bytes: 0,
            running: Running::default(),
            to_ack: Vec::new(),
            to_return: Vec::new(),
            is_keeping: false,
            keeps_at: None,
            is_closed: false,
            has_ended: false,
        }
    }
}

fn size(received: &Received) -> u64 {
    received.message.body().len() as u64
}
