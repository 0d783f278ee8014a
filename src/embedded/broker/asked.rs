//! The broker's own requests that clients answer.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use parking_lot::Mutex;

use crate::protocol::Command;

/// Pending requests, by connection and request number.
#[derive(Default)]
pub(in crate::embedded) struct Asked(Mutex<HashMap<(u64, i32), Asker>>);

/// Receives the answer. Dropped if there is none.
type Asker = Box<dyn FnOnce(&Arc<Command>) + Send>;

impl Asked {
    /// Sends a request by `push`, which returns its number. The answer comes through the channel, which is
    /// disconnected when the connection ends.
    pub(in crate::embedded) fn ask(
        &self,
        connection: u64,
        push: impl FnOnce() -> Option<i32>,
    ) -> Option<Receiver<Arc<Command>>> {
        let (sender, receiver) = bounded(1);
        // The test may have given up.
        let then = move |answer: &Arc<Command>| drop(sender.send(Arc::clone(answer)));
        self.ask_then(connection, push, then).then_some(receiver)
    }

    /// The same with a function that gets the answer. Returns whether the request was sent.
    pub(in crate::embedded) fn ask_then(
        &self,
        connection: u64,
        push: impl FnOnce() -> Option<i32>,
        then: impl FnOnce(&Arc<Command>) + Send + 'static,
    ) -> bool {
        // Under the lock: the answer cannot come before the request is in the table.
        let mut open = self.0.lock();
        let Some(opaque) = push() else {
            return false;
        };
        open.insert((connection, opaque), Box::new(then));
        true
    }

    /// Completes the request with a client's answer.
    pub(in crate::embedded) fn answered(&self, connection: u64, answer: &Arc<Command>) {
        let asked = self.0.lock().remove(&(connection, answer.opaque));
        if let Some(asked) = asked {
            asked(answer);
        }
    }

    pub(in crate::embedded) fn disconnected(&self, connection: u64) {
        self.0.lock().retain(|(of, _), _| *of != connection);
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}
