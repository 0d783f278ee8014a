//! The thread that pops messages for the consume threads.

use std::sync::Arc;
use std::time::Duration;

use super::shared::Popping;
use crate::consumer::observe::Event;
use crate::consumer::pop::{MOST_MESSAGES, Receive, receive};
use crate::error::{Error, ErrorKind, ResponseCode};
use crate::message::MessageQueue;

/// How long one receive waits for a message.
const WAIT: Duration = Duration::from_secs(15);

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// The loop of the thread.
pub(super) fn run(popping: &Popping) {
    let config = &popping.consumer.config;
    let mut refused: Option<(Option<ResponseCode>, Option<Arc<str>>)> = None;
    while let Some(capacity) = wait_for_capacity(popping) {
        let asked = Receive {
            max: capacity.min(config.pull_batch).min(MOST_MESSAGES),
            invisible: config.invisible_time,
            wait: WAIT,
        };
        let counters = &popping.consumer.counters;
        counters.pulls.add(1);
        match receive(&popping.pop, || popping.known(), &asked) {
            Ok(None) => refused = None,
            Ok(Some((source, messages))) => {
                refused = None;
                popping.received(&source, messages);
            }
            Err(error) if error.kind() == ErrorKind::Closed => return,
            Err(error) => {
                counters.pull_failures.add(1);
                // One that lasts is told once.
                let this = (error.response_code(), error.topic().map(Arc::from));
                if error.kind() == ErrorKind::Broker && refused.as_ref() != Some(&this) {
                    refused = Some(this);
                    popping.tell(told(popping, &error));
                }
                let _ = popping.pop.core.closing().recv_timeout(PAUSE);
            }
        }
    }
}

/// Waits until more messages may be popped; `None`: the consumer has ended.
fn wait_for_capacity(popping: &Popping) -> Option<usize> {
    let mut table = popping.table.lock();
    loop {
        if table.is_closed {
            return None;
        }
        match popping.capacity(&table) {
            0 => popping.changed.wait(&mut table),
            capacity => return Some(capacity),
        }
    }
}

/// A refusal, as an event of the first source of that topic.
fn told(popping: &Popping, error: &Error) -> Event {
    let topic = error.topic().unwrap_or_default();
    let mut queues = popping.consumer.assignment.popped().into_iter();
    let queue = queues.find(|queue| queue.shown.topic() == topic);
    Event::Refused {
        queue: queue.map_or_else(|| MessageQueue::new(topic, "", 0), |q| q.shown.clone()),
        code: error.response_code(),
        what: error.to_string(),
    }
}
