//! The reader thread of a connection: bytes in, answers to waiters, requests to the layer above.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use super::Connection;
use super::LOG;
use super::ready::Ready;
use super::receive::Buffer;
use crate::error::{Error, ErrorKind};
use crate::protocol::code::response;
use crate::protocol::{Command, ProtocolError};

/// Reads until the connection dies.
pub(super) fn run(connection: &Arc<Connection>) {
    let mut buffer = Buffer::new();
    let mut inbox = Inbox::default();
    let cause = loop {
        let read = buffer.fill(|room| match &connection.tls {
            None => receive(&connection.socket, room),
            Some(session) => session.read(connection, room),
        });
        match read {
            Ok(0) => break Error::new(ErrorKind::Disconnected, "the peer closed the connection"),
            Ok(_) => connection.note_read(),
            Err(error) => break error,
        }
        let read = inbox.take_frames(&mut buffer);
        inbox.deliver(connection, &mut buffer);
        if let Err(error) = read {
            log::warn!(target: LOG, "{}: {error}; closing the connection", connection.address());
            break error.into();
        }
        connection.end_if_drained();
    };
    connection.kill(cause);
}

/// What one read brought.
#[derive(Default)]
struct Inbox {
    responses: Vec<Command>,
    requests: Vec<Command>,
    taken: Vec<(super::slot::Slot, Command)>,
    ready: Ready,
}

impl Inbox {
    /// Decodes all whole frames of the buffer.
    fn take_frames(&mut self, buffer: &mut Buffer) -> Result<(), ProtocolError> {
        buffer.take_commands(|command| {
            if command.is_response() {
                self.responses.push(command);
            } else {
                self.requests.push(command);
            }
        })
    }

    fn deliver(&mut self, connection: &Arc<Connection>, buffer: &mut Buffer) {
        for answer in &self.responses {
            if answer.code == response::GO_AWAY {
                connection.retire();
            } else {
                connection.note_served();
            }
        }
        if !self.responses.is_empty() {
            connection.complete(&mut self.responses, &mut self.taken);
            let now = Instant::now();
            for (slot, mut answer) in self.taken.drain(..) {
                self.ready.respond(slot, &mut answer, now);
                buffer.recycle(answer);
            }
            self.ready.hand_over(&connection.shared);
        }
        for request in self.requests.drain(..) {
            answer_request(connection, request);
        }
    }
}

fn answer_request(connection: &Arc<Connection>, request: Command) {
    if let Err(unknown) = connection.shared.inbound.request(connection, request) {
        let code = unknown.code;
        log::debug!(target: LOG, "{}: request code {code} is not supported", connection.address());
        if !unknown.is_oneway() {
            let answer = Command::response_to(&unknown, response::REQUEST_CODE_NOT_SUPPORTED)
                .with_remark(format!(" request type {code} not supported"));
            connection.reply(&answer);
        }
    }
}

/// Reads what there is; 0 at the end.
pub(super) fn receive(mut socket: &TcpStream, room: &mut [u8]) -> Result<usize, Error> {
    loop {
        match socket.read(room) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Ok(n) => return Ok(n),
            Err(e) => {
                let text = format!("read failed: {e}");
                return Err(Error::new(ErrorKind::Disconnected, text).caused_by(e));
            }
        }
    }
}
