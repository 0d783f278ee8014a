//! The consumer groups of a broker, and their settings.

use std::collections::HashMap;

use parking_lot::Mutex;

/// The settings of a consumer group on one broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded) struct GroupConfig {
    /// The number of queues of its retry topic; 0: nothing is retried.
    pub(in crate::embedded) retry_queues: i32,
    /// The number of retries before a message is a dead letter, unless the consumer sets another.
    pub(in crate::embedded) max_retries: i32,
    /// Whether it may consume at all.
    pub(in crate::embedded) consume: bool,
    /// Whether its members may each get all messages.
    pub(in crate::embedded) broadcast: bool,
}

impl Default for GroupConfig {
    fn default() -> GroupConfig {
        GroupConfig {
            retry_queues: 1,
            max_retries: 16,
            consume: true,
            broadcast: true,
        }
    }
}

/// The groups of one broker. They outlive a kill: real brokers keep them on disk.
pub(in crate::embedded) struct Configs {
    /// Whether groups are made on demand.
    auto_create: bool,
    groups: Mutex<HashMap<String, GroupConfig>>,
}

impl Configs {
    pub(in crate::embedded) fn new(auto_create: bool) -> Configs {
        Configs {
            auto_create,
            groups: Mutex::default(),
        }
    }

    /// The settings of a group. Makes it, if the broker makes groups on demand.
    pub(in crate::embedded) fn find(&self, group: &str) -> Option<GroupConfig> {
        let mut groups = self.groups.lock();
        match groups.get(group) {
            Some(config) => Some(*config),
            None if self.auto_create => {
                let made = groups.entry(group.to_owned()).or_default();
                Some(*made)
            }
            None => None,
        }
    }

    /// Whether the group exists; does not make it.
    pub(in crate::embedded) fn contains(&self, group: &str) -> bool {
        self.groups.lock().contains_key(group)
    }

    /// Changes the settings of a group; makes it if it does not exist.
    pub(in crate::embedded) fn change(&self, group: &str, change: impl FnOnce(&mut GroupConfig)) {
        change(self.groups.lock().entry(group.to_owned()).or_default());
    }

    pub(in crate::embedded) fn remove(&self, group: &str) {
        self.groups.lock().remove(group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_made_when_it_is_asked_for_if_the_broker_does_that() {
        let strict = Configs::new(false);
        assert_eq!(strict.find("g"), None);
        strict.change("g", |config| config.max_retries = 3);
        assert_eq!(strict.find("g").map(|config| config.max_retries), Some(3));
        strict.remove("g");
        assert!(!strict.contains("g"));

        let lenient = Configs::new(true);
        assert!(!lenient.contains("g"), "only looked at");
        assert_eq!(lenient.find("g"), Some(GroupConfig::default()));
        assert!(lenient.contains("g"));
    }
}
