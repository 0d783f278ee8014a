//! Private parts of the crate for its benchmarks. Those are a separate package, which only they
//! compile, and which reaches only public items.

use std::sync::Arc;
use std::time::Instant;

use crate::client;
use crate::message::MessageQueue;
use crate::protocol::route::TopicRoute;
use crate::send;
use crate::transport::{self, Entry, Next, Outcome, Slot};

/// The writable queues of a topic, and the choice among them.
pub struct PublishInfo(client::PublishInfo);

impl PublishInfo {
    /// The queues of a route.
    pub fn new(topic: &Arc<str>, route: &TopicRoute) -> PublishInfo {
        PublishInfo(client::PublishInfo::new(topic, route))
    }

    /// All queues, in the order that all clients share.
    pub fn queues(&self) -> &[MessageQueue] {
        &self.0.queues
    }

    /// The next queue in turn, if possible of another broker than the one to avoid.
    pub fn round_robin(&self, avoid: Option<&str>) -> &MessageQueue {
        self.0.next_queue(avoid)
    }

    /// The queue of a sharding key.
    pub fn by_key(&self, key: &str) -> &MessageQueue {
        send::by_key(key, &self.0.queues)
    }
}

/// A connection's pending table.
pub struct Pending(transport::Pending<Slot>);

impl Pending {
    /// An empty table.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Pending {
        Pending(transport::Pending::new())
    }

    /// Adds a waiter that does nothing when answered. Returns the time of the next expiry pass, if
    /// that is earlier than before.
    pub fn register(&mut self, opaque: i32, now: Instant, deadline: Instant) -> Option<Instant> {
        let slot = Slot::Task(Box::new(|_: Outcome| Next::Done));
        let entry = Entry::new(slot, now, deadline, 0, false);
        self.0.register(opaque, entry).ok().flatten()
    }

    /// Removes a waiter; returns whether there was one.
    pub fn complete(&mut self, opaque: i32) -> bool {
        self.0.complete(opaque).is_some()
    }
}
