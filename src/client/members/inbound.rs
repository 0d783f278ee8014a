//! Receives the events of connections for the client.

use std::sync::{Arc, Weak};

use super::heartbeat::Heartbeats;
use super::member::BrokerRequest;
use super::registry::Registry;
use crate::protocol::Command;
use crate::protocol::code::request;
use crate::transport::{Connection, Inbound, Throttle};

/// Takes events of connections to the members, while there is a client.
pub(in crate::client) struct Dispatcher {
    registry: Arc<Registry>,
    heartbeats: Weak<Heartbeats>,
    warnings: Arc<Throttle>,
}

impl Dispatcher {
    pub(in crate::client) fn new(
        registry: Arc<Registry>,
        heartbeats: Weak<Heartbeats>,
        warnings: Arc<Throttle>,
    ) -> Dispatcher {
        Dispatcher {
            registry,
            heartbeats,
            warnings,
        }
    }
}

impl Inbound for Dispatcher {
    fn connected(&self, connection: &Arc<Connection>) {
        if let Some(heartbeats) = self.heartbeats.upgrade() {
            heartbeats.connected(connection);
        }
    }

    /// The first member that knows what to do with it has it.
    fn request(&self, connection: &Arc<Connection>, command: Command) -> Result<(), Command> {
        let Some(name) = request::of_broker(command.code) else {
            return Err(command);
        };
        let warnings = self.warnings.clone();
        let mut request = BrokerRequest::new(connection.clone(), command, warnings);
        for member in self.registry.all() {
            match member.answer(request) {
                Some(back) => request = back,
                None => return Ok(()),
            }
        }
        Err(request.unclaimed(name))
    }
}
