//! One accepted connection: frames in, answers out, faults in between.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::LOG;
use super::fault::{Action, Rule};
use super::requests::ReceivedRequest;
use super::server::{Peer, Shared};
use crate::logging;
use crate::protocol::frame::{self, MAX_FRAME};
use crate::protocol::{Command, HeaderFormat, ProtocolError};

/// How much is read at once, and how much of answers is gathered for one write.
const CHUNK: usize = 64 * 1024;

pub(super) struct Connection {
    peer: Peer,
    stream: TcpStream,
    /// Held while writing: answers come from the connection's thread and from opened gates.
    writer: Mutex<()>,
    closed: Mutex<bool>,
    closing: Condvar,
}

impl Connection {
    pub(super) fn new(id: u64, stream: TcpStream, address: SocketAddr) -> Connection {
        let peer = Peer {
            connection: id,
            address,
        };
        Connection {
            peer,
            stream,
            writer: Mutex::new(()),
            closed: Mutex::new(false),
            closing: Condvar::new(),
        }
    }

    /// Wakes whoever reads from it, writes to it or pauses.
    pub(super) fn close(&self) {
        *self.closed.lock() = true;
        self.closing.notify_all();
        // It may be gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let _turn = self.writer.lock();
        (&self.stream).write_all(bytes)
    }

    /// Writes piece by piece; nothing else is written in between.
    fn drip(&self, bytes: &[u8], chunk: usize, pause: Duration) -> io::Result<()> {
        let _turn = self.writer.lock();
        for piece in bytes.chunks(chunk) {
            (&self.stream).write_all(piece)?;
            let mut closed = self.closed.lock();
            if !*closed {
                self.closing.wait_for(&mut closed, pause);
            }
        }
        Ok(())
    }

    fn wait_closed(&self) {
        let mut closed = self.closed.lock();
        while !*closed {
            self.closing.wait(&mut closed);
        }
    }
}

/// Serves a connection until it ends; the body of its thread.
pub(super) fn serve(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    // Also if a function of the test panics.
    let _leave = Leave { shared, connection };
    let mut worker = Worker {
        shared,
        connection,
        out: Vec::new(),
    };
    match worker.run() {
        Err(End::Protocol(error)) => {
            logging::debug!(target: LOG, "{}: {}: {error}", shared.name, connection.peer.address);
        }
        Err(End::Io | End::HangUp | End::StopReading) | Ok(()) => {}
    }
}

struct Leave<'a> {
    shared: &'a Arc<Shared>,
    connection: &'a Arc<Connection>,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        // The peer may look at the server's list as soon as it sees the end: leave that first.
        self.shared.leave(self.connection.peer.connection);
        self.connection.close();
    }
}

/// Why a connection ends.
enum End {
    Io,
    Protocol(ProtocolError),
    HangUp,
    /// It stays open without being read until somebody closes it.
    StopReading,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End::Io
    }
}

impl From<ProtocolError> for End {
    fn from(error: ProtocolError) -> End {
        End::Protocol(error)
    }
}

struct Worker<'a> {
    shared: &'a Arc<Shared>,
    connection: &'a Arc<Connection>,
    /// Answers that were not written yet.
    out: Vec<u8>,
}

impl Worker<'_> {
    fn run(&mut self) -> Result<(), End> {
        let mut input = Input::default();
        while input.read(&self.connection.stream)? {
            while let Some(raw) = frame::split(input.unread())? {
                let format = raw.format;
                let len = raw.wire_len();
                let command = Arc::new(Command::decode(raw)?);
                input.consume(len);
                self.request(&command, format)?;
                if self.out.len() >= CHUNK {
                    self.flush()?;
                }
            }
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.connection.write(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    fn request(&mut self, request: &Arc<Command>, format: HeaderFormat) -> Result<(), End> {
        let common = &self.shared.common;
        let log = match request.is_response() {
            true => &common.answers,
            false => &common.log,
        };
        log.record(|| ReceivedRequest {
            server: Arc::clone(&self.shared.name),
            connection: self.connection.peer.connection,
            format,
            command: Arc::clone(request),
        });
        if request.is_response() {
            return Ok(());
        }
        let task = Task {
            shared: Arc::clone(self.shared),
            request: Arc::clone(request),
            peer: self.connection.peer,
            format,
        };
        match self.shared.faults.meet(request) {
            None => {
                task.execute(&mut self.out);
                Ok(())
            }
            Some(rule) => {
                let mut result = self.fault(&rule, task);
                if result.is_ok() {
                    result = self.flush().map_err(End::from);
                }
                rule.count_done();
                if let Err(End::StopReading) = result {
                    self.connection.wait_closed();
                }
                result
            }
        }
    }

    fn fault(&mut self, rule: &Rule, task: Task) -> Result<(), End> {
        let mut answer = Vec::new();
        if rule.fault.executed {
            match &rule.fault.action {
                Action::Answer { code, remark } => task.execute_as(*code, remark, &mut answer),
                _ => task.execute(&mut answer),
            }
        }
        match &rule.fault.action {
            Action::Answer { code, remark } => {
                if !rule.fault.executed {
                    let refusal = Command::response_to(&task.request, *code);
                    task.encode(refusal.with_remark(remark.as_str()), &mut answer);
                }
                self.out.append(&mut answer);
            }
            Action::Silence => {}
            Action::HangUp => {
                self.flush()?;
                return Err(End::HangUp);
            }
            Action::Hold(gate) => {
                let connection = Arc::downgrade(self.connection);
                let executed = rule.fault.executed;
                gate.hold(Box::new(move || {
                    let Some(connection) = connection.upgrade() else {
                        return;
                    };
                    if *connection.closed.lock() {
                        return;
                    }
                    if !executed {
                        task.execute(&mut answer);
                    }
                    // If the peer is gone, so is the one who would have missed the answer.
                    let _ = connection.write(&answer);
                }));
            }
            Action::Bytes(make) => {
                if !task.request.is_oneway() {
                    self.out.extend_from_slice(&make(&task.request));
                }
            }
            Action::Slow { chunk, pause } => {
                self.flush()?;
                self.connection.drip(&answer, *chunk, *pause)?;
            }
            Action::CutAfter(bytes) => {
                self.out.extend(answer.iter().take(*bytes));
                self.flush()?;
                return Err(End::HangUp);
            }
            Action::StopReading => {
                self.flush()?;
                return Err(End::StopReading);
            }
        }
        Ok(())
    }
}

/// One request and what is needed to carry it out, now or when a gate opens.
struct Task {
    shared: Arc<Shared>,
    request: Arc<Command>,
    peer: Peer,
    format: HeaderFormat,
}

impl Task {
    fn execute(&self, out: &mut Vec<u8>) {
        let answer = self.shared.service.handle(&self.request, &self.peer);
        self.encode(answer, out);
    }

    fn execute_as(&self, code: i32, remark: &str, out: &mut Vec<u8>) {
        let mut answer = self.shared.service.handle(&self.request, &self.peer);
        answer.code = code;
        self.encode(answer.with_remark(remark), out);
    }

    fn encode(&self, mut answer: Command, out: &mut Vec<u8>) {
        if self.request.is_oneway() {
            return;
        }
        answer.language = crate::protocol::Language::JAVA;
        let format = match self.shared.common.answer_json_always {
            true => HeaderFormat::Json,
            false => self.format,
        };
        answer.encode(format, out);
    }
}

/// Bytes that were read and not understood yet.
#[derive(Default)]
struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn consume(&mut self, len: usize) {
        self.start += len;
    }

    /// Reads once; `false` at the end of the stream.
    fn read(&mut self, mut stream: &TcpStream) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            // It grows with what has come, never with what a length promises.
            let grown = (self.buffer.len() * 2).clamp(CHUNK, MAX_FRAME + CHUNK);
            self.buffer.resize(grown, 0);
        }
        loop {
            match stream.read(&mut self.buffer[self.end..]) {
                Ok(len) => {
                    self.end += len;
                    return Ok(len > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
