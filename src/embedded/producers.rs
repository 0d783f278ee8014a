//! Which producers a broker knows from their heartbeats.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::protocol::heartbeat::{Heartbeat, Unregister};

/// Client ids by group, each with the connection that its last heartbeat came over. Checks of
/// transactions and pushed replies go out over it.
#[derive(Default)]
pub(super) struct Producers(Mutex<BTreeMap<String, BTreeMap<String, u64>>>);

impl Producers {
    pub(super) fn register(&self, heartbeat: &Heartbeat, connection: u64) {
        let mut groups = self.0.lock();
        for producer in &heartbeat.producer_data_set {
            let group = groups.entry(producer.group_name.clone()).or_default();
            group.insert(heartbeat.client_id.clone(), connection);
        }
    }

    pub(super) fn unregister(&self, gone: &Unregister) {
        let mut groups = self.0.lock();
        if let Some(name) = &gone.producer_group {
            if let Some(group) = groups.get_mut(name) {
                group.remove(&gone.client_id);
            }
            groups.retain(|_, clients| !clients.is_empty());
        }
    }

    pub(super) fn disconnected(&self, connection: u64) {
        let mut groups = self.0.lock();
        for clients in groups.values_mut() {
            clients.retain(|_, over| *over != connection);
        }
        groups.retain(|_, clients| !clients.is_empty());
    }

    /// The connection of some client of a group.
    pub(super) fn of_group(&self, group: &str) -> Option<u64> {
        self.0.lock().get(group)?.values().next().copied()
    }

    /// The connection of a client.
    pub(super) fn of_client(&self, id: &str) -> Option<u64> {
        self.0
            .lock()
            .values()
            .find_map(|clients| clients.get(id).copied())
    }

    pub(super) fn all(&self) -> BTreeMap<String, Vec<String>> {
        let groups = self.0.lock();
        let ids = |clients: &BTreeMap<String, u64>| clients.keys().cloned().collect();
        groups.iter().map(|(g, c)| (g.clone(), ids(c))).collect()
    }
}
