//! How many long polls wait at a broker, by group.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::embedded::changes::Changes;

pub(in crate::embedded) struct Parked(Arc<Counts>);

struct Counts {
    by_group: Mutex<HashMap<String, usize>>,
    changes: Arc<Changes>,
}

/// One that waits; dropping it says that it waits no more.
pub(in crate::embedded) struct ParkedPoll {
    counts: Arc<Counts>,
    group: String,
}

impl Parked {
    pub(in crate::embedded) fn new(changes: Arc<Changes>) -> Parked {
        Parked(Arc::new(Counts {
            by_group: Mutex::default(),
            changes,
        }))
    }

    pub(in crate::embedded) fn enter(&self, group: &str) -> ParkedPoll {
        *self.0.by_group.lock().entry(group.to_owned()).or_default() += 1;
        self.0.changes.note();
        ParkedPoll {
            counts: Arc::clone(&self.0),
            group: group.to_owned(),
        }
    }

    /// How many of a group wait now.
    pub(in crate::embedded) fn count(&self, group: &str) -> usize {
        self.0.by_group.lock().get(group).copied().unwrap_or(0)
    }
}

impl Drop for ParkedPoll {
    fn drop(&mut self) {
        let mut by_group = self.counts.by_group.lock();
        if let Some(count) = by_group.get_mut(&self.group) {
            *count -= 1;
            if *count == 0 {
                by_group.remove(&self.group);
            }
        }
        drop(by_group);
        self.counts.changes.note();
    }
}
