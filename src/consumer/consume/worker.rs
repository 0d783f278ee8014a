//! The consume threads: user code runs only here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dispatcher::Dispatcher;
use super::handler::{Ended, Handler};
use crate::consumer::LOG;
use crate::consumer::control::{Event, Inbox};
use crate::consumer::queue::{Assigned, Handed, Payload, Ticket};
use crate::consumer::topics::Topics;
use crate::logging;
use crate::message::{MessageView, name};
use crate::protocol::message::Unreadable;

/// What a body may inflate to.
const MOST_INFLATED: usize = 64 << 20;

/// How long a message waits here that is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// What the consume threads of a consumer share.
pub(crate) struct Worker {
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) inbox: Inbox,
    pub(crate) handler: Box<dyn Handler>,
    /// Messages of one call.
    pub(crate) batch: usize,
}

impl Worker {
    /// The life of a consume thread.
    pub(crate) fn run(&self) {
        while let Some(queue) = self.dispatcher.take() {
            let (handed, more) = queue.take(self.batch, Instant::now());
            if more {
                self.dispatcher.offer(&queue);
            }
            if !handed.is_empty() {
                self.consume(&queue, handed);
                if queue.note() {
                    self.inbox.put(Event::Progress(queue.number));
                }
            }
        }
    }

    fn consume(&self, queue: &Arc<Assigned>, handed: Vec<Handed<Payload>>) {
        let (mut tickets, mut messages) = (Vec::new(), Vec::new());
        for handed in handed {
            match self.unpack(queue, handed.payload) {
                Ok(Some(message)) => {
                    tickets.push(handed.ticket);
                    messages.push(message);
                }
                // Not wanted.
                Ok(None) => drop(queue.finish(handed.ticket)),
                Err(error) => {
                    logging::warn!(target: LOG, "{}: {error}", queue.shown);
                    let _ = queue.put_back(handed.ticket, Instant::now() + AGAIN);
                }
            }
        }
        if messages.is_empty() {
            return;
        }
        let ended = self.handler.handle(&messages);
        for ((ticket, message), ended) in tickets.into_iter().zip(&messages).zip(ended) {
            self.settle(queue, ticket, message, ended);
        }
    }

    /// The message as its handler gets it; `None` if its tag is not wanted.
    fn unpack(
        &self,
        queue: &Assigned,
        payload: Payload,
    ) -> Result<Option<MessageView>, Unreadable> {
        let message = match payload {
            Payload::Packed(packed) => packed.unpack(MOST_INFLATED)?,
            Payload::Unpacked(message) => message,
        };
        let topic = self.topics.get(queue.queue.topic());
        if topic.is_some_and(|topic| !topic.filter.matches(message.tag())) {
            return Ok(None);
        }
        let original = message.property(name::RETRY_TOPIC).map(Arc::from);
        let is_retry = topic.is_some_and(|topic| topic.is_retry);
        let stored = || message.topic().into();
        let on_wire: Arc<str> = original.filter(|_| is_retry).unwrap_or_else(stored);
        let shown = self.topics.names().for_users(&on_wire);
        let message = match *shown == *message.topic() {
            true => message,
            false => message.with_topic(shown),
        };
        Ok(Some(message.of_queue(&queue.shown, 0)))
    }

    fn settle(&self, queue: &Assigned, ticket: Ticket, message: &MessageView, ended: Ended) {
        let settled = match ended {
            Ended::Ok => queue.finish(ticket),
            Ended::Retry(retry) => {
                let id = message.message_id();
                logging::debug!(target: LOG, "{}: {id}: {retry:?}", queue.shown);
                queue.put_back(ticket, Instant::now() + AGAIN)
            }
            Ended::Panicked => {
                let id = message.message_id();
                logging::error!(target: LOG, "{}: {id}: the handler panicked", queue.shown);
                queue.put_back(ticket, Instant::now() + AGAIN)
            }
        };
        if settled.is_err() {
            logging::debug!(target: LOG, "{}: a result came too late", queue.shown);
        }
    }
}
