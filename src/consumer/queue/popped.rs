//! The popped messages of one source, as several threads share them until a handler gets them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::consumer::pop::{Received, Source};
use crate::message::MessageQueue;
use crate::sync::Mutex;

/// A topic on a broker, or one queue of it, whose messages this member pops. Other members may pop it too.
pub(crate) struct PopQueue {
    pub(crate) source: Source,
    /// As users name it. The number -1 stands for all queues of the topic on that broker.
    pub(crate) shown: MessageQueue,
    pub(crate) since: Instant,
    waiting: Mutex<VecDeque<Received>>,
    /// It is in the dispatcher's line of queues that have messages for a handler.
    is_in_line: AtomicBool,
    is_paused: AtomicBool,
}

/// The messages for one call of a handler.
#[derive(Default)]
pub(crate) struct TakenPopped {
    pub(crate) messages: Vec<Received>,
    /// Those whose invisible time was over: they come again.
    pub(crate) expired: Vec<Received>,
    /// Whether more messages may start now.
    pub(crate) more: bool,
}

impl PopQueue {
    pub(crate) fn new(source: Source, shown: MessageQueue, since: Instant) -> PopQueue {
        PopQueue {
            source,
            shown,
            since,
            waiting: Mutex::default(),
            is_in_line: AtomicBool::new(false),
            is_paused: AtomicBool::new(false),
        }
    }

    /// Adds messages; gives them back if the queue is paused.
    pub(crate) fn put(&self, messages: Vec<Received>) -> Vec<Received> {
        let mut waiting = self.waiting.lock();
        if self.is_paused() {
            return messages;
        }
        waiting.extend(messages);
        Vec::new()
    }

    /// Takes up to `most` messages of one queue of the topic for a call of a handler.
    pub(crate) fn take(&self, most: usize, now: Instant) -> TakenPopped {
        let mut waiting = self.waiting.lock();
        let mut taken = TakenPopped::default();
        while taken.messages.len() < most {
            let Some(next) = waiting.pop_front() else {
                break;
            };
            if next.delivery.is_expired(now) {
                taken.expired.push(next);
                continue;
            }
            let first = taken.messages.first();
            if first.is_some_and(|first| first.message.queue() != next.message.queue()) {
                waiting.push_front(next);
                break;
            }
            taken.messages.push(next);
        }
        taken.more = !waiting.is_empty();
        taken
    }

    /// Takes all messages: no handler gets them.
    pub(crate) fn clear(&self) -> Vec<Received> {
        self.waiting.lock().drain(..).collect()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.lock().len()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::SeqCst)
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.is_paused.store(paused, Ordering::SeqCst);
    }

    /// Enters the line; false if the queue is in it already.
    pub(crate) fn enter_line(&self) -> bool {
        !self.is_in_line.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn leave_line(&self) {
        self.is_in_line.store(false, Ordering::SeqCst);
    }
}
