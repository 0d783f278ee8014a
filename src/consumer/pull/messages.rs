//! An iterator over polled messages.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::poller::Poller;
use super::pulled::PulledMessage;
use crate::error::{Error, ErrorKind, Result};
use crate::message::MessageQueue;

/// The longest wait of one poll without another limit.
const LONG: Duration = Duration::from_secs(3600);

/// How often `until_caught_up` checks for the end of the queues, which need not come with a message.
const LOOK: Duration = Duration::from_millis(20);

/// The messages of a [`PullConsumer`](super::PullConsumer), one after the other; created by
/// [`messages`](super::PullConsumer::messages).
///
/// It waits for the next message. It ends (`None`) when the consumer is shut down, and by
/// [`until_caught_up`](Messages::until_caught_up) and [`until_idle`](Messages::until_idle); whichever
/// comes first. The standard [`take`](Iterator::take) goes last:
/// `consumer.messages().until_idle(d).take(n)`.
///
/// An error is one item; the iteration goes on after it.
#[must_use = "an iterator does nothing until it is asked for something"]
pub struct Messages {
    consumer: Arc<Poller>,
    /// Messages that were polled and not handed out, in reverse.
    batch: Vec<PulledMessage>,
    idle: Option<Duration>,
    /// When the last message was handed out, or the iteration began.
    last: Option<Instant>,
    caught_up: Option<CaughtUp>,
}

/// The condition of `until_caught_up`.
#[derive(Default)]
struct CaughtUp {
    /// The ends of the queues when they were first seen.
    ends: BTreeMap<MessageQueue, u64>,
}

impl Messages {
    pub(super) fn new(consumer: Arc<Poller>) -> Messages {
        Messages {
            consumer,
            batch: Vec::new(),
            idle: None,
            last: None,
            caught_up: None,
        }
    }

    /// Ends when all messages were handed out that this consumer's queues had when the iteration began.
    /// Later messages may come too, but the iteration does not wait for them. A queue that the consumer
    /// takes meanwhile is read up to its end at that time. The iteration waits for paused queues, and for
    /// queues whose broker refuses the pulls (an event says so): `until_idle` limits that.
    pub fn until_caught_up(mut self) -> Messages {
        self.caught_up = Some(CaughtUp::default());
        self
    }

    /// Ends when no message came for this long.
    pub fn until_idle(mut self, most: Duration) -> Messages {
        self.idle = Some(most);
        self
    }

    /// Whether all messages up to these ends were handed out.
    fn is_caught_up(&mut self) -> Result<bool> {
        let Some(caught_up) = &mut self.caught_up else {
            return Ok(false);
        };
        if !self.consumer.is_assigned() {
            return Ok(false);
        }
        let queues = self.consumer.assignment();
        caught_up.ends.retain(|queue, _| queues.contains(queue));
        let new = queues.iter().filter(|q| !caught_up.ends.contains_key(q));
        let new: Vec<MessageQueue> = new.cloned().collect();
        caught_up.ends.extend(self.consumer.ends(&new)?);
        let mut ends = caught_up.ends.iter();
        let is_behind = |(queue, end): (&MessageQueue, &u64)| {
            let position = self.consumer.position(queue).ok().flatten();
            position.is_none_or(|position| position < *end)
        };
        Ok(!ends.any(is_behind))
    }

    /// How long the next poll may wait; `None` if it is over.
    fn wait(&mut self, now: Instant) -> Option<Duration> {
        let last = *self.last.get_or_insert(now);
        let mut wait = LONG;
        if let Some(most) = self.idle {
            wait = most.saturating_sub(now.saturating_duration_since(last));
            if wait.is_zero() {
                return None;
            }
        }
        Some(match self.caught_up {
            Some(_) => wait.min(LOOK),
            None => wait,
        })
    }
}

impl Iterator for Messages {
    type Item = Result<PulledMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        let is_end = |error: &Error| error.kind() == ErrorKind::Closed;
        loop {
            if let Some(message) = self.batch.pop() {
                self.last = Some(Instant::now());
                return Some(Ok(message));
            }
            match self.is_caught_up() {
                Ok(true) => return None,
                Ok(false) => {}
                Err(error) if is_end(&error) => return None,
                Err(error) => return Some(Err(error)),
            }
            let wait = self.wait(Instant::now())?;
            match self.consumer.poll(wait) {
                Ok(batch) => {
                    self.batch = batch;
                    self.batch.reverse();
                }
                Err(error) if is_end(&error) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("until_idle", &self.idle)
            .field("until_caught_up", &self.caught_up.is_some())
            .finish_non_exhaustive()
    }
}
