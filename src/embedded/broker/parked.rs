//! The long polls that wait at a broker, by group.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::embedded::changes::Changes;

/// Cheap to clone; clones share the polls.
#[derive(Clone)]
pub(in crate::embedded) struct Parked(Arc<Polls>);

struct Polls {
    state: Mutex<State>,
    changes: Arc<Changes>,
}

#[derive(Default)]
struct State {
    next: u64,
    by_group: HashMap<String, BTreeMap<u64, Wake>>,
}

/// Has a poll check again for messages.
type Wake = Arc<dyn Fn() + Send + Sync>;

/// A poll that waits, until this is dropped.
pub(in crate::embedded) struct ParkedPoll {
    polls: Arc<Polls>,
    group: String,
    number: u64,
}

impl Parked {
    pub(in crate::embedded) fn new(changes: Arc<Changes>) -> Parked {
        Parked(Arc::new(Polls {
            state: Mutex::default(),
            changes,
        }))
    }

    pub(in crate::embedded) fn enter(
        &self,
        group: &str,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> ParkedPoll {
        let mut state = self.0.state.lock();
        let number = state.next;
        state.next += 1;
        let polls = state.by_group.entry(group.to_owned()).or_default();
        polls.insert(number, Arc::new(wake));
        drop(state);
        self.0.changes.note();
        ParkedPoll {
            polls: Arc::clone(&self.0),
            group: group.to_owned(),
            number,
        }
    }

    /// The number of waiting polls of a group.
    pub(in crate::embedded) fn count(&self, group: &str) -> usize {
        let state = self.0.state.lock();
        state.by_group.get(group).map_or(0, BTreeMap::len)
    }

    /// Has all polls of a group check again.
    pub(in crate::embedded) fn wake(&self, group: &str) {
        let wakes: Vec<Wake> = {
            let state = self.0.state.lock();
            let polls = state.by_group.get(group).into_iter().flatten();
            polls.map(|(_, wake)| Arc::clone(wake)).collect()
        };
        for wake in wakes {
            wake();
        }
    }
}

impl Drop for ParkedPoll {
    fn drop(&mut self) {
        let mut state = self.polls.state.lock();
        let polls = state.by_group.get_mut(&self.group);
        let wake = polls.and_then(|polls| polls.remove(&self.number));
        if state
            .by_group
            .get(&self.group)
            .is_some_and(BTreeMap::is_empty)
        {
            state.by_group.remove(&self.group);
        }
        drop(state);
        drop(wake);
        self.polls.changes.note();
    }
}
