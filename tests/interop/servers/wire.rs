//! Requests of an administrator, which the crate does not send: raw, over a connection each.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rocketmq_blocking::protocol::{Command, HeaderFormat, frame};
use serde::Deserialize;

use crate::servers::PATIENCE;

const UPDATE_AND_CREATE_TOPIC: i32 = 17;
const GET_ALL_TOPIC_CONFIG: i32 = 21;
const GET_MAX_OFFSET: i32 = 30;
const GET_PRODUCER_CONNECTION_LIST: i32 = 204;
const DELETE_TOPIC_IN_BROKER: i32 = 215;

/// A client of a producer group, as the broker knows it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    pub client_id: String,
    pub language: String,
    pub version: i32,
}

/// The members of a producer group; none if the broker does not know the group.
pub fn producers(broker: &str, group: &str) -> Vec<Connection> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        connection_set: Vec<Connection>,
    }
    let answer = call(
        broker,
        GET_PRODUCER_CONNECTION_LIST,
        &[("producerGroup", group)],
    );
    if answer.code != 0 {
        let remark = answer.remark.as_deref().unwrap_or_default();
        assert!(remark.contains("not exist"), "{}: {remark}", answer.code);
        return Vec::new();
    }
    let body: Body = serde_json::from_slice(&answer.body).unwrap();
    body.connection_set
}

/// Makes a topic on a broker, with this permission (2: write, 4: read), or changes it.
pub fn create_topic(broker: &str, topic: &str, queues: u32, perm: u32) {
    create_topic_with(broker, topic, queues, perm, "");
}

/// The same with attributes (of 5.x): `+message.type=NORMAL`, for example.
pub fn create_topic_with(broker: &str, topic: &str, queues: u32, perm: u32, attributes: &str) {
    let (queues, perm) = (queues.to_string(), perm.to_string());
    let fields = [
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", &queues),
        ("writeQueueNums", &queues),
        ("perm", &perm),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
        ("attributes", attributes),
    ];
    // 4.x does not know the last one.
    let len = fields.len() - usize::from(attributes.is_empty());
    let answer = call(broker, UPDATE_AND_CREATE_TOPIC, &fields[..len]);
    assert_eq!(answer.code, 0, "{:?}", answer.remark);
}

/// Removes a topic from a broker. The name server goes on to name it until the broker's next
/// registration.
pub fn delete_topic(broker: &str, topic: &str) {
    let answer = call(broker, DELETE_TOPIC_IN_BROKER, &[("topic", topic)]);
    assert_eq!(answer.code, 0, "{:?}", answer.remark);
}

/// Whether a broker, which may be a slave, knows a topic.
pub fn knows_topic(broker: &str, topic: &str) -> bool {
    let answer = call(broker, GET_ALL_TOPIC_CONFIG, &[]);
    let name = format!("\"topicName\":\"{topic}\"");
    String::from_utf8_lossy(&answer.body).contains(&name)
}

/// The end of a queue at one broker, which may be a slave; none if it does not know the queue.
pub fn max_offset(broker: &str, topic: &str, queue: i32) -> Option<i64> {
    let queue = queue.to_string();
    let answer = call(
        broker,
        GET_MAX_OFFSET,
        &[("topic", topic), ("queueId", &queue)],
    );
    let offset = answer.ext.get("offset").filter(|_| answer.code == 0)?;
    Some(offset.parse().expect("a number"))
}

/// The code of whatever the broker answers; none if it does not.
pub fn ping(broker: &str) -> Option<i32> {
    let fields = [("producerGroup", "nobody")];
    let answer = try_call(broker, GET_PRODUCER_CONNECTION_LIST, &fields);
    answer.ok().map(|answer| answer.code)
}

fn call(address: &str, code: i32, fields: &[(&str, &str)]) -> Command {
    try_call(address, code, fields).unwrap_or_else(|e| panic!("{address}: {e}"))
}

fn try_call(address: &str, code: i32, fields: &[(&str, &str)]) -> io::Result<Command> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = Command::request(code);
    request.ext = fields.iter().copied().collect();
    let mut bytes = Vec::new();
    request.encode(HeaderFormat::Json, &mut bytes);
    stream.write_all(&bytes)?;
    let mut input = Vec::new();
    loop {
        if let Some(raw) = frame::split(&input).unwrap() {
            return Ok(Command::decode(raw).unwrap());
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => input.extend_from_slice(&chunk[..len]),
        }
    }
}
