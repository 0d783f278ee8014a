//! Hostile bytes: truncated, damaged, or invented. Nothing may panic, and decoded values must
//! survive encoding unchanged.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rocketmq_blocking::protocol::frame::{self, RawFrame};
use rocketmq_blocking::protocol::heartbeat::{Heartbeat, Unregister};
use rocketmq_blocking::protocol::id::OffsetMessageId;
use rocketmq_blocking::protocol::route::TopicRoute;
use rocketmq_blocking::protocol::send::{SendRequest, SendResponse};
use rocketmq_blocking::protocol::{Command, HeaderFormat, compress, message, properties};

use crate::support::captures::frames;
use crate::values::{self, bytes, config};

const FORMATS: [HeaderFormat; 2] = [HeaderFormat::Json, HeaderFormat::Binary];

/// Hands some bytes to every decoder.
fn decode_everything(bytes: &[u8]) {
    for format in FORMATS {
        decode_command(RawFrame {
            format,
            header: bytes,
            body: &[],
        });
    }
    if let Ok(Some(raw)) = frame::split(bytes) {
        assert!(raw.wire_len() <= bytes.len());
        decode_command(raw);
        decode_body(raw.body);
    }
    decode_body(bytes);
}

fn decode_command(raw: RawFrame<'_>) {
    let Ok(command) = Command::decode(raw) else {
        return;
    };
    let mut bytes = Vec::new();
    command.encode(raw.format, &mut bytes);
    let again = frame::split(&bytes).expect("our own frame").expect("whole");
    assert_eq!(Command::decode(again).as_ref(), Ok(&command));
    for code in [10, 310] {
        if let Ok(header) = SendRequest::decode(code, &command.ext) {
            let header = Command::request(310).with_fields(&header.header());
            assert!(SendRequest::decode(310, &header.ext).is_ok());
        }
    }
    let _ = SendResponse::decode(&command.ext);
    let _ = Unregister::decode(&command.ext);
}

fn decode_body(bytes: &[u8]) {
    if let Ok(route) = TopicRoute::decode(bytes) {
        assert_eq!(TopicRoute::decode(&route.encode()).as_ref(), Ok(&route));
    }
    if let Ok(heartbeat) = Heartbeat::decode(bytes) {
        assert_eq!(
            Heartbeat::decode(&heartbeat.encode()).as_ref(),
            Ok(&heartbeat)
        );
    }
    if let Ok(entries) = message::decode_batch(bytes) {
        assert!(entries.len() <= bytes.len() / 22);
    }
    let limit = 1 << 16;
    if let Ok(view) = message::decode(bytes.to_vec(), limit) {
        assert!(view.body().len() <= bytes.len().max(limit));
    }
    for flags in [0x001, 0x101, 0x201, 0x301] {
        let _ = compress::decompress(bytes, flags, limit);
    }
    let text = String::from_utf8_lossy(bytes);
    let decoded = properties::decode(&text);
    let again = properties::decode(&properties::encode(decoded.iter()));
    assert_eq!(again, decoded);
    let _ = OffsetMessageId::decode(&text);
}

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Cut(Index, usize),
    Insert(Index, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let one = prop_oneof![
        3 => any::<(Index, u8)>().prop_map(|(at, bits)| Damage::Flip(at, bits | 1)),
        1 => (any::<Index>(), 1..20usize).prop_map(|(at, len)| Damage::Cut(at, len)),
        1 => (any::<Index>(), bytes(8)).prop_map(|(at, new)| Damage::Insert(at, new)),
    ];
    vec(one, 1..4)
}

fn damaged(bytes: &[u8], all: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in all {
        let index = |at: &Index, len: usize| at.index(len.max(1)).min(len);
        match damage {
            Damage::Flip(at, bits) => {
                let at = index(at, bytes.len());
                bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= bits);
            }
            Damage::Cut(at, len) => {
                let at = index(at, bytes.len());
                bytes.drain(at..bytes.len().min(at + len));
            }
            Damage::Insert(at, new) => {
                let at = index(at, bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
        }
    }
    bytes
}

/// Pieces of which headers and bodies in JSON consist.
fn json_pieces() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "\\u",
        " ",
        "0",
        "-1",
        "1e9",
        "1.5",
        "null",
        "true",
        "9223372036854775808",
        "\"code\":0",
        "\"opaque\":1",
        "\"extFields\":{",
        "\"a\":\"b\"",
        "\"brokerDatas\":[{",
        "\"brokerAddrs\":{0:\"a:1\"}",
        "\"queueDatas\":[{",
        "\"brokerName\":\"b\"",
        "\"clientID\":\"c\"",
        "\"producerDataSet\":[{",
        "\"groupName\":\"g\"",
        "}]",
        "},",
        "é",
        "\u{1}",
    ];
    vec(select(PIECES), 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in bytes(400)) {
        decode_everything(&bytes);
    }

    #[test]
    fn arbitrary_bytes_in_a_good_frame_never_panic(header in bytes(100), body in bytes(100), format in 0..2u8) {
        let total = (4 + header.len() + body.len()) as u32;
        let len = (header.len() as u32 | u32::from(format) << 24).to_be_bytes();
        let frame = [&total.to_be_bytes()[..], &len, &header, &body].concat();
        assert!(matches!(frame::split(&frame), Ok(Some(_))));
        decode_everything(&frame);
    }

    #[test]
    fn broken_json_never_panics(text in json_pieces(), wrapped: bool) {
        let text = if wrapped { format!("{{{text}}}") } else { text };
        decode_everything(text.as_bytes());
    }

    #[test]
    fn damaged_captures_never_panic(which: Index, damage in damage()) {
        let golden = which.get(frames());
        decode_everything(&damaged(&golden.raw, &damage));
        // Once more behind the frame's lengths, which would catch most of the damage.
        let raw = frame::split(&golden.raw).expect("a good frame").expect("whole");
        let header = damaged(raw.header, &damage);
        let body = damaged(raw.body, &damage);
        decode_command(RawFrame { format: raw.format, header: &header, body: &body });
        decode_body(&body);
    }

    #[test]
    fn damaged_stored_messages_never_panic(stored in values::stored(), damage in damage()) {
        let bytes = stored.bytes();
        decode_body(&damaged(&bytes, &damage));
        let mut right_length = damaged(&bytes[4..], &damage);
        right_length.splice(0..0, (right_length.len() as u32 + 4).to_be_bytes());
        decode_body(&right_length);
    }

    #[test]
    fn every_cut_of_a_stored_message_is_an_error(stored in values::stored(), cut: Index) {
        let bytes = stored.bytes();
        let cut = cut.index(bytes.len());
        assert!(message::decode(bytes[..cut].to_vec(), 1 << 20).is_err());
        let mut short = bytes[..cut].to_vec();
        if let Some(total) = short.get_mut(..4) {
            total.copy_from_slice(&(cut as u32).to_be_bytes());
        }
        assert!(message::decode(short, 1 << 20).is_err());
        let longer = [&(bytes.len() as u32 + 1).to_be_bytes()[..], &bytes[4..], &[0]].concat();
        assert!(message::decode(longer, 1 << 20).is_err());
    }
}

/// Cuts whole frames off the front of a buffer, as a reader does; returns how long each was.
fn take_frames(buffer: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut at = 0;
    while let Some(raw) = frame::split(&buffer[at..]).expect("good frames") {
        lengths.push(raw.wire_len());
        at += raw.wire_len();
    }
    lengths
}

#[test]
fn a_stream_gives_the_same_frames_wherever_it_is_cut() {
    let frames = &frames()[..100];
    let stream: Vec<u8> = frames.iter().flat_map(|f| f.raw.iter().copied()).collect();
    let lengths: Vec<usize> = frames.iter().map(|f| f.raw.len()).collect();
    assert_eq!(take_frames(&stream), lengths);
    for cut in 0..stream.len() {
        let first = take_frames(&stream[..cut]);
        let taken = first.iter().sum();
        let second = take_frames(&stream[taken..]);
        assert_eq!([first, second].concat(), lengths, "{cut}");
    }
}

#[test]
fn a_stream_that_drips_byte_by_byte_gives_every_command() {
    let frames = &frames()[..100];
    let mut commands = Vec::new();
    let mut buffer = Vec::new();
    for byte in frames.iter().flat_map(|f| &f.raw) {
        buffer.push(*byte);
        if let Some(raw) = frame::split(&buffer).expect("good frames") {
            commands.push(Command::decode(raw).expect("a good header"));
            buffer.clear();
        }
    }
    assert!(buffer.is_empty());
    let expected: Vec<Command> = frames.iter().map(|f| f.command()).collect();
    assert_eq!(commands, expected);
}
