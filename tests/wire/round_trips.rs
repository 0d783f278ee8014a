//! One round trip per wire type, with random values.

use std::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;
use rocketmq_blocking::MessageView;
use rocketmq_blocking::message::Properties;
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::protocol::heartbeat::{Heartbeat, Unregister};
use rocketmq_blocking::protocol::id::{self, OffsetMessageId};
use rocketmq_blocking::protocol::message::{self, BatchEntry, Record};
use rocketmq_blocking::protocol::route::TopicRoute;
use rocketmq_blocking::protocol::send::{SendRequest, SendResponse, V1};
use rocketmq_blocking::protocol::{
    Command, ExtFields, Fields, Head, HeaderFormat, Language, compress, frame, properties, sys_flag,
};

use crate::values::{self, Stored, bytes, config, text};

pub const FORMATS: [HeaderFormat; 2] = [HeaderFormat::Json, HeaderFormat::Binary];

/// Writes and reads a command.
#[track_caller]
pub fn round(command: &Command, format: HeaderFormat) -> (HeaderFormat, Command) {
    let mut bytes = Vec::new();
    command.encode(format, &mut bytes);
    read(&bytes)
}

/// Writes and reads header fields, without the way over `ExtFields` when they are written.
#[track_caller]
pub fn round_fields(fields: &dyn Fields, format: HeaderFormat) -> ExtFields {
    let head = Head {
        code: 310,
        flag: 0,
        opaque: 1,
        language: Language::RUST,
        version: frame::VERSION,
        remark: None,
        format,
    };
    let mut bytes = Vec::new();
    frame::encode_head(&head, fields, 0, &mut bytes);
    let (sent, command) = read(&bytes);
    assert_eq!(sent, format);
    command.ext
}

#[track_caller]
fn read(bytes: &[u8]) -> (HeaderFormat, Command) {
    let raw = frame::split(bytes)
        .expect("our own frame")
        .expect("a whole frame");
    assert_eq!(raw.wire_len(), bytes.len());
    (raw.format, Command::decode(raw).expect("our own header"))
}

/// A command after a binary header: empty texts are absent.
pub fn without_empty_texts(mut command: Command) -> Command {
    command.remark = command.remark.filter(|r| !r.is_empty());
    let ext = command.ext.iter();
    let ext = ext
        .filter(|(n, v)| !n.is_empty() && !v.is_empty())
        .collect();
    command.ext = ext;
    command
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_command_reads_back_from_json(command in values::command()) {
        assert_eq!(round(&command, HeaderFormat::Json), (HeaderFormat::Json, command));
    }

    #[test]
    fn a_command_reads_back_from_binary(command in values::command()) {
        let fits = |n: i32| i16::try_from(n).is_ok();
        let expected = match fits(command.code) && fits(command.version) {
            true => (HeaderFormat::Binary, without_empty_texts(command.clone())),
            false => (HeaderFormat::Json, command.clone()),
        };
        assert_eq!(round(&command, HeaderFormat::Binary), expected);
    }

    #[test]
    fn a_send_header_reads_back(header in values::send_request()) {
        for format in FORMATS {
            let short = round_fields(&header.header(), format);
            let long = round_fields(&V1(&header.header()), format);
            for (code, ext) in [
                (request::SEND_MESSAGE_V2, &short),
                (request::SEND_BATCH_MESSAGE, &short),
                (request::SEND_MESSAGE, &long),
            ] {
                let again = SendRequest::decode(code, ext);
                assert_eq!(again.as_ref(), Ok(&header));
            }
        }
    }

    #[test]
    fn a_send_response_reads_back(response in values::send_response()) {
        for format in FORMATS {
            let ext = round_fields(&response, format);
            assert_eq!(SendResponse::decode(&ext).as_ref(), Ok(&response));
        }
    }

    #[test]
    fn an_unregister_header_reads_back(header in values::unregister()) {
        for format in FORMATS {
            let ext = round_fields(&header, format);
            assert_eq!(Unregister::decode(&ext).as_ref(), Ok(&header));
        }
    }

    #[test]
    fn a_route_reads_back_from_json_and_from_fastjsons_dialect(
        route in values::route(), blank in "[ \t\n]{0,2}",
    ) {
        assert_eq!(TopicRoute::decode(&route.encode()).as_ref(), Ok(&route));
        let dialect = fastjson(&route, &blank);
        assert_eq!(TopicRoute::decode(dialect.as_bytes()).as_ref(), Ok(&route), "{}", dialect);
    }

    #[test]
    fn a_heartbeat_reads_back(heartbeat in values::heartbeat()) {
        assert_eq!(Heartbeat::decode(&heartbeat.encode()).as_ref(), Ok(&heartbeat));
    }

    #[test]
    fn properties_read_back_with_and_without_the_last_separator(map in values::properties()) {
        let pairs = map.iter().map(|(n, v)| (&**n, &**v));
        let text = properties::encode(pairs);
        let expected: Properties = map.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
        assert_eq!(&properties::decode(&text), &expected);
        let stripped = text.strip_suffix('\u{2}').unwrap_or(&text);
        assert_eq!(&properties::decode(stripped), &expected);
    }

    #[test]
    fn of_equal_properties_the_last_wins(pairs in vec(("[ab]", values::property()), 0..6)) {
        let text: String = pairs.iter().map(|(n, v)| format!("{n}\u{1}{v}\u{2}")).collect();
        let decoded = properties::decode(&text);
        for name in ["a", "b"] {
            let last = pairs.iter().rfind(|(n, _)| n == name).map(|(_, v)| v.as_str());
            assert_eq!(decoded.get(name), last);
        }
    }

    #[test]
    fn an_offset_message_id_reads_back(ip: IpAddr, port: u16, offset: i64) {
        let id = OffsetMessageId {
            address: SocketAddr::new(ip, port),
            commit_log_offset: offset,
        };
        let text = id.encode();
        assert_eq!(text.len(), if ip.is_ipv4() { 32 } else { 56 });
        assert_eq!(OffsetMessageId::decode(&text), Ok(id));
        assert_eq!(OffsetMessageId::decode(&text.to_lowercase()), Ok(id));
    }

    #[test]
    fn a_unique_key_is_its_parts_in_hexadecimal(
        ip: IpAddr, process: u16, salt: u32, time: u32, counter: u16,
    ) {
        let address = match ip {
            IpAddr::V4(ip) => format!("{:08X}", u32::from(ip)),
            IpAddr::V6(ip) => format!("{:032X}", u128::from(ip)),
        };
        let expected = format!("{address}{process:04X}{salt:08X}{time:08X}{counter:04X}");
        assert_eq!(id::UniqueKeys::new(ip, process, salt).key(time, counter), expected);
    }

    #[test]
    fn a_batch_reads_back(entries in vec((any::<i32>(), bytes(100), text()), 0..10)) {
        let mut body = Vec::new();
        for (flag, entry, properties) in &entries {
            message::encode_batch_entry(*flag, entry, properties, &mut body).unwrap();
        }
        let expected: Vec<BatchEntry<'_>> = entries
            .iter()
            .map(|(flag, body, properties)| BatchEntry { flag: *flag, body, properties })
            .collect();
        assert_eq!(message::decode_batch(&body), Ok(expected));
    }

    #[test]
    fn a_stored_message_reads_and_writes_back(stored in values::stored()) {
        let bytes = stored.bytes();
        let view = message::decode(bytes.clone(), stored.body.len()).unwrap();
        let seen = Stored {
            numbers: [view.queue_id(), view.flag(), view.reconsume_times()],
            positions: [
                view.queue_offset(), view.commit_log_offset(), view.prepared_transaction_offset(),
            ],
            times: [view.born_timestamp(), view.store_timestamp()],
            born_host: view.born_host(),
            store_host: view.store_host(),
            sys_flag: view.sys_flag(),
            body: view.body().to_vec(),
            stored_body: stored.stored_body.clone(),
            topic: view.topic().to_owned(),
            properties: view.properties().map(|(n, v)| (n.into(), v.into())).collect(),
        };
        assert_eq!(format!("{seen:?}"), format!("{stored:?}"));
        let mut written = Vec::new();
        let properties = properties::encode(view.properties());
        record(&view, &stored.stored_body, &properties).encode(&mut written).unwrap();
        assert_eq!(written, bytes);
    }

    #[test]
    fn zlib_reads_back_and_a_cut_is_noticed(
        body in bytes(500), repeat in 1..20usize, level in 0..=9u32, cut: prop::sample::Index,
    ) {
        let body = body.repeat(repeat);
        let packed = compress::zlib(&body, level);
        let flags = sys_flag::COMPRESSED | sys_flag::COMPRESSION_ZLIB;
        let unpack = |packed: &[u8], limit| compress::decompress(packed, flags, limit);
        assert_eq!(unpack(&packed, body.len()).as_ref(), Ok(&body));
        assert!(unpack(&packed[..cut.index(packed.len())], body.len()).is_err());
        if !body.is_empty() {
            assert!(unpack(&packed, body.len() - 1).is_err());
        }
    }
}

/// All parts of a message, to be written.
fn record<'a>(view: &'a MessageView, body: &'a [u8], properties: &'a str) -> Record<'a> {
    Record {
        topic: view.topic(),
        body,
        properties,
        flag: view.flag(),
        sys_flag: view.sys_flag(),
        queue_id: view.queue_id(),
        queue_offset: view.queue_offset(),
        commit_log_offset: view.commit_log_offset(),
        born_timestamp: view.born_timestamp(),
        born_host: view.born_host(),
        store_timestamp: view.store_timestamp(),
        store_host: view.store_host(),
        reconsume_times: view.reconsume_times(),
        prepared_transaction_offset: view.prepared_transaction_offset(),
    }
}

/// A route as older name servers print it: numbers as keys without quotes, null for what is empty,
/// the old name of the flags, and tables that no client reads.
fn fastjson(route: &TopicRoute, blank: &str) -> String {
    let quoted = |text: &str| serde_json::to_string(text).expect("a text");
    let or_null = |text: String, empty: bool| if empty { "null".to_owned() } else { text };
    let join = |parts: Vec<String>| parts.join(&format!("{blank},{blank}"));
    let broker = |b: &rocketmq_blocking::protocol::route::BrokerData| {
        let pairs = b.broker_addrs.iter();
        let addresses = pairs.map(|(id, a)| format!("{id}{blank}:{blank}{}", quoted(a)));
        let addresses = format!("{{{blank}{}{blank}}}", join(addresses.collect()));
        format!(
            "{{\"brokerAddrs\":{},\"brokerName\":{},\"cluster\":{},\"enableActingMaster\":{}}}",
            or_null(addresses, b.broker_addrs.is_empty()),
            quoted(&b.broker_name),
            or_null(quoted(&b.cluster), b.cluster.is_empty()),
            b.enable_acting_master,
        )
    };
    let queues = |q: &rocketmq_blocking::protocol::route::QueueData| {
        format!(
            "{{\"brokerName\":{},\"perm\":{},\"readQueueNums\":{},\"topicSynFlag\":{},\"writeQueueNums\":{}}}",
            quoted(&q.broker_name),
            q.perm,
            q.read_queue_nums,
            q.topic_sys_flag,
            q.write_queue_nums,
        )
    };
    let brokers = join(route.broker_datas.iter().map(broker).collect());
    let queues = join(route.queue_datas.iter().map(queues).collect());
    let order = route.order_topic_conf.as_deref();
    let mapping = |(broker, m): (&String, &rocketmq_blocking::protocol::route::QueueMapping)| {
        let ids = m
            .curr_id_map
            .iter()
            .map(|(id, own)| format!("{id}{blank}:{own}"));
        format!(
            "{}:{{\"bname\":{},\"currIdMap\":{{{}}},\"dirty\":false,\"epoch\":{},\"scope\":{},\"totalQueues\":{}}}",
            quoted(broker),
            quoted(&m.bname),
            join(ids.collect()),
            m.epoch,
            quoted(&m.scope),
            m.total_queues,
        )
    };
    let mappings = join(
        route
            .topic_queue_mapping_by_broker
            .iter()
            .map(mapping)
            .collect(),
    );
    let no_mappings = route.topic_queue_mapping_by_broker.is_empty();
    format!(
        "{{{blank}\"brokerDatas\":{},\"filterServerTable\":{{1:[-2, 3]}},\"orderTopicConf\":{},\"queueDatas\":{},\"topicQueueMappingByBroker\":{}}}",
        or_null(format!("[{brokers}]"), route.broker_datas.is_empty()),
        order.map_or("null".to_owned(), quoted),
        or_null(format!("[{queues}]"), route.queue_datas.is_empty()),
        or_null(format!("{{{mappings}}}"), no_mappings),
    )
}
