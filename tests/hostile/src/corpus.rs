//! The seeds of inputs: the captures of Java's clients, and well-formed bytes of kinds that no
//! capture has.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::protocol::frame::{self, RawFrame};
use rocketmq_blocking::protocol::message::encode_batch_entry;
use rocketmq_blocking::protocol::reply::PushedReply;
use rocketmq_blocking::protocol::send::SendRequest;
use rocketmq_blocking::protocol::transaction::CheckTransaction;
use rocketmq_blocking::protocol::{Command, HeaderFormat, compress, sys_flag};
use serde_json::Value;

/// All frames of the captures.
pub fn frames() -> Vec<Vec<u8>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden");
    let mut frames = Vec::new();
    read_all(&golden, &mut frames);
    frames.sort();
    frames.dedup();
    assert!(frames.len() > 50, "there are captures");
    frames
}

/// A part of each frame, where it is not empty; each only once.
pub fn parts(frames: &[Vec<u8>], part: impl Fn(RawFrame<'_>) -> &[u8]) -> Vec<Vec<u8>> {
    let mut parts: Vec<_> = frames
        .iter()
        .filter_map(|bytes| frame::split(bytes).ok().flatten())
        .map(|raw| part(raw).to_vec())
        .filter(|part| !part.is_empty())
        .collect();
    parts.sort();
    parts.dedup();
    parts
}

/// Stored messages: plain, compressed, a bomb, with IPv6, with a long topic, inner batches.
pub fn stored() -> Vec<Vec<u8>> {
    let text = b"a stored message's body ".repeat(20);
    let zlib = sys_flag::COMPRESSED | sys_flag::COMPRESSION_ZLIB;
    let v6 = sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6;
    let packed = compress::zlib(&text, 5);
    let bomb = compress::zlib(&vec![0; 1 << 20], 9);
    let inner = sys_flag::INNER_BATCH | sys_flag::NEED_UNWRAP;
    let batch = batch(20);
    let packed_batch = compress::zlib(&batch, 5);
    let batch_bomb = compress::zlib(&[0, 0, 0, 22].repeat(100_000), 9);
    [
        (inner, "TopicTest", &batch),
        (inner | zlib, "TopicTest", &packed_batch),
        (inner | zlib, "TopicTest", &batch_bomb),
        (0, "TopicTest", &text),
        (zlib, "TopicTest", &packed),
        (sys_flag::COMPRESSED, "TopicTest", &bomb),
        (v6, &*"t".repeat(200), &text),
        (0, "", &Vec::new()),
    ]
    .map(|(flags, topic, body)| message(flags, topic, body))
    .into()
}

fn batch(messages: usize) -> Vec<u8> {
    let mut batch = Vec::new();
    for _ in 0..messages {
        encode_batch_entry(0, b"a body", "UNIQ_KEY\u{1}7F00\u{2}", &mut batch).expect("short");
    }
    batch
}

/// Requests that brokers send: replies and questions about transactions.
pub fn pushed() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let check = CheckTransaction {
        topic: Some("T".into()),
        table_offset: 7,
        commit_log_offset: 1 << 40,
        message_id: Some("7F0000010BB818B4AAC27CF5E0F90000".into()),
        transaction_id: None,
        offset_message_id: None,
        broker_name: Some("broker-a".into()),
    };
    for half in stored() {
        let command = Command::request(request::CHECK_TRANSACTION_STATE).with_fields(&check);
        add_in_both_forms(command.with_body(half), &mut frames);
    }
    let text = b"a reply ".repeat(40);
    let bomb = compress::zlib(&vec![0; 1 << 20], 9);
    for (flags, body) in [(0, &text), (sys_flag::COMPRESSED, &bomb)] {
        let command = Command::request(request::PUSH_REPLY_MESSAGE_TO_CLIENT);
        let command = command.with_fields(&reply(flags)).with_body(body.clone());
        add_in_both_forms(command, &mut frames);
    }
    frames
}

/// Bodies in JSON, and those of consumers that no capture has.
pub fn consumer_bodies(bodies: &[Vec<u8>]) -> Vec<Vec<u8>> {
    const OTHERS: &[&str] = &[
        r#"{"offsetTable":{{"brokerName":"a","queueId":0,"topic":"T"}:5,{"brokerName":"b","queueId":1,"topic":"T"}:6}}"#,
        r#"{"offsetTable":[{"brokerName":"a","offset":5,"queueId":0,"topic":"T"}]}"#,
        r#"{"consumerTable":{},"messageQueueTable":{{"brokerName":"a","queueId":0,"topic":"T"}:5}}"#,
        r#"{"jstack":"x","mqPopTable":{},"mqTable":{{"brokerName":"a","queueId":0,"topic":"T"}:{"commitOffset":4,"droped":false,"locked":true}},"properties":{"a":"b"},"statusTable":{"T":{"consumeRT":0.5}},"subscriptionSet":[{"topic":"T"}],"userConsumerInfo":{}}"#,
        r#"{"autoCommit":true,"consumeResult":"CR_SUCCESS","order":false,"spentTimeMills":3}"#,
        r#"{"connectionSet":[{"clientAddr":"1:2","clientId":"c","language":"RUST","version":493}],"consumeType":"CONSUME_PASSIVELY","subscriptionTable":{"T":{"codeSet":[1],"subString":"a","tagsSet":["a"],"topic":"T"}}}"#,
        r#"{"acks":[{"b":"AQQ=","c":"g","it":60,"pt":9,"q":1,"r":"0","rq":4,"so":0,"t":"T"}],"brokerName":"b"}"#,
        r#"{"consumerGroup":"g","mode":"POP","popShareQueueNum":-1,"topic":"T"}"#,
        r#"{"clientId":"c","group":"g","subscriptionData":{"expressionType":"SQL92","subString":"a > 5","topic":"T"}}"#,
    ];
    let captured = bodies.iter().filter(|body| body.starts_with(b"{")).cloned();
    captured
        .chain(OTHERS.iter().map(|text| text.as_bytes().to_vec()))
        .collect()
}

/// The queue fields of answers to pops.
pub fn popped() -> Vec<Vec<u8>> {
    [
        "0 0 0;0 1 2;1 0 8\n0 0 0,1;0 1 2,3;1 0 8\n0 qo0%1 2;0 1 1",
        "\n\n",
        "0 9 60 4 0 b 1 0",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// Compressed bodies, each behind a byte that chooses how it is said to be compressed.
pub fn compressed() -> Vec<Vec<u8>> {
    let text: Vec<u8> = (0..2000u32).flat_map(|i| (i * i).to_le_bytes()).collect();
    let mut bodies = Vec::new();
    for body in [&text[..], b"", &vec![0; 1 << 20], &b"ab".repeat(3000)] {
        for level in [1, 9] {
            bodies.push([&[1][..], &compress::zlib(body, level)].concat());
        }
        #[cfg(feature = "lz4")]
        bodies.push(packed(2, compress::Compression::Lz4, body));
        #[cfg(feature = "zstd")]
        bodies.push(packed(3, compress::Compression::Zstd, body));
    }
    bodies
}

#[cfg(any(feature = "lz4", feature = "zstd"))]
fn packed(kind: u8, compression: compress::Compression, body: &[u8]) -> Vec<u8> {
    let packed = compression.compress(body, 3).expect("memory to compress");
    [&[kind][..], &packed].concat()
}

fn add_in_both_forms(command: Command, frames: &mut Vec<Vec<u8>>) {
    for format in [HeaderFormat::Json, HeaderFormat::Binary] {
        let mut bytes = Vec::new();
        command.encode(format, &mut bytes);
        frames.push(bytes);
    }
}

fn reply(sys_flag: i32) -> PushedReply {
    let host: SocketAddr = ([127, 0, 0, 1], 10911).into();
    PushedReply {
        send: SendRequest {
            producer_group: "g".into(),
            topic: "DefaultCluster_REPLY_TOPIC".into(),
            default_topic: "TBW102".into(),
            default_topic_queue_nums: 4,
            queue_id: 1,
            sys_flag,
            born_timestamp: 5,
            flag: 6,
            properties: "CORRELATION_ID\u{1}c\u{2}MSG_TYPE\u{1}reply\u{2}".into(),
            reconsume_times: 0,
            unit_mode: false,
            max_reconsume_times: None,
            batch: false,
            broker_name: None,
        },
        born_host: Some(host),
        store_host: Some(host),
        store_timestamp: 9,
    }
}

/// A stored message as the broker writes it (by hand: the library's own view of one can only be
/// read).
fn message(flags: i32, topic: &str, body: &[u8]) -> Vec<u8> {
    let is_v6 = flags & sys_flag::BORN_HOST_V6 != 0;
    let address = if is_v6 { &[0; 16][..] } else { &[127, 0, 0, 1] };
    let host = [address, &10911u32.to_be_bytes()].concat();
    let is_long = topic.len() > 127;
    let properties = b"KEYS\x01k\x02UNIQ_KEY\x017F00\x02TAGS\x01t\x02";
    let magic = if is_long { 0xDAA3_20ABu32 } else { 0xDAA3_20A7 };
    let mut out = magic.to_be_bytes().to_vec();
    // Checksum, queue, the user's flag, and the positions in queue and log.
    out.extend([0; 4 + 4 + 4 + 8 + 8]);
    out.extend(flags.to_be_bytes());
    for host in [&host, &host] {
        out.extend([0; 8]);
        out.extend(host);
    }
    out.extend([0; 4 + 8]);
    out.extend((body.len() as u32).to_be_bytes());
    out.extend(body);
    let topic_len = (topic.len() as u16).to_be_bytes();
    out.extend(&topic_len[usize::from(!is_long)..]);
    out.extend(topic.as_bytes());
    out.extend((properties.len() as u16).to_be_bytes());
    out.extend(properties);
    [&(out.len() as u32 + 4).to_be_bytes()[..], &out].concat()
}

fn read_all(directory: &Path, frames: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(directory).expect("the captures") {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            read_all(&path, frames);
        } else if path.extension().is_some_and(|e| e == "jsonl") {
            let text = fs::read_to_string(&path).expect("a capture");
            // The first line describes the Java program.
            frames.extend(text.lines().skip(1).map(raw));
        }
    }
}

fn raw(line: &str) -> Vec<u8> {
    let line: Value = serde_json::from_str(line).expect("a line of a capture");
    crate::hex::decode(line["raw_hex"].as_str().expect("a frame in hex")).expect("hex")
}
