//! The reader thread of a connection: bytes in, answers to waiters, requests to the layer above.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::end;
use super::expiry;
use super::slot::{Ready, Slot};
use super::state::Connection;
use super::writer::{self, MANY};
use crate::error::{Error, ErrorKind};
use crate::logging;
use crate::protocol::code::response;
use crate::protocol::frame::Buffer;
use crate::protocol::{Command, ProtocolError};
use crate::transport::tls::Session;
use crate::transport::{Inbound, LOG, Shared, catch_bug};

/// After a read that brought few of many answers the reader pauses, and then reads and hands over
/// more of them together. With a broker that answers one by one, a wake-up for each (this thread, a
/// callback worker, possibly a thread that waits for capacity) would dominate the cost. It does not
/// pause while a thread waits for its own answer.
const MOMENT: Duration = Duration::from_micros(100);
const FEW: usize = 16;

/// Takes over a connected socket and starts its reader thread, which calls `ended` last.
pub(crate) fn start(
    socket: TcpStream,
    tls: Option<Session>,
    address: Arc<str>,
    shared: &Arc<Shared>,
    inbound: Arc<dyn Inbound>,
    ended: impl FnOnce() + Send + 'static,
) -> io::Result<Arc<Connection>> {
    socket.set_nodelay(true)?;
    let connection = Connection::new(socket, tls, address, shared.clone());
    let connection = Arc::new(connection);
    let read = connection.clone();
    shared.workers.threads.spawn("rmq-reader", move || {
        run(&read, &*inbound);
        ended();
    })?;
    Ok(connection)
}

/// Reads until the connection dies.
fn run(connection: &Arc<Connection>, inbound: &dyn Inbound) {
    let cause = catch_bug("a reader", || read(connection, inbound));
    // Without a reader no request would be answered any more.
    let cause = cause.unwrap_or_else(|| Error::new(ErrorKind::Disconnected, "its reader panicked"));
    end::kill(connection, cause);
}

/// Why it is over.
fn read(connection: &Arc<Connection>, inbound: &dyn Inbound) -> Error {
    let mut buffer = Buffer::new();
    let mut inbox = Inbox::default();
    loop {
        let read = buffer.fill(|space| match &connection.tls {
            None => receive(connection, space),
            Some(session) => session.read(
                space,
                |sealed| receive(connection, sealed),
                || connection.write_session_output(),
            ),
        });
        match read {
            Ok(0) => return Error::new(ErrorKind::Disconnected, "the peer closed the connection"),
            Ok(_) => {}
            Err(error) => return error,
        }
        let read = inbox.take_frames(&mut buffer);
        let few = inbox.deliver(connection, inbound, &mut buffer);
        if let Err(error) = read {
            logging::warn!(target: LOG, "{}: {error}; closing the connection", connection.address);
            return error.into();
        }
        if connection.retired.load(Ordering::Relaxed) {
            end::end_if_drained(connection);
        }
        if few && connection.callers.load(Ordering::Relaxed) == 0 {
            connection.note_pause();
            thread::sleep(MOMENT);
        }
    }
}

/// Reads what there is; 0 at the end.
fn receive(connection: &Connection, space: &mut [u8]) -> Result<usize, Error> {
    loop {
        match (&connection.socket).read(space) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Ok(n) => {
                if n > 0 {
                    // Whatever was written by now has been heard of since.
                    let written = connection.written.load(Ordering::Relaxed);
                    connection.read_mark.store(written, Ordering::Relaxed);
                }
                return Ok(n);
            }
            Err(e) => return Err(Error::socket("read", e)),
        }
    }
}

/// The answers of one read.
#[derive(Default)]
struct Inbox {
    responses: Vec<Command>,
    requests: Vec<Command>,
    taken: Vec<(Option<Slot>, Command)>,
    ready: Ready,
}

/// Whether this many answers are few compared with those still due soon.
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

    /// Hands everything over; returns whether it was few.
    fn deliver(
        &mut self,
        connection: &Arc<Connection>,
        inbound: &dyn Inbound,
        buffer: &mut Buffer,
    ) -> bool {
        let mut few = false;
        for answer in &self.responses {
            if answer.code == response::GO_AWAY {
                end::retire(connection, "peer is going away");
            } else {
                connection.served.store(true, Ordering::Relaxed);
            }
        }
        if !self.responses.is_empty() {
            let all = self.responses.len();
            let (soon, awaited) = self.take_waiters(connection);
            few = are_few(soon, awaited);
            let unknown = all - self.taken.len();
            // Threads first: continuations may have something to log, and a logger may be slow.
            let mut tasks = self.taken.len();
            for (slot, answer) in &mut self.taken {
                if let Some(Slot::Thread(claim)) = slot.take_if(|s| matches!(s, Slot::Thread(_))) {
                    claim.answer(Ok(answer.take()));
                    tasks -= 1;
                }
            }
            if tasks == 0 {
                self.taken.clear();
            } else {
                let now = Instant::now();
                for (slot, mut answer) in self.taken.drain(..) {
                    if let Some(slot) = slot {
                        self.ready.respond(slot, &mut answer, now);
                    }
                    buffer.recycle(answer);
                }
                let workers = &connection.shared.workers;
                self.ready.hand_over(&workers.callbacks, &workers.retries);
            }
            if unknown > 0 {
                let address = &connection.address;
                logging::debug!(target: LOG, "{address}: {unknown} responses without a request (late or unknown)");
            }
        }
        for request in self.requests.drain(..) {
            let answer = || answer_request(connection, inbound, request);
            catch_bug("a broker's request", answer);
        }
        few
    }

    /// Removes the waiters of the responses; returns how many of these were due soon, and how many
    /// more are. Answer every removed waiter before doing anything else, even logging: it now waits
    /// without a timeout.
    fn take_waiters(&mut self, connection: &Arc<Connection>) -> (usize, usize) {
        let mut state = connection.state.lock();
        let before = state.pending.soon();
        for response in self.responses.drain(..) {
            let Some(entry) = state.pending.complete(response.opaque) else {
                continue;
            };
            let end = entry.end();
            if end > connection.written.load(Ordering::Relaxed) {
                // Answered before it was sent, or before the writer recorded that it was. The frame
                // has no waiter any more; its deadline still ends a stuck write.
                let (deadline, since) = (entry.deadline, entry.since);
                expiry::end_if_unsent_by(connection, &mut state, deadline, since, end);
            }
            self.taken.push((Some(entry.slot), response));
        }
        writer::end_gathering(connection, &mut state);
        let left = state.pending.soon();
        (before - left, left)
    }
}

fn answer_request(connection: &Arc<Connection>, inbound: &dyn Inbound, request: Command) {
    if let Err(unknown) = inbound.request(connection, request) {
        let code = unknown.code;
        logging::debug!(
            target: LOG,
            "{}: request code {code} is not supported",
            connection.address
        );
        if !unknown.is_oneway() {
            let answer = Command::response_to(&unknown, response::REQUEST_CODE_NOT_SUPPORTED)
                .with_remark(format!(" request type {code} not supported"));
            connection.reply(&answer);
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
