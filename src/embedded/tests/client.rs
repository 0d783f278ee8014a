//! A minimal client for the tests.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::protocol::code::request;
use crate::protocol::frame;
use crate::protocol::heartbeat::Heartbeat;
use crate::protocol::message::encode_batch_entry;
use crate::protocol::properties;
use crate::protocol::send::{SendHeader, V1};
use crate::protocol::{Command, HeaderFormat};

/// Only a failing test waits this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Client {
    pub(super) stream: TcpStream,
    pub(super) format: HeaderFormat,
    /// The format of the last answer.
    pub(super) answered_in: HeaderFormat,
    input: Vec<u8>,
    opaque: i32,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client {
            stream,
            format: HeaderFormat::Json,
            answered_in: HeaderFormat::Json,
            input: Vec::new(),
            opaque: 0,
        }
    }

    /// Writes a request and returns its number.
    pub(super) fn write(&mut self, command: &Command) -> i32 {
        self.opaque += 1;
        let mut frame = Vec::new();
        let numbered = Command {
            opaque: self.opaque,
            ..command.clone()
        };
        numbered.encode(self.format, &mut frame);
        self.stream.write_all(&frame).unwrap();
        self.opaque
    }

    pub(super) fn read(&mut self) -> Command {
        self.try_read().expect("an answer, not the end")
    }

    /// The next answer; `None` if the connection ends.
    pub(super) fn try_read(&mut self) -> Option<Command> {
        loop {
            if let Some(raw) = frame::split(&self.input).unwrap() {
                self.answered_in = raw.format;
                let len = raw.wire_len();
                let command = Command::decode(raw).unwrap();
                self.input.drain(..len);
                return Some(command);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(len) => self.input.extend_from_slice(&chunk[..len]),
                // With unread bytes, the end is a reset.
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("{e}"),
            }
        }
    }

    pub(super) fn call(&mut self, command: &Command) -> Command {
        let opaque = self.write(command);
        let answer = self.read();
        assert_eq!(answer.opaque, opaque);
        assert!(answer.is_response());
        answer
    }

    /// Whatever comes until the connection ends.
    pub(super) fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.input);
        match self.stream.read_to_end(&mut all) {
            Err(e) if e.kind() != ErrorKind::ConnectionReset => panic!("{e}"),
            _ => all,
        }
    }
}

/// A send to queue 0, to be changed as needed.
pub(super) fn header(topic: &str) -> SendHeader<'_> {
    SendHeader {
        producer_group: "group",
        topic,
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        queue_id: 0,
        sys_flag: 0,
        born_timestamp: 1_700_000_000_000,
        flag: 0,
        properties: "",
        reconsume_times: 0,
        unit_mode: false,
        max_reconsume_times: None,
        batch: false,
        broker_name: None,
    }
}

pub(super) fn v2(header: &SendHeader<'_>, body: &[u8]) -> Command {
    let command = Command::request(request::SEND_MESSAGE_V2);
    command.with_fields(header).with_body(body.to_vec())
}

pub(super) fn v1(header: &SendHeader<'_>, body: &[u8]) -> Command {
    let command = Command::request(request::SEND_MESSAGE);
    command.with_fields(&V1(header)).with_body(body.to_vec())
}

/// A plain send.
pub(super) fn send(topic: &str, body: &str) -> Command {
    v2(&header(topic), body.as_bytes())
}

pub(super) fn batch(topic: &str, messages: &[(&str, &[(&str, &str)])]) -> Command {
    let mut body = Vec::new();
    for (text, pairs) in messages {
        let text_form = properties::encode(pairs.iter().copied());
        encode_batch_entry(0, text.as_bytes(), &text_form, &mut body).unwrap();
    }
    let header = SendHeader {
        batch: true,
        ..header(topic)
    };
    let command = Command::request(request::SEND_BATCH_MESSAGE);
    command.with_fields(&header).with_body(body)
}

pub(super) fn route(topic: &str) -> Command {
    let mut command = Command::request(request::GET_ROUTEINFO_BY_TOPIC);
    command.ext.push("topic", topic);
    command
}

pub(super) fn heartbeat(client: &str, groups: &[&str]) -> Command {
    let heartbeat = Heartbeat::of_producers(client, groups.iter().copied());
    Command::request(request::HEART_BEAT).with_body(heartbeat.encode())
}
