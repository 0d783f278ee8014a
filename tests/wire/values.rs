//! Random values of every wire type.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use rocketmq_blocking::MessageQueue;
use rocketmq_blocking::protocol::consumer::member::{
    ConsumeFromWhere, ConsumeType, ConsumerData, MessageModel,
};
use rocketmq_blocking::protocol::consumer::subscription::Subscription;
use rocketmq_blocking::protocol::heartbeat::{Heartbeat, Unregister};
use rocketmq_blocking::protocol::route::{BrokerData, QueueData, QueueMapping, TopicRoute};
use rocketmq_blocking::protocol::send::{SendRequest, SendResponse};
use rocketmq_blocking::protocol::{Command, ExtFields, Language, compress, sys_flag};

/// A failure prints its case, which belongs into a test of its own: nothing is kept in files.
/// `PROPTEST_CASES` sets another number of cases.
pub fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Any text: quotes, control characters and everything beyond ASCII included.
pub fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..12).prop_map(String::from_iter)
}

/// A text that every form can carry: the binary one has no empty texts.
pub fn name() -> impl Strategy<Value = String> {
    vec(any::<char>(), 1..12).prop_map(String::from_iter)
}

pub fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

/// A name or value of a property.
pub fn property() -> impl Strategy<Value = String> {
    let separator = |c: char| c == '\u{1}' || c == '\u{2}';
    name().prop_map(move |t| t.replace(separator, "-"))
}

pub fn properties() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(property(), property(), 0..8)
}

pub fn command() -> impl Strategy<Value = Command> {
    // Codes and versions on both sides of what 16 bits hold.
    let number = || prop_oneof![any::<i16>().prop_map(i32::from), any::<i32>()];
    let head = (number(), any::<i32>(), any::<i32>(), any::<u8>(), number());
    let ext = btree_map(text(), text(), 0..20);
    (head, option::of(text()), ext, bytes(200)).prop_map(|(head, remark, ext, body)| {
        let (code, flag, opaque, language, version) = head;
        let mut command = Command::request(code).with_body(body);
        command.flag = flag;
        command.opaque = opaque;
        command.language = Language::from_number(language);
        command.version = version;
        command.remark = remark;
        command.ext = ext.iter().map(|(n, v)| (&**n, &**v)).collect::<ExtFields>();
        command
    })
}

pub fn send_request() -> impl Strategy<Value = SendRequest> {
    let texts = (name(), name(), name(), text(), option::of(name()));
    let numbers = (any::<[i32; 5]>(), any::<i64>(), any::<Option<i32>>());
    (texts, numbers, any::<[bool; 2]>()).prop_map(|(texts, numbers, flags)| {
        let (producer_group, topic, default_topic, properties, broker_name) = texts;
        let (numbers, born_timestamp, max_reconsume_times) = numbers;
        SendRequest {
            producer_group,
            topic,
            default_topic,
            default_topic_queue_nums: numbers[0],
            queue_id: numbers[1],
            sys_flag: numbers[2],
            born_timestamp,
            flag: numbers[3],
            properties,
            reconsume_times: numbers[4],
            unit_mode: flags[0],
            max_reconsume_times,
            batch: flags[1],
            broker_name,
        }
    })
}

pub fn send_response() -> impl Strategy<Value = SendResponse<'static>> {
    let optional = || option::of(name().prop_map(Cow::Owned));
    let texts = (text(), optional(), optional(), optional(), optional());
    (texts, any::<i32>(), any::<i64>(), any::<bool>()).prop_map(|(texts, id, offset, trace_on)| {
        let (message_id, transaction_id, batch_unique_key, recall_handle, region) = texts;
        SendResponse {
            message_id: message_id.into(),
            queue_id: id,
            queue_offset: offset,
            transaction_id,
            batch_unique_key,
            recall_handle,
            region,
            trace_on,
        }
    })
}

pub fn route() -> impl Strategy<Value = TopicRoute> {
    let queues = (text(), any::<[i32; 4]>()).prop_map(|(broker_name, numbers)| QueueData {
        broker_name,
        read_queue_nums: numbers[0],
        write_queue_nums: numbers[1],
        perm: numbers[2],
        topic_sys_flag: numbers[3],
    });
    let ids = prop_oneof![0..10i64, any::<i64>()];
    let addresses = btree_map(ids, text(), 0..4);
    let brokers = (text(), text(), addresses, any::<bool>()).prop_map(
        |(cluster, broker_name, broker_addrs, enable_acting_master)| BrokerData {
            cluster,
            broker_name,
            broker_addrs,
            enable_acting_master,
        },
    );
    let numbers = btree_map(any::<i32>(), any::<i32>(), 0..4);
    let mapping = (text(), text(), any::<(i32, i64)>(), numbers).prop_map(
        |(scope, bname, (total_queues, epoch), curr_id_map)| QueueMapping {
            scope,
            total_queues,
            bname,
            epoch,
            curr_id_map,
        },
    );
    let mappings = btree_map(text(), mapping, 0..3);
    let parts = (
        option::of(text()),
        vec(queues, 0..4),
        vec(brokers, 0..4),
        mappings,
    );
    parts.prop_map(
        |(order_topic_conf, queue_datas, broker_datas, mappings)| TopicRoute {
            order_topic_conf,
            queue_datas,
            broker_datas,
            topic_queue_mapping_by_broker: mappings,
        },
    )
}

pub fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    let rest = (any::<i32>(), any::<bool>(), vec(consumer_data(), 0..3));
    (text(), vec(text(), 0..4), rest).prop_map(|(id, groups, rest)| {
        let mut heartbeat = Heartbeat::of_producers(&id, groups.iter().map(String::as_str));
        (
            heartbeat.heartbeat_fingerprint,
            heartbeat.without_sub,
            heartbeat.consumer_data_set,
        ) = rest;
        heartbeat
    })
}

pub fn consumer_data() -> impl Strategy<Value = ConsumerData> {
    let kinds = (
        select(
            &[
                ConsumeType::ConsumeActively,
                ConsumeType::ConsumePassively,
                ConsumeType::ConsumePop,
            ][..],
        ),
        select(&[MessageModel::Clustering, MessageModel::Broadcasting][..]),
        select(
            &[
                ConsumeFromWhere::ConsumeFromFirstOffset,
                ConsumeFromWhere::ConsumeFromLastOffset,
                ConsumeFromWhere::ConsumeFromTimestamp,
            ][..],
        ),
    );
    (text(), kinds, vec(subscription(), 0..3), any::<bool>()).prop_map(
        |(group_name, (consume_type, message_model, consume_from_where), data, unit_mode)| {
            ConsumerData {
                consume_from_where,
                consume_type,
                group_name,
                message_model,
                subscription_data_set: data,
                unit_mode,
            }
        },
    )
}

pub fn subscription() -> impl Strategy<Value = Subscription> {
    let tags = btree_set(text(), 0..4);
    let codes = btree_set(any::<i32>(), 0..4);
    let rest = (any::<bool>(), any::<i64>(), select(&["TAG", "SQL92"][..]));
    (text(), text(), tags, codes, rest).prop_map(
        |(topic, sub_string, tags_set, code_set, (class_filter_mode, sub_version, kind))| {
            Subscription {
                class_filter_mode,
                code_set,
                expression_type: kind.to_owned(),
                sub_string,
                sub_version,
                tags_set,
                topic,
            }
        },
    )
}

pub fn queue() -> impl Strategy<Value = MessageQueue> {
    (text(), text(), any::<i32>())
        .prop_map(|(topic, broker, id)| MessageQueue::new(topic, broker, id))
}

pub fn unregister() -> impl Strategy<Value = Unregister> {
    (name(), option::of(name()), option::of(name())).prop_map(
        |(client_id, producer_group, consumer_group)| Unregister {
            client_id,
            producer_group,
            consumer_group,
        },
    )
}

/// The parts of a stored message, and a writer of its form that is not the library's.
#[derive(Debug, Clone)]
pub struct Stored {
    pub numbers: [i32; 3],
    pub positions: [i64; 3],
    pub times: [i64; 2],
    pub born_host: SocketAddr,
    pub store_host: SocketAddr,
    pub sys_flag: i32,
    /// The consumer's message, and its stored form.
    pub body: Vec<u8>,
    pub stored_body: Vec<u8>,
    pub topic: String,
    pub properties: BTreeMap<String, String>,
}

pub fn stored() -> impl Strategy<Value = Stored> {
    let numbers = (any::<[i32; 3]>(), any::<[i64; 3]>(), any::<[i64; 2]>());
    let hosts = (any::<(IpAddr, u16)>(), any::<(IpAddr, u16)>());
    // Around 127 the form of the length changes.
    let topic_len = prop_oneof![0..20usize, 120..135usize, 250..260usize];
    let flags = (any::<i32>(), option::of(any::<bool>()));
    let topic = topic_len.prop_map(|n| "t".repeat(n));
    (numbers, hosts, flags, topic, bytes(300), properties()).prop_map(
        |(numbers, (born, store), (bits, compressed), topic, body, properties)| {
            let ours = sys_flag::COMPRESSED | sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6;
            let mut flags = bits & !ours;
            let mut stored_body = body.clone();
            if let Some(named) = compressed {
                flags &= !sys_flag::COMPRESSION_MASK;
                flags |= sys_flag::COMPRESSED;
                flags |= if named { sys_flag::COMPRESSION_ZLIB } else { 0 };
                stored_body = compress::zlib(&body, 5);
            }
            flags |= if born.0.is_ipv6() {
                sys_flag::BORN_HOST_V6
            } else {
                0
            };
            flags |= if store.0.is_ipv6() {
                sys_flag::STORE_HOST_V6
            } else {
                0
            };
            Stored {
                numbers: numbers.0,
                positions: numbers.1,
                times: numbers.2,
                born_host: born.into(),
                store_host: store.into(),
                sys_flag: flags,
                body,
                stored_body,
                topic,
                properties,
            }
        },
    )
}

impl Stored {
    pub fn bytes(&self) -> Vec<u8> {
        let long = self.topic.len() > 127;
        let magic = if long { 0xDAA3_20ABu32 } else { 0xDAA3_20A7 };
        let mut out = Vec::new();
        out.extend(magic.to_be_bytes());
        out.extend((crc32(&self.stored_body) & 0x7FFF_FFFF).to_be_bytes());
        out.extend(self.numbers[0].to_be_bytes());
        out.extend(self.numbers[1].to_be_bytes());
        out.extend(self.positions[0].to_be_bytes());
        out.extend(self.positions[1].to_be_bytes());
        out.extend(self.sys_flag.to_be_bytes());
        out.extend(self.times[0].to_be_bytes());
        put_host(self.born_host, &mut out);
        out.extend(self.times[1].to_be_bytes());
        put_host(self.store_host, &mut out);
        out.extend(self.numbers[2].to_be_bytes());
        out.extend(self.positions[2].to_be_bytes());
        out.extend((self.stored_body.len() as u32).to_be_bytes());
        out.extend(&self.stored_body);
        if long {
            out.push((self.topic.len() >> 8) as u8);
        }
        out.push((self.topic.len() & 255) as u8);
        out.extend(self.topic.bytes());
        let pairs = self.properties.iter();
        let text: String = pairs.map(|(n, v)| format!("{n}\u{1}{v}\u{2}")).collect();
        out.extend((text.len() as u16).to_be_bytes());
        out.extend(text.bytes());
        let total = (out.len() as u32 + 4).to_be_bytes();
        [&total[..], &out].concat()
    }
}

fn put_host(host: SocketAddr, out: &mut Vec<u8>) {
    match host.ip() {
        IpAddr::V4(ip) => out.extend(ip.octets()),
        IpAddr::V6(ip) => out.extend(ip.octets()),
    }
    out.extend(u32::from(host.port()).to_be_bytes());
}

/// The checksum by its definition, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
    let byte = |crc: u32, b: &u8| (0..8).fold(crc ^ u32::from(*b), |crc, _| step(crc));
    !bytes.iter().fold(!0, byte)
}
