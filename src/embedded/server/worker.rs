//! The thread of a connection: frames in, faults, the service, answers out.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::{Arc, Weak};

use super::call::{Call, Content, Link, Responder};
use super::common::Common;
use super::connection::{Connection, Post};
use super::effect::{self, Effect};
use super::request_log::ReceivedRequest;
use super::service::{Answer, Service};
use crate::embedded::LOG;
use crate::embedded::faults::{Action, Faults, Rule, Waiting};
use crate::logging;
use crate::protocol::frame::{self, MAX_FRAME};
use crate::protocol::{Command, HeaderFormat, ProtocolError};

/// The most bytes per read, and the most bytes of answers per write.
const CHUNK: usize = 64 * 1024;

/// Serves the connections of one server.
pub(super) struct Serving {
    pub(super) name: Arc<str>,
    pub(super) service: Arc<dyn Service>,
    pub(super) common: Arc<Common>,
    pub(super) faults: Faults,
}

/// Serves a connection until it ends. Its held requests are then forgotten, also if a function of
/// the test panics.
pub(super) fn serve(serving: &Arc<Serving>, connection: &Arc<Connection>) {
    let link = Link::new(Arc::clone(connection), Arc::clone(&serving.common));
    let link = Forget(Arc::new(link));
    let mut worker = Worker {
        serving,
        link: &link.0,
        out: Vec::new(),
    };
    if let Err(End::Protocol(error)) = worker.run() {
        logging::debug!(target: LOG, "{}: {}: {error}", serving.name, connection.peer.address);
    }
}

struct Forget(Arc<Link>);

impl Drop for Forget {
    fn drop(&mut self) {
        self.0.forget_all();
    }
}

/// Why a connection ends.
enum End {
    Io,
    Protocol(ProtocolError),
    HangUp,
    /// It stays open and unread until it is closed.
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
    serving: &'a Arc<Serving>,
    link: &'a Arc<Link>,
    /// Answers that were not written yet.
    out: Vec<u8>,
}

impl Worker<'_> {
    fn run(&mut self) -> Result<(), End> {
        let mut input = Input::default();
        while input.read(&self.link.connection.stream)? {
            if self.link.connection.is_unread() {
                self.link.connection.wait_closed();
                return Ok(());
            }
            while let Some(raw) = frame::split(input.unread())? {
                let format = raw.format;
                let len = raw.wire_len();
                let command = Arc::new(Command::decode(raw)?);
                input.consume(len);
                self.command(&command, format)?;
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
            self.link.connection.write(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    fn command(&mut self, command: &Arc<Command>, format: HeaderFormat) -> Result<(), End> {
        let common = &self.serving.common;
        let log = match command.is_response() {
            true => &common.answers,
            false => &common.log,
        };
        log.record(|| ReceivedRequest {
            server: Arc::clone(&self.serving.name),
            connection: self.link.connection.peer.connection,
            format,
            command: Arc::clone(command),
        });
        if command.is_response() {
            let connection = self.link.connection.peer.connection;
            self.serving.service.answered(connection, command);
            return Ok(());
        }
        let format = match common.answer_json_always {
            true => HeaderFormat::Json,
            false => format,
        };
        match self.serving.faults.meet(command) {
            None => {
                let call = call(self.link, command, format, None);
                if let Answer::Now(answer) = self.serving.service.handle(call) {
                    self.link
                        .append_frame(command, format, answer, &mut self.out);
                }
                Ok(())
            }
            Some(rule) => self.meet(&rule, command, format),
        }
    }

    /// A fault happens to this request.
    fn meet(
        &mut self,
        rule: &Arc<Rule>,
        request: &Arc<Command>,
        format: HeaderFormat,
    ) -> Result<(), End> {
        let effect = match rule.fault.executed {
            true => {
                let call = call(self.link, request, format, Some(rule));
                match self.serving.service.handle(call) {
                    Answer::Now(answer) => self.answered(rule, request, format, answer),
                    // The fault happens when the answer comes.
                    Answer::Later => return Ok(()),
                }
            }
            false => self.instead(rule, request, format),
        };
        let mut result = self.perform(effect);
        if result.is_ok() {
            result = self.flush().map_err(End::from);
        }
        rule.count_done();
        if let Err(End::StopReading) = result {
            self.link.connection.wait_closed();
        }
        result
    }

    /// Delivers an answer of the service.
    fn answered(
        &self,
        rule: &Rule,
        request: &Arc<Command>,
        format: HeaderFormat,
        answer: Command,
    ) -> Effect {
        let action = &rule.fault.action;
        let Some(answer) = self.link.delay(action, request, format, answer) else {
            return Effect::Nothing;
        };
        let mut frame = Vec::new();
        let answer = effect::changed(action, answer);
        self.link.append_frame(request, format, answer, &mut frame);
        effect::of(action, request, frame)
    }

    /// The effect that replaces the service's work.
    fn instead(&self, rule: &Rule, request: &Arc<Command>, format: HeaderFormat) -> Effect {
        let action = &rule.fault.action;
        let mut frame = Vec::new();
        match action {
            Action::Answer { code, remark } => {
                let refusal = Command::response_to(request, *code).with_remark(remark.as_str());
                self.link.append_frame(request, format, refusal, &mut frame);
            }
            Action::Hold(gate) => {
                gate.hold(Box::new(self.unserved(request, format)));
                return Effect::Nothing;
            }
            Action::Late(delay) => {
                let unserved = self.unserved(request, format);
                let responder = unserved.responder.clone();
                let timer = self
                    .serving
                    .common
                    .clock
                    .after(*delay, move || unserved.serve(false));
                responder.keep(timer);
                return Effect::Nothing;
            }
            _ => {}
        }
        effect::of(action, request, frame)
    }

    fn unserved(&self, request: &Arc<Command>, format: HeaderFormat) -> Unserved {
        Unserved {
            responder: self.link.hold(Arc::clone(request), format, None),
            serving: Arc::downgrade(self.serving),
        }
    }

    fn perform(&mut self, effect: Effect) -> Result<(), End> {
        match effect {
            Effect::Nothing => {}
            Effect::Frame(frame) => self.out.extend(frame),
            Effect::Drip {
                frame,
                chunk,
                pause,
            } => {
                self.flush()?;
                self.link.connection.drip(&frame, chunk, pause)?;
            }
            Effect::Last(bytes) => {
                self.out.extend(bytes);
                self.flush()?;
                return Err(End::HangUp);
            }
            Effect::HangUp => {
                self.flush()?;
                return Err(End::HangUp);
            }
            Effect::StopReading => {
                self.flush()?;
                return Err(End::StopReading);
            }
        }
        Ok(())
    }
}

fn call<'a>(
    link: &'a Arc<Link>,
    request: &'a Arc<Command>,
    format: HeaderFormat,
    rule: Option<&'a Arc<Rule>>,
) -> Call<'a> {
    Call {
        request,
        peer: link.connection.peer,
        link,
        format,
        rule,
    }
}

/// A request that is held before the service has seen it.
struct Unserved {
    responder: Responder,
    serving: Weak<Serving>,
}

impl Unserved {
    /// Has the service carry it out now. `may_block`: the answer is written from this thread.
    fn serve(&self, may_block: bool) {
        let Some(serving) = self.serving.upgrade() else {
            return;
        };
        let Some((link, content)) = self.responder.take() else {
            return;
        };
        let Content {
            request, format, ..
        } = content;
        let call = call(&link, &request, format, None);
        if let Answer::Now(answer) = serving.service.handle(call) {
            let mut frame = Vec::new();
            link.append_frame(&request, format, answer, &mut frame);
            match may_block {
                // If the peer is gone, the answer has no receiver.
                true => drop(link.connection.write(&frame)),
                false => drop(link.connection.post(Post::Frame(frame))),
            }
        }
    }
}

impl Waiting for Unserved {
    fn is_open(&self) -> bool {
        self.responder.is_open()
    }

    fn release(self: Box<Self>) {
        self.serve(true);
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
            // It grows with the received bytes, never by a claimed length.
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
