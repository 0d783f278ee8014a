//! Faults that no event reports: handlers that do not end, and queues that do nothing although they
//! could.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::inbox::GivenBack;
use super::owned::{Owned, Queues};
use super::tools::Tools;
use crate::consumer::LOG;
use crate::consumer::observe::Event;
use crate::consumer::queue::Payload;
use crate::logging;

/// How often all queues are checked.
const EVERY: Duration = Duration::from_secs(1);

/// A queue that could fetch, and does nothing for this long, was forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(5);

/// The findings of earlier checks.
pub(super) struct Watch {
    next: Instant,
    /// Since when a handler has a message that was reported, by queue and offset.
    stuck: HashMap<(u64, u64), Instant>,
    /// Since when queues do nothing.
    idle: HashMap<u64, Instant>,
}

/// The findings of a check.
#[derive(Default)]
pub(super) struct Found {
    /// Messages that are taken from their handlers.
    pub(super) recalled: Vec<GivenBack>,
    /// Forgotten queues.
    pub(super) forgotten: Vec<u64>,
}

impl Watch {
    pub(super) fn new(now: Instant) -> Watch {
        Watch {
            next: now + EVERY,
            stuck: HashMap::new(),
            idle: HashMap::new(),
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    pub(super) fn step(&mut self, queues: &Queues, tools: &Tools, now: Instant) -> Found {
        let mut found = Found::default();
        self.next = now + EVERY;
        let mut stuck = HashMap::new();
        for owned in queues.iter() {
            self.look_for_stuck(owned, tools, now, &mut stuck, &mut found);
            if self.is_forgotten(owned, now) {
                tools.counters.stalls.add(1);
                let queue = &owned.assigned.shown;
                logging::error!(target: LOG, "{queue} did nothing: this is a bug of this crate");
                found.forgotten.push(owned.number());
            }
        }
        self.stuck = stuck;
        found
    }

    fn look_for_stuck(
        &self,
        owned: &Owned,
        tools: &Tools,
        now: Instant,
        stuck: &mut HashMap<(u64, u64), Instant>,
        found: &mut Found,
    ) {
        let most = tools.config.consume_timeout;
        let number = owned.number();
        let mut contents = owned.assigned.lock();
        if contents.window.handlers() == 0 {
            return;
        }
        let late = contents
            .window
            .running()
            .filter(|(_, since)| now.saturating_duration_since(*since) >= most);
        let late: Vec<(u64, Instant)> = late.collect();
        let mut events = Vec::new();
        for (offset, since) in late {
            if self.stuck.get(&(number, offset)) != Some(&since) {
                tools.counters.stuck.add(1);
                events.push(Event::Stuck {
                    queue: owned.assigned.shown.clone(),
                    offset,
                    since: now.saturating_duration_since(since),
                });
            }
            stuck.insert((number, offset), since);
            if tools.config.revoke_stuck {
                let payload = contents.window.payload(offset);
                if let (Some(payload), Some(ticket)) = (payload, contents.window.recall(offset)) {
                    let message = match payload {
                        Payload::Packed(packed) => packed.as_stored().clone(),
                        Payload::Unpacked(message) => message,
                    };
                    found.recalled.push(GivenBack {
                        queue: owned.assigned.clone(),
                        ticket,
                        message: message.of_queue(&owned.assigned.shown),
                        level: 0,
                    });
                }
            }
        }
        drop(contents);
        events
            .into_iter()
            .for_each(|event| tools.events.tell(event));
    }

    /// An active queue that is neither paused nor full, has no request in flight, and waits for
    /// nothing.
    fn is_forgotten(&mut self, owned: &Owned, now: Instant) -> bool {
        let number = owned.number();
        let could = owned.may_fetch(now) && !owned.has_due();
        let could = could && !owned.fetch.waits_for_bytes && {
            let window = &owned.assigned.lock().window;
            !window.is_asking() && !window.is_full()
        };
        if !could {
            self.idle.remove(&number);
            return false;
        }
        let since = *self.idle.entry(number).or_insert(now);
        now.saturating_duration_since(since) >= FORGOTTEN_AFTER
    }

    pub(super) fn forget(&mut self, number: u64) {
        self.idle.remove(&number);
    }
}
