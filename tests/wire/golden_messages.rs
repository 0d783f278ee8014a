//! Properties, batches, compressed bodies and message ids of the captured sends.

use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::protocol::id::{self, OffsetMessageId};
use rocketmq_blocking::protocol::send::SendRequest;
use rocketmq_blocking::protocol::{compress, message, properties, sys_flag};

use crate::golden::{SENDS, each};
use crate::support::captures::{Frame, unhex};

#[test]
fn properties_read_and_write_back_to_the_same_text() {
    each(|frame| {
        if !frame.is_request(SENDS) {
            return false;
        }
        for text in properties_of(frame) {
            let decoded = properties::decode(&text);
            assert!(!decoded.is_empty(), "{}", frame.place);
            // 4.9.7 leaves out the separator at the very end, we never do. One capture has a
            // value with a separator in it: the piece behind that is no property.
            let pieces = text.split(properties::VALUE_END);
            let whole = pieces.filter(|piece| piece.contains(properties::NAME_END));
            let expected: String = whole.map(|piece| format!("{piece}\u{2}")).collect();
            let ours = properties::encode(decoded.iter());
            assert_eq!(ours, expected, "{}", frame.place);
        }
        true
    });
}

#[test]
fn batches_read_and_write_back_to_the_same_bytes() {
    each(|frame| {
        if !frame.is_request(&[request::SEND_BATCH_MESSAGE]) {
            return false;
        }
        let body = frame.body();
        let entries = message::decode_batch(&body);
        let entries = entries.unwrap_or_else(|e| panic!("{}: {e}", frame.place));
        assert!(!entries.is_empty(), "{}", frame.place);
        let mut ours = Vec::new();
        for entry in entries {
            message::encode_batch_entry(entry.flag, entry.body, entry.properties, &mut ours)
                .expect("it came from such an entry");
        }
        assert_eq!(ours, body, "{}", frame.place);
        true
    });
}

#[test]
fn compressed_bodies_inflate() {
    each(|frame| {
        if !frame.is_request(SENDS) {
            return false;
        }
        let command = frame.command();
        let flags = command.ext.parse("f").expect("a number").expect("flags");
        if flags & sys_flag::COMPRESSED == 0 {
            return false;
        }
        let body = compress::decompress(&command.body, flags, 1 << 20);
        let body = body.unwrap_or_else(|e| panic!("{}: {e}", frame.place));
        assert!(
            body.len() >= 4096,
            "{}: Java compresses from 4 KiB on",
            frame.place
        );
        true
    });
}

#[test]
fn unique_keys_have_our_layout() {
    each(|frame| {
        if !frame.is_request(SENDS) {
            return false;
        }
        let keys = properties_of(frame).into_iter().filter_map(|text| {
            let decoded = properties::decode(&text);
            decoded.get("UNIQ_KEY").map(str::to_owned)
        });
        keys.map(|key| assert_eq!(rebuilt(&key), key, "{}", frame.place))
            .count()
            > 0
    });
}

#[test]
fn offset_message_ids_read_and_write_back() {
    each(|frame| {
        if !frame.answers(SENDS) {
            return false;
        }
        let command = frame.command();
        let Some(ids) = command.ext.get("msgId") else {
            return false;
        };
        // A batch has one id per message.
        for text in ids.split(',') {
            let id = OffsetMessageId::decode(text);
            let id = id.unwrap_or_else(|e| panic!("{}: {text}: {e}", frame.place));
            assert!(id.address.ip().is_loopback(), "{}: {id:?}", frame.place);
            assert_eq!(id.encode(), text, "{}", frame.place);
        }
        true
    });
}

/// The property texts of a send: that of the header, and of a batch those in its body.
fn properties_of(frame: &Frame) -> Vec<String> {
    let command = frame.command();
    let decoded = SendRequest::decode(command.code, &command.ext).expect("checked above");
    let mut texts = vec![decoded.properties];
    if decoded.batch {
        let entries = message::decode_batch(&command.body).expect("checked above");
        texts.extend(entries.iter().map(|e| e.properties.to_owned()));
    }
    texts
}

/// The key that we make from the parts of one of Java's.
fn rebuilt(key: &str) -> String {
    let bytes = unhex(key);
    let (ip, rest) = bytes.split_at(bytes.len() - 12);
    let number = |part: &[u8]| part.iter().fold(0u32, |n, b| n << 8 | u32::from(*b));
    let short = |part: &[u8]| u16::try_from(number(part)).expect("two bytes");
    let ip = match (<[u8; 4]>::try_from(ip), <[u8; 16]>::try_from(ip)) {
        (Ok(v4), _) => v4.into(),
        (_, Ok(v6)) => v6.into(),
        _ => panic!("{key} has no address"),
    };
    let (process, salt) = (short(&rest[..2]), number(&rest[2..6]));
    id::UniqueKeys::new(ip, process, salt).key(number(&rest[6..10]), short(&rest[10..12]))
}
