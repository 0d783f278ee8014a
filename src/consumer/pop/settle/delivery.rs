//! One delivery of a message: its handle, which changes, and what became of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::popped::{AckStatus, Acking, Popped};
use crate::message::MessageView;
use crate::protocol::consumer::pop::Handle;
use crate::sync::Mutex;
use crate::transport::Deadline;

pub(in crate::consumer) struct Delivery {
    /// On the wire; not the retry topic.
    pub(super) topic: Arc<str>,
    pub(super) commit_log_offset: i64,
    message_id: String,
    state: Mutex<State>,
}

struct State {
    popped: Popped,
    /// Once it cannot change any more.
    settled: Option<AckStatus>,
}

impl Delivery {
    pub(in crate::consumer) fn new(
        topic: &Arc<str>,
        popped: Popped,
        message: &MessageView,
    ) -> Delivery {
        Delivery {
            topic: topic.clone(),
            commit_log_offset: message.commit_log_offset(),
            message_id: message.message_id().into_owned(),
            state: Mutex::new(State {
                popped,
                settled: None,
            }),
        }
    }

    pub(in crate::consumer) fn message_id(&self) -> &str {
        &self.message_id
    }

    pub(in crate::consumer) fn expires_at(&self) -> Instant {
        self.state.lock().popped.expires_at()
    }

    /// For how long it has been hidden.
    pub(in crate::consumer) fn age(&self, now: Instant) -> Duration {
        self.state.lock().popped.age(now)
    }

    /// When it should be renewed, if somebody still works on it.
    pub(in crate::consumer) fn renew_at(&self) -> Instant {
        self.state.lock().popped.renew_at()
    }

    pub(in crate::consumer) fn is_expired(&self, now: Instant) -> bool {
        self.state.lock().popped.is_expired(now)
    }

    pub(super) fn handle(&self) -> Handle {
        self.state.lock().popped.handle().clone()
    }

    /// What became of it, if that is final.
    pub(super) fn settled(&self) -> Option<AckStatus> {
        self.state.lock().settled
    }

    pub(super) fn acking(&self, deadline: Deadline) -> Acking {
        Acking::new(&self.state.lock().popped, deadline.instant())
    }

    /// What is unknown may be tried again.
    pub(super) fn settle(&self, status: AckStatus) {
        if status != AckStatus::Unknown {
            self.state.lock().settled = Some(status);
        }
    }

    /// It comes again, whatever is tried from now on.
    pub(in crate::consumer) fn give_back(&self) {
        self.state.lock().settled = Some(AckStatus::Expired);
    }

    /// It is hidden for longer, under another handle.
    pub(super) fn renewed(&self, handle: Handle, invisible: Duration, sent: Instant) {
        self.state.lock().popped.renewed(handle, invisible, sent);
    }

    pub(super) fn renewal_was_lost(&self) {
        self.state.lock().popped.renewal_was_lost();
    }
}

/// A delivery of some message, for tests of what holds deliveries.
#[cfg(test)]
pub(in crate::consumer) fn delivery(invisible: Duration, from: Instant) -> Delivery {
    let handle: Handle = "0 1 60000 0 0 broker-a 1 7".parse().expect("a handle");
    Delivery {
        topic: "T".into(),
        commit_log_offset: 0,
        message_id: "id".to_owned(),
        state: Mutex::new(State {
            popped: Popped::new(handle, invisible, from),
            settled: None,
        }),
    }
}
