//! The broker's own requests that clients answer.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use crate::protocol::Command;

/// Pending requests, by connection and request number.
#[derive(Default)]
pub(in crate::embedded) struct Asked(Mutex<HashMap<(u64, i32), Asker>>);

/// Receives the answer.
type Asker = Sender<Arc<Command>>;

impl Asked {
    /// Sends a request by `push`, which returns its number. The answer comes through the channel, which is
    /// disconnected when the connection ends.
    pub(in crate::embedded) fn ask(
        &self,
        connection: u64,
        push: impl FnOnce() -> Option<i32>,
    ) -> Option<Receiver<Arc<Command>>> {
        // Under the lock: the answer cannot come before the request is in the table.
        let mut open = self.0.lock();
        let opaque = push()?;
        let (sender, receiver) = bounded(1);
        open.insert((connection, opaque), sender);
        Some(receiver)
    }

    /// Completes the request with a client's answer.
    pub(in crate::embedded) fn answered(&self, connection: u64, answer: &Arc<Command>) {
        let asked = self.0.lock().remove(&(connection, answer.opaque));
        if let Some(asked) = asked {
            // The test may have given up.
            let _ = asked.send(Arc::clone(answer));
        }
    }

    pub(in crate::embedded) fn disconnected(&self, connection: u64) {
        self.0.lock().retain(|(of, _), _| *of != connection);
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}
