//! Messages that cannot be read. Each is fetched again, alone, before the policy decides about it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::inbox::{Asked, GivenBack, Unread};
use super::tools::Tools;
use crate::consumer::config::OnCorrupt;
use crate::consumer::observe::Event;
use crate::consumer::queue::Payload;
use crate::protocol::code::response;
use crate::protocol::consumer::pull::PullAnswer;
use crate::protocol::message::Messages;
use crate::protocol::route::MASTER;
use crate::transport::Outcome;

/// How often a message is fetched again before it is reported.
const TRIES: u32 = 3;

/// The pause after a fetch that failed.
const LATER: Duration = Duration::from_secs(1);

/// When a message that waits is fetched again.
const AGAIN: Duration = Duration::from_secs(30);

/// The messages that could not be read, by the number of their assignment and their offset.
#[derive(Default)]
pub(super) struct Corrupt(HashMap<(u64, u64), u32>);

/// The decision about a message that still cannot be read.
pub(super) enum Fate {
    /// Its queue changed.
    Changed(u64),
    /// A broker puts it into the dead letter topic.
    GiveBack(GivenBack),
}

impl Corrupt {
    /// A consume thread could not read a message.
    pub(super) fn note(&mut self, unread: Unread, tools: &Tools, now: Instant) -> Option<Fate> {
        let key = (unread.queue.number, unread.offset);
        let tries = self.0.entry(key).or_default();
        *tries += 1;
        if *tries <= TRIES {
            return reread(unread, tools, now);
        }
        if *tries == TRIES + 1 {
            tools.counters.corrupt.add(1);
            tools.events.tell(Event::Corrupt {
                queue: unread.queue.shown.clone(),
                offset: unread.offset,
                what: unread.what.clone(),
            });
        }
        let number = unread.queue.number;
        match (tools.config.on_corrupt, &unread.payload) {
            (OnCorrupt::DeadLetter, Payload::Packed(packed)) => {
                self.0.remove(&key);
                let message = packed.as_stored().clone();
                return Some(Fate::GiveBack(GivenBack {
                    message: message.of_queue(&unread.queue.shown),
                    queue: unread.queue,
                    ticket: unread.ticket,
                    level: -1,
                }));
            }
            (OnCorrupt::Skip, _) => {
                self.0.remove(&key);
                let _ = unread.queue.finish(unread.ticket);
            }
            _ => {
                let Unread {
                    queue,
                    ticket,
                    payload,
                    ..
                } = unread;
                let _ = queue.renew(ticket, payload, now + AGAIN);
                // It is fetched again then.
                self.0.insert(key, TRIES - 1);
            }
        }
        Some(Fate::Changed(number))
    }

    /// The message was fetched again, or that failed. Returns the queue that changed.
    pub(super) fn answered(&mut self, unread: Unread, outcome: Outcome, now: Instant) -> u64 {
        let again = outcome
            .ok()
            .filter(|answer| answer.code == response::SUCCESS);
        let packed = again.and_then(|answer| {
            let delta = PullAnswer::decode(&answer.ext).map_or(0, |header| header.delta());
            let found = Messages::new(answer.body).filter_map(Result::ok);
            let mut found = found.map(|packed| packed.shifted(delta));
            found.find(|packed| u64::try_from(packed.queue_offset()) == Ok(unread.offset))
        });
        let (payload, at) = match packed {
            Some(packed) => (Payload::Packed(packed), now),
            None => (unread.payload, now + LATER),
        };
        let _ = unread.queue.renew(unread.ticket, payload, at);
        unread.queue.number
    }

    /// A queue was given up.
    pub(super) fn forget(&mut self, number: u64) {
        self.0.retain(|(of, _), _| *of != number);
    }
}

fn reread(unread: Unread, tools: &Tools, now: Instant) -> Option<Fate> {
    let (number, offset) = (unread.queue.number, unread.offset);
    let queue = unread.queue.queue.clone();
    let (topic, to) = (
        tools.topics.get(queue.topic()),
        tools.wire.pull_address(&queue, MASTER),
    );
    if let Some((topic, to)) = topic.zip(to) {
        let asked = Asked::Reread(Box::new(unread));
        let wire = &tools.wire;
        wire.reread(&to, &queue, &topic.subscription, offset, now, asked);
        return None;
    }
    // The broker is in no route now.
    let _ = unread
        .queue
        .renew(unread.ticket, unread.payload, now + LATER);
    Some(Fate::Changed(number))
}
