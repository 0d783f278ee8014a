//! Captures of Java's consumers and their brokers, read and written again.

use std::collections::BTreeSet;

use rocketmq_blocking::protocol::admin::{OffsetAnswer, QueueQuery};
use rocketmq_blocking::protocol::code::{request, response};
use rocketmq_blocking::protocol::consumer::assignment::{AssignmentQuery, Assignments};
use rocketmq_blocking::protocol::consumer::back::SendBack;
use rocketmq_blocking::protocol::consumer::lock::{LockRequest, Locked};
use rocketmq_blocking::protocol::consumer::member::{GroupName, Members};
use rocketmq_blocking::protocol::consumer::offset::{CommitOffset, QueryOffset};
use rocketmq_blocking::protocol::consumer::pop::{
    Ack, ChangeAnswer, ChangeInvisible, PopAnswer, PopRequest, Popped,
};
use rocketmq_blocking::protocol::consumer::pull::{PullAnswer, PullRequest, PullStatus};
use rocketmq_blocking::protocol::consumer::subscription::Subscription;
use rocketmq_blocking::protocol::heartbeat::Heartbeat;
use rocketmq_blocking::protocol::message::{Messages, Record};
use rocketmq_blocking::protocol::{Command, ExtFields, Fields, ProtocolError, properties};
use serde_json::Value;

use crate::golden::{Differs, check, each, written};
use crate::support::captures::Frame;

const HEADERS_MAY_DIFFER: &[Differs] = &[(
    "ReqT",
    "a hook of Java's pull consumers adds it to every request",
)];

const PULLS: &[i32] = &[request::PULL_MESSAGE, request::LITE_PULL_MESSAGE];

fn read<T>(frame: &Frame, result: Result<T, ProtocolError>) -> T {
    result.unwrap_or_else(|e| panic!("{}: {e}", frame.place))
}

/// The header of each request of these codes is unchanged after decoding and encoding.
#[track_caller]
fn check_requests<T: Fields>(
    codes: &[i32],
    may_differ: &[Differs],
    decode: impl Fn(&ExtFields) -> Result<T, ProtocolError>,
) {
    check(may_differ, |frame| {
        let command = frame.is_request(codes).then(|| frame.command())?;
        Some((frame.ext(), written(&read(frame, decode(&command.ext)))))
    });
}

/// The header of each answer to these codes that has this code is unchanged after decoding and
/// encoding.
#[track_caller]
fn check_answers<T: Fields>(
    codes: &[i32],
    code: i32,
    decode: impl Fn(&ExtFields) -> Result<T, ProtocolError>,
) {
    check(&[], |frame| {
        let command = frame.answers(codes).then(|| frame.command())?;
        (command.code == code).then_some(())?;
        Some((frame.ext(), written(&read(frame, decode(&command.ext)))))
    });
}

/// The body of each request of this code, or of each answer to it, is unchanged after decoding and
/// encoding.
#[track_caller]
fn check_bodies<T>(
    code: i32,
    answers: bool,
    may_differ: &[Differs],
    decode: fn(&[u8]) -> Result<T, ProtocolError>,
    encode: fn(&T) -> Vec<u8>,
) {
    check(may_differ, |frame| {
        let is_it = match answers {
            true => frame.answers(&[code]) && !frame.body().is_empty(),
            false => frame.is_request(&[code]),
        };
        is_it.then_some(())?;
        let value = read(frame, decode(&frame.body()));
        let parse = |json: &[u8]| serde_json::from_slice::<Value>(json).ok();
        Some((parse(&frame.body())?, parse(&encode(&value))?))
    });
}

#[test]
fn every_header_of_groups_and_offsets_reads_and_writes_back() {
    let differs = HEADERS_MAY_DIFFER;
    let members = [request::GET_CONSUMER_LIST_BY_GROUP];
    check_requests(&members, &[], GroupName::decode);
    let changed = [request::NOTIFY_CONSUMER_IDS_CHANGED];
    check_requests(&changed, &[], GroupName::decode);
    let query = [request::QUERY_CONSUMER_OFFSET];
    check_requests(&query, differs, QueryOffset::decode);
    let found = response::SUCCESS;
    check_answers(&query, found, OffsetAnswer::decode);
    let commit = [request::UPDATE_CONSUMER_OFFSET];
    check_requests(&commit, differs, CommitOffset::decode);
    check_requests(&[request::CONSUMER_SEND_MSG_BACK], &[], SendBack::decode);
    let ends = [request::GET_MIN_OFFSET];
    check_requests(&ends, differs, QueueQuery::decode);
    check_answers(&ends, found, OffsetAnswer::decode);
}

#[test]
fn every_pull_reads_and_writes_back() {
    // Borrows from the fields.
    check(HEADERS_MAY_DIFFER, |frame| {
        let command = frame.is_request(PULLS).then(|| frame.command())?;
        let pull = read(frame, PullRequest::decode(&command.ext));
        Some((frame.ext(), written(&pull)))
    });
    for status in [
        PullStatus::Found,
        PullStatus::NoNewMessage,
        PullStatus::NoMatchedMessage,
    ] {
        check_answers(PULLS, status.code(), PullAnswer::decode);
    }
}

#[test]
fn every_body_of_groups_and_locks_reads_and_writes_back() {
    let code = request::GET_CONSUMER_LIST_BY_GROUP;
    check_bodies(code, true, &[], Members::decode, Members::encode);
    let code = request::LOCK_BATCH_MQ;
    check_bodies(code, false, &[], LockRequest::decode, LockRequest::encode);
    check_bodies(code, true, &[], Locked::decode, Locked::encode);
    let code = request::UNLOCK_BATCH_MQ;
    check_bodies(code, false, &[], LockRequest::decode, LockRequest::encode);
    let code = request::QUERY_ASSIGNMENT;
    let encode = AssignmentQuery::encode;
    check_bodies(code, false, &[], AssignmentQuery::decode, encode);
    check_bodies(code, true, &[], Assignments::decode, Assignments::encode);
}

/// Java's text is built anew from the expression: the same tags and hash codes.
#[test]
fn every_subscription_of_a_heartbeat_is_built_alike() {
    let mut expressions = BTreeSet::new();
    each(|frame| {
        if !frame.is_request(&[request::HEART_BEAT]) {
            return false;
        }
        let heartbeat = read(frame, Heartbeat::decode(&frame.body()));
        let groups = heartbeat.consumer_data_set.iter();
        let all: Vec<_> = groups.flat_map(|g| &g.subscription_data_set).collect();
        for theirs in &all {
            let (topic, version) = (theirs.topic.clone(), theirs.sub_version);
            let ours = match theirs.is_by_tags() {
                true => Subscription::tags(topic, &theirs.sub_string, version),
                false => Subscription::sql(topic, &theirs.sub_string, version),
            };
            assert_eq!(&ours.expect("an expression"), *theirs, "{}", frame.place);
            expressions.insert(theirs.sub_string.clone());
        }
        !all.is_empty()
    });
    assert!(expressions.len() > 1, "{expressions:?}");
}

/// Every stored message of a pull's or pop's answer is read, its checksum is right, and writing it gives the
/// same bytes.
#[test]
fn every_message_of_an_answer_reads_and_writes_back() {
    let codes = [PULLS, &[request::POP_MESSAGE]].concat();
    each(|frame| {
        if !frame.answers(&codes) || frame.body().is_empty() {
            return false;
        }
        let mut written = Vec::new();
        for message in Messages::new(frame.body()) {
            let message = message.unwrap_or_else(|e| panic!("{}: {e}", frame.place));
            let view = message.unpack(1 << 20).expect("a good checksum");
            assert_eq!(view.sys_flag() & 1, 0, "none of them is compressed");
            let properties = properties::encode(view.properties());
            // Servers of 4.9.7 leave out the last separator.
            let stripped = properties.strip_suffix('\u{2}').unwrap_or(&properties);
            let is_old = frame.place.contains("4.9.7");
            let record = Record {
                topic: view.topic(),
                body: view.body(),
                properties: if is_old { stripped } else { &properties },
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
            };
            record.encode(&mut written).expect("short parts");
        }
        assert_eq!(written, frame.body(), "{}", frame.place);
        true
    });
}

#[test]
fn every_pop_and_acknowledgement_reads_and_writes_back() {
    check_requests(&[request::POP_MESSAGE], &[], PopRequest::decode);
    check_requests(&[request::ACK_MESSAGE], &[], Ack::decode);
    let change = [request::CHANGE_MESSAGE_INVISIBLETIME];
    check_requests(&change, &[], ChangeInvisible::decode);
    check_answers(&change, response::SUCCESS, ChangeAnswer::decode);
    check_answers(
        &[request::POP_MESSAGE],
        response::SUCCESS,
        PopAnswer::decode,
    );
}

/// The handles that we make of the answers are those that Java acknowledged with.
#[test]
fn the_handles_of_popped_messages_are_javas() {
    let mut ours = BTreeSet::new();
    each(|frame| {
        let command: Command = frame.command();
        if !frame.answers(&[request::POP_MESSAGE]) || command.body.is_empty() {
            return false;
        }
        let answer = read(frame, PopAnswer::decode(&command.ext));
        let messages: Result<Vec<_>, _> = Messages::new(command.body).collect();
        let messages = messages.expect("stored messages");
        let popped: Vec<Popped<'_>> = messages
            .iter()
            .map(|message| Popped {
                topic: message.topic(),
                queue_id: message.queue_id(),
                queue_offset: message.queue_offset(),
                handle: message.property("POP_CK"),
            })
            .collect();
        let handles = read(frame, answer.handles("broker-a", &popped));
        let handles = handles.into_iter().map(|handled| read(frame, handled));
        ours.extend(handles.map(|handled| handled.handle.to_string()));
        true
    });
    let codes = [request::ACK_MESSAGE, request::CHANGE_MESSAGE_INVISIBLETIME];
    each(|frame| {
        if !frame.is_request(&codes) {
            return false;
        }
        let ext = frame.ext();
        let java = ext["extraInfo"].as_str().expect("a handle");
        assert!(
            ours.contains(java),
            "{}: {java} not in {ours:?}",
            frame.place
        );
        true
    });
}
