//! The consume threads: user code runs only here.

use std::sync::Arc;
use std::time::Instant;

use super::handler::{Ended, Handler};
use super::outcome::{Limits, Outcome, Settlement, settle};
use crate::consumer::LOG;
use crate::consumer::control::{Event, GivenBack, Unread};
use crate::consumer::queue::{Assigned, Handed, Payload, Stale, Ticket};
use crate::consumer::shared::Shared;
use crate::logging;
use crate::message::{MessageView, name};
use crate::protocol::message::Unreadable;

/// What a body may inflate to.
const MOST_INFLATED: usize = 64 << 20;

/// What the consume threads of a consumer share.
pub(crate) struct Worker {
    pub(crate) shared: Shared,
    pub(crate) handler: Box<dyn Handler>,
    /// Messages of one call.
    pub(crate) batch: usize,
    pub(crate) limits: Limits,
}

impl Worker {
    /// The life of a consume thread.
    pub(crate) fn run(&self) {
        while let Some(queue) = self.shared.dispatcher.take() {
            let (handed, more) = queue.take(self.batch, Instant::now());
            if more {
                self.shared.dispatcher.offer(&queue);
            }
            self.shared.dispatcher.charge(handed.len());
            if !handed.is_empty() {
                self.consume(&queue, handed);
                // In an ordered queue only now the next one may start.
                let now = Instant::now();
                if queue.ready_at(now).is_some_and(|at| at <= now) {
                    self.shared.dispatcher.offer(&queue);
                }
                if queue.note() {
                    self.shared.inbox.put(Event::Progress(queue.number));
                }
            }
        }
    }

    fn consume(&self, queue: &Arc<Assigned>, handed: Vec<Handed<Payload>>) {
        let (mut tickets, mut messages) = (Vec::new(), Vec::new());
        let may_repeat_below = queue.lock().may_repeat_below;
        for handed in handed {
            let payload = handed.payload.clone();
            let place = (handed.offset, handed.failures);
            match self.unpack(queue, handed.payload, place, may_repeat_below) {
                Ok(Some(message)) => {
                    tickets.push(handed.ticket);
                    messages.push(message);
                }
                Ok(None) => {
                    self.shared.counters.filtered.add(1);
                    let _ = queue.finish(handed.ticket);
                }
                Err(error) => self.unread(queue, handed.ticket, handed.offset, payload, &error),
            }
        }
        if messages.is_empty() {
            return;
        }
        let ended = self.handler.handle(queue, &messages);
        for ((ticket, message), ended) in tickets.into_iter().zip(messages).zip(ended) {
            if self.settle(queue, ticket, message, ended).is_err() {
                self.shared.counters.late_results.add(1);
            }
        }
    }

    fn unread(
        &self,
        queue: &Arc<Assigned>,
        ticket: Ticket,
        offset: u64,
        payload: Payload,
        error: &Unreadable,
    ) {
        if queue.settle(&ticket).is_ok() {
            self.shared.inbox.put(Event::Corrupt(Box::new(Unread {
                queue: queue.clone(),
                ticket,
                offset,
                payload,
                what: error.to_string(),
            })));
        }
    }

    /// The message as its handler gets it; `None` if its tag is not wanted.
    fn unpack(
        &self,
        queue: &Assigned,
        payload: Payload,
        (offset, failures): (u64, u32),
        may_repeat_below: u64,
    ) -> Result<Option<MessageView>, Unreadable> {
        let message = match payload {
            Payload::Packed(packed) => packed.unpack(MOST_INFLATED)?,
            Payload::Unpacked(message) => message,
        };
        let topic = self.shared.topics.get(queue.queue.topic());
        if topic.is_some_and(|topic| !topic.filter.matches(message.tag())) {
            return Ok(None);
        }
        let original = message.property(name::RETRY_TOPIC).map(Arc::from);
        let is_retry = topic.is_some_and(|topic| topic.is_retry);
        let stored = || message.topic().into();
        let on_wire: Arc<str> = original.filter(|_| is_retry).unwrap_or_else(stored);
        let shown = self.shared.topics.names().for_users(&on_wire);
        let message = match *shown == *message.topic() {
            true => message,
            false => message.with_topic(shown),
        };
        let message = match i32::try_from(failures) {
            Ok(0) | Err(_) => message,
            Ok(more) => {
                let times = message.reconsume_times().saturating_add(more);
                message.with_reconsume_times(times)
            }
        };
        let message = message.of_queue(&queue.shown, 0);
        Ok(Some(match offset < may_repeat_below {
            true => message.maybe_repeated(),
            false => message,
        }))
    }

    fn settle(
        &self,
        queue: &Arc<Assigned>,
        ticket: Ticket,
        message: MessageView,
        ended: Ended,
    ) -> Result<(), Stale> {
        self.note(queue, &message, &ended);
        let outcome = match &ended {
            Ended::Ok => Outcome::Ok,
            Ended::Retry(retry) => Outcome::Retry(retry),
            Ended::Panicked => Outcome::Panicked,
        };
        let times = u32::try_from(message.reconsume_times()).unwrap_or(0);
        let level = match settle(self.shared.config.mode, &outcome, times, &self.limits) {
            Settlement::Done | Settlement::Dropped => return queue.finish(ticket),
            Settlement::RetryHere { pause } => {
                return queue.put_back(ticket, Instant::now() + pause);
            }
            Settlement::SendBack { level } => i32::try_from(level).unwrap_or(i32::MAX),
            Settlement::DeadLetter => -1,
        };
        queue.settle(&ticket)?;
        self.shared.inbox.put(Event::GiveBack(Box::new(GivenBack {
            queue: queue.clone(),
            ticket,
            message,
            level,
        })));
        Ok(())
    }

    /// Counts a result. What failed is the user's, and is told at debug.
    fn note(&self, queue: &Assigned, message: &MessageView, ended: &Ended) {
        let (queue, times) = (&queue.shown, message.reconsume_times());
        match ended {
            Ended::Ok => self.shared.counters.handled.add(1),
            Ended::Retry(retry) => {
                self.shared.counters.failed.add(1);
                let id = message.message_id();
                logging::debug!(target: LOG, "{queue}: {id}, try {}: {retry}", times + 1);
            }
            Ended::Panicked => {
                self.shared.counters.panicked.add(1);
                let id = message.message_id();
                logging::error!(target: LOG, "{queue}: {id}: the handler panicked");
            }
        }
    }
}
