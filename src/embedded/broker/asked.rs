//! Requests of a broker's own that clients answer.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use crate::protocol::Command;

/// Questions that are open, by connection and the number of the request.
#[derive(Default)]
pub(in crate::embedded) struct Asked(Mutex<HashMap<(u64, i32), Asker>>);

/// The receiver of the answer.
type Asker = Sender<Arc<Command>>;

impl Asked {
    /// Sends a request with `push`, which returns its number. The answer comes through the channel,
    /// which is disconnected when the connection ends.
    pub(in crate::embedded) fn ask(
        &self,
        connection: u64,
        push: impl FnOnce() -> Option<i32>,
    ) -> Option<Receiver<Arc<Command>>> {
        // Under the lock: the answer cannot come before the question is in the table.
        let mut open = self.0.lock();
        let opaque = push()?;
        let (sender, receiver) = bounded(1);
        open.insert((connection, opaque), sender);
        Some(receiver)
    }

    /// A client has answered something.
    pub(in crate::embedded) fn answered(&self, connection: u64, answer: &Arc<Command>) {
        let asked = self.0.lock().remove(&(connection, answer.opaque));
        if let Some(asked) = asked {
            // The receiver may have given up.
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
