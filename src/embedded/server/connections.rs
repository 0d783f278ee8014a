//! The open connections of one server.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::connection::{Connection, Post};
use crate::protocol::{Command, HeaderFormat, Language};

/// Made before the server, so that a broker's service can push requests to its clients.
pub(in crate::embedded) struct Connections {
    /// What requests of the server's own say of its version.
    version: i32,
    table: Mutex<Table>,
    /// The number of connections changed.
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    open: HashMap<u64, Entry>,
    /// Threads of connections that are over, to be joined.
    finished: Vec<JoinHandle<()>>,
    pushed: i32,
}

struct Entry {
    connection: Arc<Connection>,
    /// Absent for a connection that is never read.
    thread: Option<JoinHandle<()>>,
}

impl Connections {
    pub(in crate::embedded) fn new(version: i32) -> Connections {
        Connections {
            version,
            table: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Sends a request of the server's own to a client, and never blocks. The request's number, if the
    /// connection is there and took it.
    pub(in crate::embedded) fn push(&self, connection: u64, request: Command) -> Option<i32> {
        let (connection, opaque) = {
            let mut table = self.table.lock();
            table.pushed = table.pushed.wrapping_add(1) & i32::MAX;
            let entry = table.open.get(&connection);
            (entry.map(|e| Arc::clone(&e.connection)), table.pushed)
        };
        let numbered = Command {
            opaque,
            language: Language::JAVA,
            version: self.version,
            ..request
        };
        let mut frame = Vec::new();
        numbered.encode(HeaderFormat::Json, &mut frame);
        let taken = connection?.post(Post::Frame(frame));
        taken.then_some(opaque)
    }

    /// Adds a connection; `start` starts its thread, which cannot leave before this returns.
    pub(super) fn admit<E>(
        &self,
        connection: Arc<Connection>,
        start: impl FnOnce() -> Result<Option<JoinHandle<()>>, E>,
    ) -> Result<(), E> {
        let mut table = self.table.lock();
        // They have nothing left to do but end.
        for thread in table.finished.drain(..) {
            let _ = thread.join();
        }
        let thread = start()?;
        let entry = Entry { connection, thread };
        table.open.insert(entry.connection.peer.connection, entry);
        drop(table);
        self.changed.notify_all();
        Ok(())
    }

    /// The connection's own thread reports its end.
    pub(super) fn leave(&self, connection: &Connection) {
        let writer = connection.end_posts();
        let mut table = self.table.lock();
        let entry = table.open.remove(&connection.peer.connection);
        table.finished.extend(writer);
        table.finished.extend(entry.and_then(|entry| entry.thread));
        drop(table);
        self.changed.notify_all();
    }

    pub(super) fn count(&self) -> usize {
        self.table.lock().open.len()
    }

    pub(super) fn wait_for(&self, count: usize, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut table = self.table.lock();
        while table.open.len() != count {
            if self.changed.wait_until(&mut table, deadline).timed_out() {
                break;
            }
        }
        table.open.len() == count
    }

    /// Breaks every connection; their threads leave a little later.
    pub(super) fn disconnect_all(&self) {
        for entry in self.table.lock().open.values() {
            entry.connection.close();
        }
    }

    /// Breaks every connection, and returns when all their threads have ended.
    pub(super) fn end_all(&self) {
        let open = {
            let mut table = self.table.lock();
            std::mem::take(&mut table.open)
        };
        self.changed.notify_all();
        for Entry { connection, thread } in open.into_values() {
            connection.close();
            // A thread panics only in a function of the test, and the panic was reported.
            let _ = thread.map(JoinHandle::join);
            let _ = connection.end_posts().map(JoinHandle::join);
        }
        let finished = std::mem::take(&mut self.table.lock().finished);
        for thread in finished {
            let _ = thread.join();
        }
    }
}
