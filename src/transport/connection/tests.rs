//! When the timer ends a connection for frames without a waiter.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::outbox::Due;
use super::state::WriterThread;
use super::{Connection, expiry};
use crate::transport::tests::{Client, Link, eventually, listener};

/// Helpers for other tests.
impl Connection {
    pub(crate) fn is_writing(&self) -> bool {
        self.state.lock().writing
    }

    /// Whether the writer thread, if there is one, waits for something to write.
    pub(crate) fn is_writer_idle(&self) -> bool {
        let writer = self.state.lock().writer_thread;
        matches!(writer, WriterThread::Idle | WriterThread::NotStarted)
    }
}

/// A connection that has served one request.
fn connected(client: &Client) -> (Link, Arc<Connection>) {
    let (listener, address) = listener();
    let address: Arc<str> = address.to_string().into();
    thread::scope(|scope| {
        let calling = scope.spawn(|| client.call(&address, "x"));
        let mut link = Link::accept(&listener);
        let requests = link.requests(1);
        link.answer(&requests, |_| Vec::new());
        calling.join().unwrap().unwrap();
        (link, client.remoting.usable().remove(0))
    })
}

#[test]
fn a_frame_that_leaves_just_when_the_timer_comes_after_a_long_rest_is_not_stuck() {
    let client = Client::start(None);
    let (_link, connection) = connected(&client);
    let come_by = |mark| {
        let written = connection.load().written_bytes;
        let grace = Duration::from_secs(1);
        expiry::end_if_stuck(&connection, mark, written, Instant::now(), grace);
        connection.death().is_some()
    };
    eventually("all is written", || !connection.is_writing());
    let mut state = connection.state.lock();
    let before = state.outbox.mark();
    state.outbox.push(b"frame", None, None, Due::Never);
    state.writing = true;
    let batch = state.outbox.take().unwrap();
    let since = state.outbox.mark();
    drop(state);
    assert!(!come_by(before), "what was there before has left long ago");
    assert!(come_by(since), "not a byte of it has left");
    let mut state = connection.state.lock();
    state.outbox.recycle(batch);
    state.writing = false;
}

#[cfg(feature = "tls")]
#[test]
fn records_of_a_session_do_not_wait_without_a_bound_either() {
    let client = Client::start(None);
    let (_link, connection) = connected(&client);
    assert!(!connection.state.lock().watched);
    connection.write_session_output();
    assert!(connection.state.lock().watched);
}
