use std::sync::Arc;
use std::time::Instant;

use super::api;
use super::core::Inner;
use crate::protocol::code::response;
use crate::protocol::heartbeat::{Heartbeat, Unregister};
use crate::transport::{Deadline, Next, Outcome};

impl Inner {
    /// Tells the masters of all known routes which groups live here.
    pub(super) fn heartbeat_all(&self) {
        for master in self.routes.masters() {
            self.heartbeat(&master);
        }
    }

    /// Tells one broker. Connects if need be, and does not wait for the answer.
    pub(super) fn heartbeat(&self, broker: &Arc<str>) {
        let groups = self.groups.lock();
        if groups.is_empty() {
            return;
        }
        let client_id = self.identity.client_id();
        let heartbeat = Heartbeat::of_producers(client_id, groups.iter().map(String::as_str));
        drop(groups);
        let deadline = Deadline::after(Instant::now(), self.config.api_timeout);
        let to = broker.clone();
        let completion = move |outcome: Outcome| {
            match outcome {
                Ok(answer) if answer.code == response::SUCCESS => {}
                Ok(answer) => log::warn!("{to}: heartbeat answered {}", answer.code),
                Err(error) => log::warn!("heartbeat failed: {error}"),
            }
            Next::Done
        };
        api::heartbeat(
            &self.remoting,
            broker,
            &heartbeat,
            deadline,
            Box::new(completion),
        );
    }

    /// Tells all connected brokers that a group goes away, all at once, and waits for the answers
    /// until the deadline.
    pub(super) fn unregister(&self, group: &str, deadline: Deadline) {
        let (answered, answers) = crossbeam_channel::unbounded::<()>();
        let unregister = Unregister {
            client_id: self.identity.client_id().to_owned(),
            producer_group: Some(group.to_owned()),
            consumer_group: None,
        };
        for address in self.remoting.connected() {
            if self.routes.name_servers.contains(&address) {
                continue;
            }
            let answered = answered.clone();
            let completion = move |_: Outcome| {
                drop(answered);
                Next::Done
            };
            api::unregister(
                &self.remoting,
                &address,
                &unregister,
                deadline,
                Box::new(completion),
            );
        }
        drop(answered);
        // Ends when every completion has dropped its end.
        let _ = answers.recv_deadline(deadline.instant());
    }
}
