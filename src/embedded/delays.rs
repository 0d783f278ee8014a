//! Delayed messages: held until the clock, which only a test moves, says that they are due.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::broker::{BrokerService, bad_request};
use super::send::{Place, Refusal, now_ms};
use super::store::{Appended, Draft, Store};
use crate::message::name;
use crate::protocol::admin::{RecallAnswer, RecallMessage};
use crate::protocol::code::response;
use crate::protocol::recall::RecallHandle;
use crate::protocol::{Command, properties};

/// Where real brokers keep messages with a delay level, one queue a level.
const LEVEL_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// Where they keep timer messages.
const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";

/// The default levels of brokers, in seconds, from level 1 on.
const LEVELS: [i64; 18] = [
    1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200,
];

/// The longest time of a timer message (`timerMaxDelaySec`): three days.
const LONGEST_TIMER_MS: i64 = 3 * 24 * 3600 * 1000;

/// What all brokers of a cluster hold back.
pub(super) struct Delays {
    hold: bool,
    recall: bool,
    state: Mutex<State>,
}

struct State {
    /// Epoch milliseconds.
    now: i64,
    /// In order of arrival.
    held: Vec<Held>,
}

struct Held {
    due: i64,
    broker: usize,
    topic: Arc<str>,
    queue_id: i32,
    unique_key: Option<String>,
    draft: Draft,
}

/// How a delayed message was stored for the time being.
pub(super) struct Holding {
    pub(super) appended: Appended,
    pub(super) queue_id: i32,
    due: i64,
    by_timer: bool,
}

impl Delays {
    pub(super) fn new(hold: bool, recall: bool) -> Delays {
        Delays {
            hold,
            recall,
            state: Mutex::new(State {
                now: now_ms(),
                held: Vec::new(),
            }),
        }
    }

    pub(super) fn now(&self) -> SystemTime {
        let millis = u64::try_from(self.state.lock().now).unwrap_or(0);
        let since = Duration::from_millis(millis);
        // Only whoever moves the clock by ages gets there.
        UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
    }

    pub(super) fn advance(&self, time: Duration, store: &Store) -> usize {
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let mut state = self.state.lock();
        state.now = state.now.saturating_add(millis);
        let now = state.now;
        let all = std::mem::take(&mut state.held);
        let (mut due, rest): (Vec<Held>, _) = all.into_iter().partition(|held| held.due <= now);
        state.held = rest;
        due.sort_by_key(|held| held.due);
        let count = due.len();
        // Still under the lock: what is due earlier is stored earlier, whoever moves the clock.
        for held in due {
            let mut draft = held.draft;
            if let Some(message) = &mut draft.message {
                message.store_timestamp = now;
            }
            store.append(held.broker, &held.topic, held.queue_id, vec![draft]);
        }
        count
    }
}

impl BrokerService {
    /// Holds a message back if it is to be delivered later.
    pub(super) fn hold(
        &self,
        place: &Place<'_>,
        body: &[u8],
        text: &str,
    ) -> Result<Option<Holding>, Refusal> {
        if !self.delays.hold {
            return Ok(None);
        }
        let flag = place.header.flag;
        let properties = properties::decode(text);
        let number = |name| {
            properties
                .get(name)
                .and_then(|text| text.parse::<i64>().ok())
        };
        let mut state = self.delays.state.lock();
        let now = state.now;
        let timer = || {
            let seconds =
                number("TIMER_DELAY_SEC").map(|s| now.saturating_add(s.saturating_mul(1000)));
            let millis = || number(name::TIMER_DELAY_MS).map(|ms| now.saturating_add(ms));
            seconds
                .or_else(millis)
                .or_else(|| number(name::TIMER_DELIVER_MS))
        };
        let level = number(name::DELAY).filter(|level| *level > 0);
        let (due, topic, queue_id) = match level {
            Some(level) => {
                let index = usize::try_from(level - 1)
                    .unwrap_or(0)
                    .min(LEVELS.len() - 1);
                let queue = i32::try_from(index).unwrap_or(0);
                (now + LEVELS[index] * 1000, LEVEL_TOPIC, queue)
            }
            None => match timer() {
                Some(due) if due > now => (due, TIMER_TOPIC, 0),
                _ => return Ok(None),
            },
        };
        if level.is_none() && due - now > LONGEST_TIMER_MS {
            let remark = format!(
                "timer message illegal, the delay time should not be bigger than the max delay \
                 {LONGEST_TIMER_MS}ms"
            );
            return Err(Refusal(response::MESSAGE_ILLEGAL, remark));
        }
        let waiting = Place {
            topic: &Arc::from(topic),
            queue_id,
            ..place.clone()
        };
        let draft = waiting.draft(flag, body, text)?;
        let appended = self
            .store
            .append(self.index, waiting.topic, queue_id, vec![draft]);
        state.held.push(Held {
            due,
            broker: self.index,
            topic: Arc::clone(place.topic),
            queue_id: place.queue_id,
            unique_key: properties.get(name::UNIQ_KEY).map(str::to_owned),
            draft: place.draft(flag, body, text)?,
        });
        Ok(Some(Holding {
            appended,
            queue_id,
            due,
            by_timer: level.is_none(),
        }))
    }

    /// What the answer to a send of a timer message says, whether recalling is on or not.
    pub(super) fn recall_handle(&self, held: &Holding, topic: &str, key: &str) -> Option<String> {
        let handle = RecallHandle {
            topic: topic.to_owned(),
            broker: self.name.to_string(),
            timestamp: held.due,
            unique_key: key.to_owned(),
        };
        held.by_timer.then(|| handle.encode())
    }

    pub(super) fn recall(&self, request: &Command) -> Command {
        let header = match RecallMessage::decode(&request.ext) {
            Ok(header) => header,
            Err(error) => return bad_request(request, &error),
        };
        match self.try_recall(&header) {
            Ok(message_id) => Command::response_to(request, response::SUCCESS)
                .with_fields(&RecallAnswer { message_id }),
            Err(Refusal(code, remark)) => Command::response_to(request, code).with_remark(remark),
        }
    }

    fn try_recall(&self, header: &RecallMessage) -> Result<String, Refusal> {
        let refuse = |code, why: &str| Err(Refusal(code, format!("recall failed, {why}")));
        let illegal = |why| refuse(response::ILLEGAL_OPERATION, why);
        if !self.delays.recall {
            return refuse(response::NO_PERMISSION, "operation is forbidden");
        }
        if self.topics.find(&header.topic, self.index).is_none() {
            let why = format!("the topic[{}] not exist", header.topic);
            return refuse(response::TOPIC_NOT_EXIST, &why);
        }
        let Ok(handle) = RecallHandle::decode(&header.recall_handle) else {
            let remark = "recall handle is invalid".to_owned();
            return Err(Refusal(response::ILLEGAL_OPERATION, remark));
        };
        if handle.topic != header.topic {
            return illegal("topic not match");
        }
        if *handle.broker != *self.name {
            return illegal("broker service not available");
        }
        let mut state = self.delays.state.lock();
        let left = handle.timestamp - state.now;
        if left <= 0 || left >= LONGEST_TIMER_MS {
            return illegal("timestamp invalid");
        }
        let key = Some(handle.unique_key.as_str());
        let is_it = |held: &Held| {
            held.broker == self.index
                && *held.topic == *handle.topic
                && held.unique_key.as_deref() == key
        };
        // As with a real broker, one that is not there any more is no error.
        state.held.retain(|held| !is_it(held));
        Ok(handle.unique_key)
    }
}
