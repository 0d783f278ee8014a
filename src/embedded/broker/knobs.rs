//! What a test changed about a broker.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;

/// Edits the member list that a broker returns.
pub(super) type EditMembers = Arc<dyn Fn(Vec<String>) -> Vec<String> + Send + Sync>;

#[derive(Default)]
pub(in crate::embedded) struct Knobs {
    drop_notifications: AtomicBool,
    suggested_broker: AtomicI64,
    member_lists: Mutex<HashMap<String, EditMembers>>,
}

impl Knobs {
    pub(super) fn set_drop_notifications(&self, drop: bool) {
        self.drop_notifications.store(drop, Ordering::Relaxed);
    }

    pub(in crate::embedded) fn drops_notifications(&self) -> bool {
        self.drop_notifications.load(Ordering::Relaxed)
    }

    pub(super) fn set_suggested_broker(&self, id: i64) {
        self.suggested_broker.store(id, Ordering::Relaxed);
    }

    /// The broker id that answers to pulls suggest.
    pub(in crate::embedded) fn suggested_broker(&self) -> i64 {
        self.suggested_broker.load(Ordering::Relaxed)
    }

    pub(super) fn set_member_list(&self, group: &str, edit: Option<EditMembers>) {
        let mut lists = self.member_lists.lock();
        match edit {
            Some(edit) => lists.insert(group.to_owned(), edit),
            None => lists.remove(group),
        };
    }

    /// The member list as the broker returns it.
    pub(in crate::embedded) fn member_list(
        &self,
        group: &str,
        members: Vec<String>,
    ) -> Vec<String> {
        // The test's function runs without the lock.
        let edit = self.member_lists.lock().get(group).cloned();
        match edit {
            Some(edit) => edit(members),
            None => members,
        }
    }
}
