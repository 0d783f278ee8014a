//! The reader thread of a connection: bytes in, answers to waiters, requests to the layer above.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::LOG;
use super::ready::Ready;
use super::receive::Buffer;
use super::slot::Slot;
use super::{Connection, catch_bug};
use crate::error::{Error, ErrorKind};
use crate::logging;
use crate::protocol::code::response;
use crate::protocol::{Command, ProtocolError};

/// Reads until the connection dies.
pub(super) fn run(connection: &Arc<Connection>) {
    let cause = catch_bug("a reader", || read(connection));
    // Without a reader nobody would be answered any more.
    let cause = cause.unwrap_or_else(|| Error::new(ErrorKind::Disconnected, "its reader panicked"));
    connection.kill(cause);
}

/// Why it is over.
fn read(connection: &Arc<Connection>) -> Error {
    let mut buffer = Buffer::new();
    let mut inbox = Inbox::default();
    loop {
        let read = buffer.fill(|room| match &connection.tls {
            None => receive(&connection.socket, room),
            Some(session) => session.read(connection, room),
        });
        match read {
            Ok(0) => return Error::new(ErrorKind::Disconnected, "the peer closed the connection"),
            Ok(_) => connection.note_read(),
            Err(error) => return error,
        }
        let read = inbox.take_frames(&mut buffer);
        let few = inbox.deliver(connection, &mut buffer);
        if let Err(error) = read {
            logging::warn!(target: LOG, "{}: {error}; closing the connection", connection.address());
            return error.into();
        }
        connection.end_if_drained();
        if few && !connection.has_callers() {
            connection.note_pause();
            thread::sleep(MOMENT);
        }
    }
}

/// What one read brought.
#[derive(Default)]
struct Inbox {
    responses: Vec<Command>,
    requests: Vec<Command>,
    taken: Vec<(Option<Slot>, Command)>,
    ready: Ready,
}

/// After a read that brought few of many answers the reader lets others come, which it then reads and
/// hands on together: with a broker that answers one by one, being woken for each (this thread, then a
/// callback worker, then perhaps who waits for room) would cost far more than all else. Not while
/// anybody waits for an answer of his own.
const MOMENT: Duration = Duration::from_micros(100);
const FEW: usize = 16;

/// With so many answers awaited, it is throughput that counts.
pub(super) const MANY: usize = 64;

/// Whether so many answers are few beside those that are still awaited.
fn are_few(answers: usize, awaited: usize) -> bool {
    awaited >= MANY && answers * FEW < awaited
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

    /// Hands everything on; says whether that was few.
    fn deliver(&mut self, connection: &Arc<Connection>, buffer: &mut Buffer) -> bool {
        let mut few = false;
        for answer in &self.responses {
            if answer.code == response::GO_AWAY {
                connection.retire("peer is going away");
            } else {
                connection.note_served();
            }
        }
        if !self.responses.is_empty() {
            let all = self.responses.len();
            let (soon, awaited) = connection.complete(&mut self.responses, &mut self.taken);
            few = are_few(soon, awaited);
            let unknown = all - self.taken.len();
            let now = Instant::now();
            // Threads first: continuations may have something to log, and a logger may be slow.
            for (slot, answer) in &mut self.taken {
                if let Some(Slot::Thread(claim)) = slot.take_if(|slot| slot.is_thread()) {
                    claim.answer(Ok(answer.take()));
                }
            }
            for (slot, mut answer) in self.taken.drain(..) {
                if let Some(slot) = slot {
                    self.ready.respond(slot, &mut answer, now);
                }
                buffer.recycle(answer);
            }
            self.ready.hand_over(&connection.shared);
            if unknown > 0 {
                let address = connection.address();
                logging::debug!(target: LOG, "{address}: {unknown} responses to nobody (late or unknown)");
            }
        }
        for request in self.requests.drain(..) {
            catch_bug("a broker's request", || answer_request(connection, request));
        }
        few
    }
}

fn answer_request(connection: &Arc<Connection>, request: Command) {
    if let Err(unknown) = connection.shared.inbound.request(connection, request) {
        let code = unknown.code;
        logging::debug!(target: LOG, "{}: request code {code} is not supported", connection.address());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_answers_are_those_behind_which_many_more_are_awaited() {
        for (answers, awaited, few) in [
            (1, 0, false),
            (1, MANY - 1, false),
            (1, MANY, true),
            (4, MANY, false),
            (63, 1024, true),
            (64, 1024, false),
        ] {
            assert_eq!(are_few(answers, awaited), few, "{answers} of {awaited}");
        }
    }
}
