//! Delayed messages: held until they are due by the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::embedded::broker::refusal::Refusal;
use crate::embedded::broker::text::find_property;
use crate::embedded::clock::{Clock, Millis, Timer};
use crate::embedded::store::{Draft, Store};
use crate::message::{SCHEDULE_TOPIC, name};
use crate::protocol::code::response;

/// The topic in which real brokers keep timer messages.
const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";

/// The default levels of brokers, in seconds, from level 1 on.
const LEVELS: [i64; 18] = [
    1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200,
];

/// The longest time of a timer message (`timerMaxDelaySec`): three days.
pub(super) const LONGEST_TIMER_MS: i64 = 3 * 24 * 3600 * 1000;

/// The held messages of all brokers of a cluster.
pub(in crate::embedded) struct Delays {
    /// Whether they hold anything back at all.
    hold: bool,
    pub(super) recall: bool,
    clock: Arc<Clock>,
    store: Arc<Store>,
    table: Mutex<Table>,
    delivered: AtomicUsize,
}

#[derive(Default)]
struct Table {
    next: u64,
    /// In order of arrival. One without a timer is due, and its broker is down.
    held: BTreeMap<u64, (Held, Option<Timer>)>,
    /// Brokers that are down: they deliver when they are up again.
    down: BTreeSet<usize>,
}

/// A message that waits, and where it goes when it is due.
pub(super) struct Held {
    pub(super) broker: usize,
    pub(super) topic: Arc<str>,
    pub(super) queue_id: i32,
    pub(super) unique_key: String,
    pub(super) draft: Draft,
}

/// When a message is due, and by which property.
pub(in crate::embedded) struct Delay {
    due: Millis,
    /// From 0 on; `None` for a timer message.
    level: Option<i32>,
}

impl Delay {
    pub(super) fn due(&self) -> Millis {
        self.due
    }

    pub(super) fn is_timer(&self) -> bool {
        self.level.is_none()
    }

    /// The message's place until then.
    pub(super) fn topic(&self) -> &'static str {
        self.level.map_or(TIMER_TOPIC, |_| SCHEDULE_TOPIC)
    }

    pub(super) fn queue_id(&self) -> i32 {
        self.level.unwrap_or(0)
    }
}

impl Delays {
    pub(in crate::embedded) fn new(
        hold: bool,
        recall: bool,
        clock: Arc<Clock>,
        store: Arc<Store>,
    ) -> Delays {
        Delays {
            hold,
            recall,
            clock,
            store,
            table: Mutex::default(),
            delivered: AtomicUsize::new(0),
        }
    }

    /// The number of held messages that have been stored in their topics so far.
    pub(in crate::embedded) fn delivered(&self) -> usize {
        self.delivered.load(Ordering::Acquire)
    }

    /// The delay that these properties ask for, if the message is to be held.
    pub(super) fn of(&self, properties: &str) -> Result<Option<Delay>, Refusal> {
        if !self.hold {
            return Ok(None);
        }
        let number = |name| {
            let value = find_property(properties, name);
            value.and_then(|text| text.parse::<i64>().ok())
        };
        let now = self.clock.now();
        if let Some(level) = number(name::DELAY).filter(|level| *level > 0) {
            return Ok(self.of_level(level));
        }
        let seconds = || number("TIMER_DELAY_SEC").map(|s| s.saturating_mul(1000));
        let millis = || number(name::TIMER_DELAY_MS);
        let after = seconds().or_else(millis).map(|ms| now.saturating_add(ms));
        match after.or_else(|| number(name::TIMER_DELIVER_MS)) {
            Some(due) if due.saturating_sub(now) > LONGEST_TIMER_MS => {
                let remark = format!(
                    "timer message illegal, the delay time should not be bigger than the max delay \
                     {LONGEST_TIMER_MS}ms"
                );
                Err(Refusal(response::MESSAGE_ILLEGAL, remark))
            }
            Some(due) if due > now => Ok(Some(Delay { due, level: None })),
            _ => Ok(None),
        }
    }

    /// The delay of a level, from 1 on, if messages are held at all.
    pub(in crate::embedded) fn of_level(&self, level: i64) -> Option<Delay> {
        let level = usize::try_from(level.max(1) - 1).unwrap_or(usize::MAX);
        let level = level.min(LEVELS.len() - 1);
        self.hold.then(|| Delay {
            due: self.clock.now().saturating_add(LEVELS[level] * 1000),
            level: i32::try_from(level).ok(),
        })
    }

    /// Holds a copy of a message for queue 0 of a topic until it is due, unless it is
    /// [cancelled](Delays::cancel) before, by the number that this returns.
    pub(in crate::embedded) fn hold_copy(
        self: &Arc<Delays>,
        due: Millis,
        broker: usize,
        topic: &Arc<str>,
        draft: Draft,
    ) -> u64 {
        let held = Held {
            broker,
            topic: Arc::clone(topic),
            queue_id: 0,
            unique_key: String::new(),
            draft,
        };
        self.hold(due, held)
    }

    /// Forgets a held message. It may have been delivered.
    pub(in crate::embedded) fn cancel(&self, number: u64) {
        // Dropped when the lock is free again.
        let _held = self.table.lock().held.remove(&number);
    }

    /// Holds a message until it is due, and returns its number.
    pub(super) fn hold(self: &Arc<Delays>, due: Millis, held: Held) -> u64 {
        let mut table = self.table.lock();
        let id = table.next;
        table.next += 1;
        let delays: Weak<Delays> = Arc::downgrade(self);
        // It may be due already: then the clock waits for this lock.
        let timer = self.clock.at(due, move || {
            if let Some(delays) = delays.upgrade() {
                delays.deliver(id);
            }
        });
        table.held.insert(id, (held, Some(timer)));
        id
    }

    /// A broker is killed, or up again. Messages that became due in the meantime are delivered
    /// then.
    pub(in crate::embedded::broker) fn set_down(&self, broker: usize, is_down: bool) {
        let mut table = self.table.lock();
        if is_down {
            table.down.insert(broker);
            return;
        }
        table.down.remove(&broker);
        let of_broker = table
            .held
            .iter()
            .filter(|(_, (held, _))| held.broker == broker);
        let due = of_broker.filter(|(_, (_, timer))| timer.is_none());
        let due: Vec<u64> = due.map(|(id, _)| *id).collect();
        drop(table);
        for id in due {
            self.deliver(id);
        }
    }

    fn deliver(&self, id: u64) {
        let mut table = self.table.lock();
        let Table { held, down, .. } = &mut *table;
        if let Some((_, timer)) = held
            .get_mut(&id)
            .filter(|(held, _)| down.contains(&held.broker))
        {
            // It has fired: dropping it cancels nothing.
            let fired = timer.take();
            drop(table);
            drop(fired);
            return;
        }
        let taken = held.remove(&id);
        drop(table);
        if let Some((held, _timer)) = taken {
            let drafts = vec![held.draft];
            self.store
                .append(held.broker, &held.topic, held.queue_id, drafts);
            self.delivered.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Takes back what a broker holds for a topic with this unique key, if it is still there.
    pub(super) fn take_back(&self, broker: usize, topic: &str, unique_key: &str) {
        let is_it = |held: &Held| {
            held.broker == broker && *held.topic == *topic && held.unique_key == unique_key
        };
        // Dropped when the lock is free again.
        let _taken: Vec<_> = {
            let mut table = self.table.lock();
            let ids: Vec<u64> = table
                .held
                .iter()
                .filter(|(_, (held, _))| is_it(held))
                .map(|(id, _)| *id)
                .collect();
            ids.iter().map(|id| table.held.remove(id)).collect()
        };
    }

    /// The time left, by the clock.
    pub(super) fn left(&self, due: Millis) -> Millis {
        due.saturating_sub(self.clock.now())
    }
}
