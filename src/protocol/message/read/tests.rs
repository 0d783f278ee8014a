use super::super::{Record, compress, encode_batch_entry, sys_flag};
use super::*;

fn record(body: &[u8]) -> Record<'_> {
    Record {
        topic: "T",
        body,
        properties: "",
        flag: 0,
        sys_flag: 0,
        queue_id: 0,
        queue_offset: 7,
        commit_log_offset: 0,
        born_timestamp: 0,
        born_host: ([127, 0, 0, 1], 1).into(),
        store_timestamp: 0,
        store_host: ([127, 0, 0, 1], 2).into(),
        reconsume_times: 3,
        prepared_transaction_offset: 0,
    }
}

fn written(record: Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes).unwrap();
    bytes
}

/// The bodies of readable messages, and `!` with what is known of the others.
#[track_caller]
fn check(bytes: Vec<u8>, limit: usize, expected: &[&str]) {
    let read = decode_all(bytes, limit);
    let shown = read.iter().map(|message| match message {
        Ok(message) => String::from_utf8_lossy(message.body()).into_owned(),
        Err(error) => {
            let rest = if error.hides_rest { " and rest" } else { "" };
            format!("!{:?}{rest}", error.queue_offset)
        }
    });
    assert_eq!(shown.collect::<Vec<_>>(), expected, "{read:?}");
}

#[test]
fn stored_messages_follow_each_other() {
    let (one, two) = (written(record(b"one")), written(record(b"three")));
    let bytes = [&one[..], &two].concat();
    check(vec![], 0, &[]);
    check(bytes.clone(), 0, &["one", "three"]);
    for cut in 1..bytes.len() {
        let expected: &[&str] = match cut {
            _ if cut < one.len() => &["!None and rest"],
            _ if cut == one.len() => &["one"],
            _ => &["one", "!None and rest"],
        };
        check(bytes[..cut].to_vec(), 0, expected);
    }
    check(vec![0; 8], 100, &["!None and rest"]);
}

#[test]
fn a_message_that_cannot_be_read_hides_no_other_one() {
    let good = written(record(b"good"));
    let with = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        [&good[..], &bad, &good].concat()
    };
    let (body, body_len, magic) = (good.len() - 6, 87, 4);
    check(with(body, b'!'), 0, &["good", "!Some(7)", "good"]);
    check(with(body_len, 200), 0, &["good", "!Some(7)", "good"]);
    check(with(magic, 0), 0, &["good", "!None", "good"]);
    // The start of the next one is unknown.
    check(with(0, 0xff), 0, &["good", "!None and rest"]);
    check(with(3, 90), 0, &["good", "!None and rest"]);
}

#[test]
fn a_wrong_checksum_is_an_error_and_an_absent_one_is_not() {
    let mut bytes = written(record(b"body"));
    let expected = i32::from_be_bytes(bytes[8..12].try_into().unwrap());
    assert_eq!(
        expected,
        0xDBA8_0BB2u32 as i32 & 0x7FFF_FFFF,
        "CRC-32 of `body`"
    );
    bytes[11] ^= 1;
    let error = decode(bytes.clone(), 0).unwrap_err().to_string();
    assert_eq!(
        error,
        "message at queue offset 7: wrong checksum of the body"
    );
    bytes[8..12].fill(0);
    assert_eq!(decode(bytes, 0).unwrap().body(), b"body");
}

#[test]
fn inflated_bodies_are_limited_together() {
    let packed = compress::zlib(&[b'x'; 600], 5);
    let bomb = written(Record {
        sys_flag: sys_flag::COMPRESSED,
        ..record(&packed)
    });
    let inflated = "x".repeat(600);
    check(bomb.clone(), 600, &[&inflated]);
    check(bomb.clone(), 599, &["!Some(7)"]);
    let plain = written(record(b"plain"));
    let three = [&bomb[..], &bomb, &plain].concat();
    check(three, 1000, &[&inflated, "!Some(7)", "plain"]);
}

#[test]
fn a_packed_body_is_not_looked_at_until_it_is_unpacked() {
    let damaged = written(Record {
        sys_flag: sys_flag::COMPRESSED,
        properties: "a\u{1}b",
        ..record(b"not compressed")
    });
    let packed = decode_packed(damaged).unwrap();
    assert_eq!((packed.topic(), packed.queue_offset()), ("T", 7));
    assert_eq!(packed.property("a"), Some("b"));
    assert_eq!(packed.stored_body(), b"not compressed");
    assert!(packed.unpack(100).is_err());
}

#[test]
fn bodies_are_views_into_the_answer() {
    let bytes = Arc::new(written(record(b"body")));
    let view = decode(Arc::clone(&bytes), 0).unwrap();
    assert!(bytes.as_ptr_range().contains(&view.body().as_ptr()));
}

fn inner_batch() -> Vec<u8> {
    let mut batch = Vec::new();
    encode_batch_entry(1, b"one", "UNIQ_KEY\u{1}A\u{2}", &mut batch).unwrap();
    encode_batch_entry(2, b"two", "UNIQ_KEY\u{1}B\u{2}", &mut batch).unwrap();
    batch
}

const INNER: i32 = sys_flag::INNER_BATCH | sys_flag::NEED_UNWRAP;

#[test]
fn an_inner_batch_is_taken_apart_packed_or_not() {
    let batch = inner_batch();
    let zlib = compress::zlib(&batch, 5);
    for (flags, body) in [(0, &batch), (sys_flag::COMPRESSED, &zlib)] {
        let bytes = written(Record {
            sys_flag: INNER | flags,
            properties: "INNER_NUM\u{1}2\u{2}",
            ..record(body)
        });
        let read = decode_all(bytes.clone(), 10_000);
        let read: Vec<_> = read.into_iter().map(Result::unwrap).collect();
        assert_eq!(read.len(), 2);
        for (i, (view, (body, key))) in read.iter().zip([("one", "A"), ("two", "B")]).enumerate() {
            assert_eq!((view.topic(), view.text()), ("T", Ok(body)));
            assert_eq!(view.unique_key(), Some(key));
            assert_eq!(view.property("INNER_NUM"), None);
            assert_eq!(view.queue_offset(), 7 + i as i64);
            assert_eq!((view.flag(), view.reconsume_times()), (1 + i as i32, 0));
        }
        let whole = decode(bytes, 10_000).unwrap();
        assert_eq!(whole.body(), batch, "alone it is what was stored");
        assert_eq!(whole.reconsume_times(), 3);
    }
    let one_flag = written(Record {
        sys_flag: sys_flag::INNER_BATCH,
        ..record(b"whole")
    });
    check(one_flag, 0, &["whole"]);
}

#[test]
fn a_bad_message_of_an_inner_batch_hides_no_other_one_and_very_many_are_an_error() {
    let mut batch = inner_batch();
    // The length of the first body, and so the first entry.
    batch[19] = 200;
    let with = |body: &[u8]| {
        let sys_flag = INNER;
        written(Record {
            sys_flag,
            ..record(body)
        })
    };
    check(with(&batch), 10_000, &["!Some(7)", "two"]);
    let size = MessageView::SIZE;
    check(with(&batch), 2 * size, &["!Some(7)", "two"]);
    check(with(&batch), size, &["!Some(7)", "!Some(8) and rest"]);
}

/// An inner batch has its own framing: what hides its rest hides nothing of the answer behind it.
#[test]
fn a_wrong_size_in_an_inner_batch_hides_its_rest_and_no_other_message() {
    let mut batch = Vec::new();
    for body in [b"a", b"b", b"c", b"d"] {
        encode_batch_entry(0, body, "", &mut batch).unwrap();
    }
    batch[batch_entry_len()] = 0x7f;
    let with = |sys_flag: i32, body: &[u8]| {
        written(Record {
            sys_flag,
            ..record(body)
        })
    };
    let next = with(0, b"next");
    let bytes = [with(INNER, &batch), next.clone()].concat();
    check(bytes, 10_000, &["a", "!Some(8) and rest", "next"]);
    let bytes = [with(INNER, &inner_batch()), next].concat();
    let size = MessageView::SIZE;
    check(bytes, size, &["one", "!Some(8) and rest", "next"]);
}

/// The length of an entry with one byte of body and no properties.
fn batch_entry_len() -> usize {
    let mut entry = Vec::new();
    encode_batch_entry(0, b"a", "", &mut entry).unwrap();
    entry.len()
}

#[test]
fn a_stored_message_with_text_that_is_not_utf_8_is_readable_still() {
    let mut bytes = written(Record {
        properties: "a\u{1}b\u{2}",
        ..record(b"one")
    });
    let at = bytes.iter().rposition(|byte| *byte == b'b').unwrap();
    bytes[at] = 0xff;
    let read = decode(bytes, 0).unwrap();
    assert_eq!(read.property("a"), Some("\u{fffd}"));
    assert_eq!(read.topic(), "T");
}

#[test]
fn a_record_is_read_back_as_it_was_and_without_being_written() {
    let body = compress::zlib(b"body", 5);
    let record = Record {
        sys_flag: sys_flag::COMPRESSED,
        properties: "a\u{1}b\u{2}",
        store_host: "[::1]:5".parse().unwrap(),
        ..record(&body)
    };
    let view = record.view(10).unwrap();
    assert_eq!(decode(written(record), 10), Ok(view.clone()));
    assert_eq!(view.body(), b"body");
    assert!(record.view(3).is_err());
}
