use std::sync::{Arc, Weak};

use super::heartbeat::Heartbeats;
use super::member::{Member, MemberKind};
use crate::transport::{Confirmation, Connection, Deadline};

/// A member's place in its client; dropping it gives the group's name free.
pub(crate) struct Membership {
    heartbeats: Arc<Heartbeats>,
    kind: MemberKind,
    /// Its name on the wire.
    group: Arc<str>,
}

/// That a broker knows a member, which a request to it relies on.
#[derive(Debug)]
pub(crate) struct Registered {
    connection: Weak<Connection>,
    confirmation: Confirmation,
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

    /// Whether the broker at an address knows the member as it is now. Never waits.
    pub(crate) fn registered(&self, address: &Arc<str>) -> Option<Registered> {
        let (kind, group) = (self.kind, &self.group);
        let connection = self.heartbeats.registered(kind, group, address)?;
        Some(Registered {
            connection: Arc::downgrade(&connection),
            confirmation: connection.registration().confirmation(),
        })
    }

    /// A broker has answered that it does not know what it has confirmed before: it hears of it again, once
    /// for all requests that relied on that.
    pub(crate) fn forgotten(&self, relied_on: &Registered) {
        let Some(connection) = relied_on.connection.upgrade() else {
            return;
        };
        let registration = connection.registration();
        if registration.note_forgotten(relied_on.confirmation) {
            self.heartbeats.send_soon([connection.address().clone()]);
        }
    }

    /// Waits until the broker has confirmed a heartbeat, if need be over a new connection. Returns the
    /// connection by which it knows the member.
    pub(crate) fn ensure_registered(
        &self,
        address: &Arc<str>,
        deadline: Deadline,
    ) -> Option<Arc<Connection>> {
        self.heartbeats
            .ensure_registered(self.kind, &self.group, address, deadline)
    }

    /// Schedules heartbeats to these addresses, over new connections if needed.
    pub(crate) fn announce(&self, addresses: impl IntoIterator<Item = Arc<str>>) {
        self.heartbeats.send_soon(addresses);
    }

    /// Tells the brokers that the group goes away, until the deadline. Its name is free when this is dropped.
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
