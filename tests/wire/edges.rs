//! Edges of the wire format: cases that random values rarely hit, or that our values never produce.

use rocketmq_blocking::protocol::message::{self, Record};
use rocketmq_blocking::protocol::send::{SendRequest, SendResponse, V1};
use rocketmq_blocking::protocol::{Command, ExtFields, HeaderFormat, frame};

use crate::round_trips::{FORMATS, round, round_fields, without_empty_texts};

#[test]
fn of_equal_header_fields_the_last_counts_in_both_forms() {
    let mut command = Command::request(310);
    for (name, value) in [("queueId", "1"), ("other", "x"), ("queueId", "2")] {
        command.ext.push(name, value);
    }
    for format in FORMATS {
        let (_, again) = round(&command, format);
        assert_eq!(again.ext.get("queueId"), Some("2"));
        assert_eq!(again, command);
        assert_eq!(SendResponse::decode(&again.ext).unwrap().queue_id, 2);
    }
}

/// Writer and reader are checked separately: a reader that drops fields would hide a writer that
/// fails to leave them out.
#[test]
fn empty_texts_are_neither_written_to_nor_read_from_a_binary_header() {
    let field = |name: &str, value: &str| {
        let (name_len, value_len) = (name.len() as u16, value.len() as u32);
        let lens = (name_len.to_be_bytes(), value_len.to_be_bytes());
        [&lens.0[..], name.as_bytes(), &lens.1, value.as_bytes()].concat()
    };
    let header = |fields: &[u8]| {
        let head = [0, 10, 12, 1, 237, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
        [&head[..], &(fields.len() as u32).to_be_bytes(), fields].concat()
    };
    let mut command = Command::request(10);
    command.opaque = 5;
    command.ext = [("a", ""), ("b", "1"), ("", "2")].into_iter().collect();
    let mut bytes = Vec::new();
    command.encode(HeaderFormat::Binary, &mut bytes);
    let whole = header(&field("b", "1"));
    assert_eq!(frame::split(&bytes).unwrap().unwrap().header, whole);

    let with_empty = [field("a", ""), field("b", "1"), field("", "2")].concat();
    let raw = frame::RawFrame {
        format: HeaderFormat::Binary,
        header: &header(&with_empty),
        body: &[],
    };
    assert_eq!(Command::decode(raw), Ok(without_empty_texts(command)));
}

/// Java's `SendMessageRequestHeaderV2` and `SendMessageRequestHeader`: the captures do not have
/// all of the fields, and none has the long names.
#[test]
fn send_headers_have_javas_names() {
    let header = SendRequest {
        producer_group: "g".to_owned(),
        topic: "t".to_owned(),
        default_topic: "TBW102".to_owned(),
        default_topic_queue_nums: 4,
        queue_id: 1,
        sys_flag: 2,
        born_timestamp: 3,
        flag: 5,
        properties: "p".to_owned(),
        reconsume_times: 6,
        unit_mode: true,
        max_reconsume_times: Some(7),
        batch: false,
        broker_name: Some("b".to_owned()),
    };
    #[rustfmt::skip]
    let names = [
        ("a", "producerGroup", "g"), ("b", "topic", "t"), ("c", "defaultTopic", "TBW102"),
        ("d", "defaultTopicQueueNums", "4"), ("e", "queueId", "1"), ("f", "sysFlag", "2"),
        ("g", "bornTimestamp", "3"), ("h", "flag", "5"), ("i", "properties", "p"),
        ("j", "reconsumeTimes", "6"), ("k", "unitMode", "true"), ("l", "maxReconsumeTimes", "7"),
        ("m", "batch", "false"), ("n", "bname", "b"),
    ];
    let short: ExtFields = names
        .iter()
        .map(|(short, _, value)| (*short, *value))
        .collect();
    let long: ExtFields = names
        .iter()
        .map(|(_, long, value)| (*long, *value))
        .collect();
    assert_eq!(round_fields(&header.header(), HeaderFormat::Json), short);
    assert_eq!(
        round_fields(&V1(&header.header()), HeaderFormat::Json),
        long
    );
}

#[test]
fn a_name_that_the_binary_form_cannot_hold_goes_out_as_json() {
    let mut command = Command::request(310);
    for (len, format) in [(32_767, HeaderFormat::Binary), (32_768, HeaderFormat::Json)] {
        command.ext.push(&"n".repeat(len), "v");
        assert_eq!(
            round(&command, HeaderFormat::Binary),
            (format, command.clone())
        );
    }
}

#[test]
fn a_json_header_may_be_written_in_other_ways() {
    let decode = |header: &str| {
        let header = header.as_bytes();
        let format = HeaderFormat::Json;
        Command::decode(frame::RawFrame {
            format,
            header,
            body: &[],
        })
    };
    let plain = decode(r#"{"code":0,"opaque":1,"language":"JAVA","extFields":{"a":"b"}}"#).unwrap();
    for same in [
        r#" { "opaque" : 1 , "code" : 0 , "language" : "J\u0041VA", "extFields":{"\u0061":"\u0062"}} "#,
        r#"{"code":0,"opaque":1,"language":"JAVA","extFields":{"a":"b"},"remark":null,"x":[{"y":1e99}]}"#,
        r#"{"code":0,"opaque":1,"language":"JAVA","extFields":{"a":"c","a":"b","n":null}}"#,
    ] {
        assert_eq!(decode(same).as_ref(), Ok(&plain), "{same}");
    }
    for bad in [
        r#"{"code":0,"opaque":1,"extFields":{"a":NaN}}"#,
        r#"{"code":0,"opaque":1,"extFields":{"a":"\ud800"}}"#,
        r#"{"code":0,"code":0,"opaque":1}"#,
        r#"{"code":0,"opaque":1.5}"#,
        r#"{"code":2147483648,"opaque":1}"#,
    ] {
        assert!(decode(bad).is_err(), "{bad}");
    }
}

#[test]
fn parts_too_long_for_their_length_field_are_refused() {
    let mut out = b"before".to_vec();
    let long = "p".repeat(32_768);
    assert!(message::encode_batch_entry(0, b"x", &long, &mut out).is_err());
    assert_eq!(out, b"before");
    message::encode_batch_entry(0, b"x", &long[1..], &mut out).unwrap();
    let mut entry = out.split_off(6);
    assert_eq!(
        message::decode_batch(&entry).unwrap()[0].properties,
        &long[1..]
    );
    // 0x8000 would be negative in Java.
    let at = 4 * 5 + 1;
    entry[at..at + 2].copy_from_slice(&[0x80, 0]);
    entry.push(b'p');
    let size = (entry.len() as u32).to_be_bytes();
    entry[..4].copy_from_slice(&size);
    assert!(message::decode_batch(&entry).is_err());

    let host = ([127, 0, 0, 1], 1).into();
    let record = Record {
        topic: &long,
        body: b"x",
        properties: "",
        flag: 0,
        sys_flag: 0,
        queue_id: 0,
        queue_offset: 0,
        commit_log_offset: 0,
        born_timestamp: 0,
        born_host: host,
        store_timestamp: 0,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
    };
    let mut stored = Vec::new();
    assert!(record.encode(&mut stored).is_err());
    let topic = &long[1..];
    let properties = &format!("{long}p");
    let too_much = Record {
        topic,
        properties,
        ..record
    };
    assert!(too_much.encode(&mut stored).is_err());
    assert!(stored.is_empty());
    Record { topic, ..record }.encode(&mut stored).unwrap();
    assert_eq!(message::decode(stored, 1).unwrap().topic(), topic);
}

#[test]
fn a_batch_entry_has_its_stated_length() {
    let mut body = Vec::new();
    message::encode_batch_entry(0, b"x", "", &mut body).unwrap();
    body[3] += 1;
    body.push(b'!');
    assert!(message::decode_batch(&body).is_err());
}
