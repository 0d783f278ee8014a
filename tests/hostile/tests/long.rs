//! Inputs as long as frames can be: what a peer can make of 16 MiB.

use hostile::engine::check_memory;
use hostile::targets::Target;
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::protocol::message::Record;
use rocketmq_blocking::protocol::{Command, HeaderFormat, compress, sys_flag};

const FRAME: usize = 16 * 1024 * 1024;

#[track_caller]
fn assert_read(target: &str, input: &[u8]) {
    let target = Target::all().into_iter().find(|t| t.name == target);
    let target = target.expect("a target of this name");
    // Its duration does not matter: no optimization is needed.
    assert_eq!(check_memory(&target, input), Ok(()));
}

/// `start`, as many `pieces` as fit into a frame, and `end`.
fn filled(start: &str, piece: &str, end: &str) -> Vec<u8> {
    let room = FRAME - 1024 - start.len() - end.len();
    let middle = piece.repeat(room / piece.len());
    [start, &middle, end].concat().into_bytes()
}

#[test]
fn a_header_of_nothing_but_small_fields_takes_little_memory() {
    let start = r#"{"code":0,"opaque":1,"extFields":{"#;
    assert_read("json", &filled(start, r#""":"","#, r#""a":"b"}}"#));
    assert_read("json", &filled(start, r#""a":"b","#, r#""a":"b"}}"#));
    let remark = r#"{"code":0,"opaque":1,"remark":""#;
    assert_read("json", &filled(remark, "\\u001b", "\"}"));
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let start = r#"{"code":0,"opaque":1,"x":"#;
    for (start, piece) in [(start, "["), (start, "{\"a\":"), ("", "[")] {
        let input = filled(start, piece, "");
        assert_read("json", &input);
        assert_read("route", &input);
    }
}

#[test]
fn a_route_of_a_million_entries_takes_little_memory() {
    let brokers = r#"{"brokerDatas":["#;
    let broker = r#"{"brokerName":""},"#;
    assert_read("route", &filled(brokers, broker, r#"{"brokerName":""}]}"#));
    let queues = r#"{"queueDatas":["#;
    assert_read("route", &filled(queues, broker, r#"{"brokerName":""}]}"#));
}

#[test]
fn properties_of_a_reply_beyond_what_brokers_can_store_take_little_memory() {
    let properties = "a\u{1}b\u{2}".repeat(3_000_000);
    let mut command = Command::request(request::PUSH_REPLY_MESSAGE_TO_CLIENT);
    for (name, value) in [
        ("producerGroup", "g"),
        ("topic", "t"),
        ("defaultTopic", "d"),
        ("defaultTopicQueueNums", "1"),
        ("queueId", "0"),
        ("sysFlag", "0"),
        ("bornTimestamp", "0"),
        ("flag", "0"),
        ("properties", &properties),
    ] {
        command.ext.push(name, value);
    }
    let mut frame = Vec::new();
    command.encode(HeaderFormat::Binary, &mut frame);
    assert_read("pushed", &frame);
}

#[test]
fn a_body_that_inflates_to_a_thousand_times_the_limit_takes_little_memory() {
    let body = [&[1][..], &compress::zlib(&vec![0; 64 << 20], 1)].concat();
    assert_read("inflate", &body);
}

#[test]
fn a_length_that_is_only_claimed_costs_nothing() {
    let mut claimed = vec![0];
    claimed.extend((FRAME as u32 - 4).to_be_bytes());
    claimed.extend([0; 200]);
    assert_read("receive", &claimed);
    assert_read("receive", &[&[0][..], &i32::MAX.to_be_bytes()].concat());
}

/// A stored message with this body and these properties.
fn stored(sys_flag: i32, body: &[u8], properties: &str) -> Vec<u8> {
    let host = ([127, 0, 0, 1], 1).into();
    let record = Record {
        topic: "",
        body,
        properties,
        flag: 0,
        sys_flag,
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
    let mut bytes = Vec::new();
    record.encode(&mut bytes).expect("short parts");
    bytes
}

#[test]
fn an_answer_of_very_many_messages_or_properties_takes_little_memory() {
    let many = "a\u{1}b\u{2}".repeat(8_000);
    for message in [stored(0, b"", ""), stored(0, b"", &many)] {
        assert_read("stored", &message.repeat(FRAME / message.len()));
    }
}

#[test]
fn an_inner_batch_of_very_many_messages_takes_little_memory() {
    let inner = sys_flag::INNER_BATCH | sys_flag::NEED_UNWRAP;
    let mut entry = vec![0, 0, 0, 22];
    entry.extend([0; 18]);
    let good = entry.repeat(FRAME / entry.len() - 100);
    let bad = [0, 0, 0, 23].repeat(FRAME / 4 - 100);
    for batch in [good, bad] {
        assert_read("stored", &stored(inner, &batch, ""));
    }
}

#[test]
fn tables_and_lists_of_a_million_entries_take_little_memory() {
    let key = r#"{{"brokerName":"","queueId":0,"topic":""}:1"#;
    let table = r#"{"offsetTable":"#;
    let entry = r#",{"brokerName":"","queueId":0,"topic":""}:1"#;
    assert_read("consumer", &filled(&format!("{table}{key}"), entry, "}}"));
    let list = r#"{"consumerIdList":["a""#;
    assert_read("consumer", &filled(list, r#","a""#, "]}"));
    let numbers = r#"{"offsetTable":{1:1"#;
    assert_read("consumer", &filled(numbers, ",1:1", "}}"));
    assert_read("popped", &filled("0 0 0", ";0 0 0", "\n"));
    assert_read("popped", &filled("0 0 0\n0 0 0", ",0", ""));
}
