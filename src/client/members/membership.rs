use std::sync::Arc;

use super::heartbeat::Heartbeats;
use super::member::{Member, MemberKind};
use crate::transport::{Connection, Deadline};

/// A member's place in its client; dropping it gives the group's name free.
pub(crate) struct Membership {
    heartbeats: Arc<Heartbeats>,
    kind: MemberKind,
    /// Its name on the wire.
    group: Arc<str>,
}

impl Membership {
    /// Adds a member and sends heartbeats; `None` if one of its kind and group exists.
    pub(in crate::client) fn join(
        heartbeats: &Arc<Heartbeats>,
        member: Arc<dyn Member>,
    ) -> Option<Membership> {
        let (kind, group) = (member.kind(), member.group().clone());
        heartbeats.registry.join(member.clone())?;
        heartbeats.announce(&*member);
        Some(Membership {
            heartbeats: heartbeats.clone(),
            kind,
            group,
        })
    }

    /// The member's part of the heartbeat has changed: brokers get it at once, and count as
    /// informed when they answer that heartbeat. (`ClientCore::learn_soon` looks up further
    /// topics.)
    #[allow(dead_code, reason = "consumers are to come")]
    pub(crate) fn change(&self) {
        let changed = self.heartbeats.registry.change(self.kind, &self.group);
        if let Some(member) = changed {
            self.heartbeats.announce(&*member);
        }
    }

    /// The connection by which the broker at an address knows the member as it is now, if there is one.
    #[allow(dead_code, reason = "consumers are to come")]
    pub(crate) fn registered(&self, address: &Arc<str>) -> Option<Arc<Connection>> {
        self.heartbeats.registered(self.kind, &self.group, address)
    }

    /// The same, waiting until the broker has confirmed a heartbeat, if need be over a new connection.
    #[allow(dead_code, reason = "consumers are to come")]
    pub(crate) fn ensure_registered(
        &self,
        address: &Arc<str>,
        deadline: Deadline,
    ) -> Option<Arc<Connection>> {
        self.heartbeats
            .ensure_registered(self.kind, &self.group, address, deadline)
    }

    /// Schedules heartbeats to these addresses, over new connections if needed.
    #[allow(dead_code, reason = "consumers are to come")]
    pub(crate) fn announce(&self, addresses: impl IntoIterator<Item = Arc<str>>) {
        self.heartbeats.send_soon(addresses);
    }

    /// Tells the brokers that the group goes away, until the deadline.
    pub(crate) fn unregister(&self, deadline: Deadline) {
        let group = [(self.kind, self.group.clone())];
        self.heartbeats.unregister(&group, deadline);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.heartbeats.registry.leave(self.kind, &self.group);
    }
}
