//! One accepted connection: its socket and its writers.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::embedded::LOG;
use crate::logging;

/// The most bytes that may wait for the writer thread. A peer that reads too slowly loses its
/// connection.
const MAX_POSTED: usize = 128 << 20;

/// The sender of a request.
#[derive(Debug, Clone, Copy)]
pub(in crate::embedded) struct Peer {
    /// The connection's number; no two of a cluster have the same.
    pub(in crate::embedded) connection: u64,
    pub(in crate::embedded) address: SocketAddr,
}

pub(super) struct Connection {
    pub(super) peer: Peer,
    pub(super) stream: TcpStream,
    /// Held while writing.
    writer: Mutex<()>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
    /// No further frame is read.
    unread: bool,
    posted: VecDeque<Post>,
    posted_bytes: usize,
    writer: Option<JoinHandle<()>>,
}

/// Something for the writer thread.
pub(super) enum Post {
    Frame(Vec<u8>),
    /// Piece by piece, with pauses.
    Drip {
        frame: Vec<u8>,
        chunk: usize,
        pause: Duration,
    },
    /// These bytes, and then the end of the connection.
    Last(Vec<u8>),
}

impl Connection {
    pub(super) fn new(id: u64, stream: TcpStream, address: SocketAddr) -> Connection {
        Connection {
            peer: Peer {
                connection: id,
                address,
            },
            stream,
            writer: Mutex::new(()),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Writes from this thread, and blocks while the peer does not read: for the connection's own
    /// thread and for those of the test.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let _turn = self.writer.lock();
        (&self.stream).write_all(bytes)
    }

    /// Writes piece by piece; nothing else is written in between.
    pub(super) fn drip(&self, bytes: &[u8], chunk: usize, pause: Duration) -> io::Result<()> {
        let _turn = self.writer.lock();
        for piece in bytes.chunks(chunk) {
            (&self.stream).write_all(piece)?;
            let mut state = self.state.lock();
            if !state.closed {
                self.changed.wait_for(&mut state, pause);
            }
        }
        Ok(())
    }

    /// Hands something to the writer thread and never blocks: for threads that serve others too.
    /// Says whether the connection took it.
    pub(super) fn post(self: &Arc<Connection>, post: Post) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        state.posted_bytes += post.bytes().len();
        if state.posted_bytes > MAX_POSTED {
            drop(state);
            logging::warn!(target: LOG, "{}: does not read what is written to it", self.peer.address);
            self.close();
            return false;
        }
        state.posted.push_back(post);
        if state.writer.is_none() {
            let connection = Arc::clone(self);
            let spawned = thread::Builder::new().name("mq-write".into());
            match spawned.spawn(move || connection.write_posted()) {
                Ok(thread) => state.writer = Some(thread),
                Err(error) => {
                    drop(state);
                    logging::warn!(target: LOG, "{}: no thread to write: {error}", self.peer.address);
                    self.close();
                    return false;
                }
            }
        }
        drop(state);
        self.changed.notify_all();
        true
    }

    /// The body of the writer thread.
    fn write_posted(&self) {
        loop {
            let post = {
                let mut state = self.state.lock();
                loop {
                    if state.closed {
                        return;
                    }
                    if let Some(post) = state.posted.pop_front() {
                        state.posted_bytes -= post.bytes().len();
                        break post;
                    }
                    self.changed.wait(&mut state);
                }
            };
            let written = match &post {
                Post::Frame(frame) => self.write(frame),
                Post::Drip {
                    frame,
                    chunk,
                    pause,
                } => self.drip(frame, *chunk, *pause),
                Post::Last(bytes) => {
                    let _ = self.write(bytes);
                    return self.close();
                }
            };
            if written.is_err() {
                return self.close();
            }
        }
    }

    /// Stops reading, and stays open until it is closed.
    pub(super) fn stop_reading(&self) {
        self.state.lock().unread = true;
    }

    pub(super) fn is_unread(&self) -> bool {
        self.state.lock().unread
    }

    pub(super) fn wait_closed(&self) {
        let mut state = self.state.lock();
        while !state.closed {
            self.changed.wait(&mut state);
        }
    }

    /// Takes no more posts; what waits for the writer thread is dropped. The thread, to be joined.
    pub(super) fn end_posts(&self) -> Option<JoinHandle<()>> {
        let mut state = self.state.lock();
        state.closed = true;
        state.posted.clear();
        let writer = state.writer.take();
        drop(state);
        self.changed.notify_all();
        writer
    }

    /// Wakes every thread that reads from it, writes to it or pauses.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
        // It may be gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Post {
    fn bytes(&self) -> &[u8] {
        match self {
            Post::Frame(bytes) | Post::Last(bytes) | Post::Drip { frame: bytes, .. } => bytes,
        }
    }
}
