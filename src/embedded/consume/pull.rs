//! Pulls: messages of a queue from an offset on, now, or as soon as there is one (a long poll).
//!
//! Not implemented yet: the group, its subscription and the tags.

use std::sync::Arc;
use std::time::Duration;

use crate::embedded::broker::BrokerState;
use crate::embedded::server::{Answer, Call, bad_request};
use crate::embedded::store::StoredMessage;
use crate::protocol::code::response;
use crate::protocol::route::perm;
use crate::protocol::{Command, ExtFields, ProtocolError};

/// The most bytes that brokers return at once from memory.
const MOST_MESSAGES: i32 = 32;
const MOST_BYTES: usize = 256 << 10;

/// The pull may wait.
const SUSPEND: i32 = 1 << 1;

/// The broker id suggested for the next pull: there are no slaves.
const MASTER: &str = "0";

const PULL_NOT_FOUND: i32 = 19;
const PULL_OFFSET_MOVED: i32 = 21;

/// The parameters of a pull.
#[derive(Clone)]
struct Pull {
    topic: String,
    queue_id: i32,
    offset: i64,
    most: usize,
    /// How long it may wait for a message, if at all.
    suspend: Option<Duration>,
}

impl Pull {
    fn decode(ext: &ExtFields) -> Result<Pull, ProtocolError> {
        let missing = |name| ProtocolError::new(format!("the custom field <{name}> is null"));
        let topic = ext.get("topic").ok_or_else(|| missing("topic"))?;
        let flags: i32 = ext.parse("sysFlag")?.ok_or_else(|| missing("sysFlag"))?;
        let most: i32 = ext
            .parse("maxMsgNums")?
            .ok_or_else(|| missing("maxMsgNums"))?;
        let millis: u64 = ext.parse("suspendTimeoutMillis")?.unwrap_or(0);
        Ok(Pull {
            topic: topic.to_owned(),
            queue_id: ext.parse("queueId")?.ok_or_else(|| missing("queueId"))?,
            offset: ext
                .parse("queueOffset")?
                .ok_or_else(|| missing("queueOffset"))?,
            most: usize::try_from(most.min(MOST_MESSAGES)).unwrap_or(0),
            suspend: (flags & SUSPEND != 0).then(|| Duration::from_millis(millis)),
        })
    }
}

/// Serves a pull (11, and 361 of lite pull consumers).
pub(in crate::embedded) fn pull(broker: &Arc<BrokerState>, call: Call<'_>) -> Answer {
    let request = Arc::clone(call.request);
    let pull = match Pull::decode(&request.ext) {
        Ok(pull) => pull,
        Err(error) => return Answer::Now(bad_request(&request, &error)),
    };
    if let Some(refused) = check(broker, &request, &pull, &call) {
        return Answer::Now(refused);
    }
    let answer = read(broker, &request, &pull);
    let Some(suspend) = pull.suspend.filter(|_| answer.code == PULL_NOT_FOUND) else {
        return Answer::Now(answer);
    };
    // The next message or the timeout, whichever is first, reads again and answers. When the
    // connection ends, the responder drops both.
    let responder = call.later();
    let again = {
        let (broker, responder) = (Arc::downgrade(broker), responder.clone());
        let (request, pull) = (Arc::clone(&request), pull.clone());
        move || {
            if let Some(broker) = broker.upgrade() {
                responder.answer(read(&broker, &request, &pull));
            }
        }
    };
    responder.keep(broker.clock.after(suspend, again.clone()));
    let queue = broker.queue(&pull.topic, pull.queue_id);
    responder.keep(broker.store.watch(queue, pull.offset, again));
    Answer::Later
}

/// Why a pull is refused, if it is.
fn check(broker: &BrokerState, request: &Command, pull: &Pull, call: &Call<'_>) -> Option<Command> {
    let refuse = |code, remark| Some(Command::response_to(request, code).with_remark(remark));
    let topic = &pull.topic;
    let Some((_, config)) = broker.topics.find(topic, broker.index) else {
        let remark = format!(
            "topic[{topic}] not exist, apply first please! See \
             https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
        );
        return refuse(response::TOPIC_NOT_EXIST, remark);
    };
    if config.perm & perm::READ == 0 {
        let remark = format!("the topic[{topic}] pulling message is forbidden");
        return refuse(response::NO_PERMISSION, remark);
    }
    if !(0..config.read_queues).contains(&pull.queue_id) {
        let remark = format!(
            "queueId[{}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{}] consumer:[{}]",
            pull.queue_id, config.read_queues, call.peer.address
        );
        return refuse(response::INVALID_PARAMETER, remark);
    }
    None
}

/// The messages available now.
fn read(broker: &BrokerState, request: &Command, pull: &Pull) -> Command {
    let queue = broker.queue(&pull.topic, pull.queue_id);
    let (start, end) = broker.store.bounds(queue);
    let (code, next, status) = match pull.offset {
        0 if end == 0 => (PULL_NOT_FOUND, 0, "NO_MESSAGE_IN_QUEUE"),
        _ if end == 0 => (PULL_OFFSET_MOVED, 0, "NO_MESSAGE_IN_QUEUE"),
        offset if offset < start => (PULL_OFFSET_MOVED, start, "OFFSET_TOO_SMALL"),
        offset if offset == end => (PULL_NOT_FOUND, offset, "OFFSET_OVERFLOW_ONE"),
        offset if offset > end => (PULL_OFFSET_MOVED, end, "OFFSET_OVERFLOW_BADLY"),
        offset => (response::SUCCESS, offset, "FOUND"),
    };
    let found = match code {
        response::SUCCESS => broker.store.read(queue, next, pull.most, MOST_BYTES),
        _ => Vec::new(),
    };
    let next = found.last().map_or(next, |last| last.queue_offset() + 1);
    let encoded: Vec<&[u8]> = found.iter().map(StoredMessage::encoded).collect();
    let mut answer = Command::response_to(request, code).with_body(encoded.concat());
    answer.ext.push("suggestWhichBrokerId", MASTER);
    for (name, value) in [
        ("nextBeginOffset", next),
        ("minOffset", start),
        ("maxOffset", end),
    ] {
        answer.ext.push(name, &value.to_string());
    }
    answer.with_remark(status)
}
