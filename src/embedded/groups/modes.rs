//! Whether a group pulls or pops the messages of a topic.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::protocol::consumer::assignment::{RequestMode, SetRequestMode};

/// The modes that were set on one broker. They outlive a kill.
#[derive(Default)]
pub(in crate::embedded) struct Modes(Mutex<HashMap<(String, String), Mode>>);

/// A mode, and the number of other members with which a member shares its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded) struct Mode {
    pub(in crate::embedded) mode: RequestMode,
    pub(in crate::embedded) share: i32,
}

impl Modes {
    pub(in crate::embedded) fn set(&self, set: &SetRequestMode) {
        let key = (set.topic.clone(), set.consumer_group.clone());
        let mode = Mode {
            mode: set.mode,
            share: set.pop_share_queue_num,
        };
        self.0.lock().insert(key, mode);
    }

    /// The mode of a topic for a group; default: pull.
    pub(in crate::embedded) fn of(&self, topic: &str, group: &str) -> Mode {
        let set = self.0.lock();
        let key = (topic.to_owned(), group.to_owned());
        set.get(&key).copied().unwrap_or(Mode {
            mode: RequestMode::Pull,
            share: -1,
        })
    }
}
