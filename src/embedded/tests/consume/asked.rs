use std::collections::BTreeMap;
use std::thread;

use super::*;
use crate::ErrorKind;
use crate::embedded::Release;
use crate::message::MessageQueue;
use crate::protocol::code::response;
use crate::protocol::consumer::asked::{
    ConsumeDirectly, ConsumeResult, ConsumerOffsets, DirectResult, OffsetTable, OffsetsQuery,
    ResetOffsets, RunningInfo, RunningInfoQuery,
};
use crate::protocol::message::decode;

/// Runs the client's part, which gets the next request and says what it answers, beside the test's.
fn answering<T: Send>(
    one: &mut Consumer,
    answer: impl FnOnce(&Command) -> Command + Send,
    ask: impl FnOnce() -> T,
) -> T {
    one.notified();
    thread::scope(|scope| {
        scope.spawn(move || {
            let asked = one.client.read();
            let mut frame = Vec::new();
            let answer = answer(&asked);
            assert_eq!(answer.opaque, asked.opaque);
            answer.encode(one.client.format, &mut frame);
            std::io::Write::write_all(&mut one.client.stream, &frame).unwrap();
        });
        ask()
    })
}

#[test]
fn members_are_asked_for_their_offsets() {
    let cluster = start();
    let mut one = Consumer::join(cluster.broker("broker-a"), "one", &[("T", "*")]);
    let offsets = BTreeMap::from([(queue("T", 1), 7)]);
    let answer = ConsumerOffsets {
        message_queue_table: offsets.clone(),
    };
    let answered = answering(
        &mut one,
        |asked| {
            assert_eq!(asked.code, request::GET_CONSUMER_STATUS_FROM_CLIENT);
            let query = OffsetsQuery::decode(&asked.ext).unwrap();
            assert_eq!((&*query.group, &*query.topic), ("g", "T"));
            Command::response_to(asked, 0).with_body(answer.encode())
        },
        || cluster.group("g").ask_status("one", "T"),
    );
    assert_eq!(answered.unwrap(), offsets);
}

#[test]
fn members_are_asked_what_they_do() {
    let cluster = start();
    let mut one = Consumer::join(cluster.broker("broker-a"), "one", &[("T", "*")]);
    let info = RunningInfo {
        properties: [("PROP_CONSUMER_START_TIMESTAMP".to_owned(), "5".to_owned())].into(),
        ..RunningInfo::default()
    };
    let answered = answering(
        &mut one,
        |asked| {
            assert_eq!(asked.code, request::GET_CONSUMER_RUNNING_INFO);
            let query = RunningInfoQuery::decode(&asked.ext).unwrap();
            assert_eq!(query.client_id.as_deref(), Some("one"));
            assert!(query.jstack);
            Command::response_to(asked, 0).with_body(info.encode())
        },
        || cluster.group("g").running_info("one", true),
    );
    assert_eq!(answered.unwrap(), info);
}

#[test]
fn a_client_is_told_what_a_member_does_as_that_says_and_not_of_one_that_says_nothing() {
    let cluster = Cluster::builder().topic("T", 1).manual_clock(true).start();
    let cluster = cluster.unwrap();
    let broker = cluster.broker("broker-a");
    let mut admin = Client::connect(broker.address());
    let query = RunningInfoQuery {
        consumer_group: "g".into(),
        client_id: Some("one".into()),
        jstack: false,
    };
    let ask = Command::request(request::GET_CONSUMER_RUNNING_INFO).with_fields(&query);
    admin.write(&ask);
    assert_eq!(admin.read().code, response::SYSTEM_ERROR, "not online");
    let mut one = Consumer::join(broker, "one", &[("T", "*")]);
    let refuse = |asked: &Command| {
        assert_eq!(asked.ext, ask.ext);
        Command::response_to(asked, 1).with_remark("not here")
    };
    let answer = answering(&mut one, refuse, || {
        admin.write(&ask);
        admin.read()
    });
    assert_eq!(
        (answer.code, answer.remark.as_deref()),
        (1, Some("not here"))
    );
    admin.write(&ask);
    assert_eq!(one.client.read().code, request::GET_CONSUMER_RUNNING_INFO);
    cluster.advance(Duration::from_secs(10));
    assert_eq!(admin.read().code, response::CONSUME_MSG_TIMEOUT);
}

#[test]
fn a_member_consumes_a_message_directly() {
    let cluster = start();
    let mut one = Consumer::join(cluster.broker("broker-a"), "one", &[("T", "*")]);
    one.call(&send("T", "x"));
    let message = cluster.only_message("T");
    let result = DirectResult {
        auto_commit: true,
        consume_result: ConsumeResult::CrLater,
        order: false,
        remark: None,
        spent_time_mills: 3,
    };
    let answered = answering(
        &mut one,
        |asked| {
            assert_eq!(asked.code, request::CONSUME_MESSAGE_DIRECTLY);
            let direct = ConsumeDirectly::decode(&asked.ext).unwrap();
            assert_eq!(direct.message_id, Some(message.offset_message_id()));
            assert_eq!(direct.broker_name.as_deref(), Some("broker-a"));
            let view = decode(asked.body.clone(), 1 << 20).unwrap();
            assert_eq!((view.topic(), view.body()), ("T", &b"x"[..]));
            Command::response_to(asked, 0).with_body(result.encode())
        },
        || cluster.group("g").consume_directly("one", &message),
    );
    assert_eq!(answered.unwrap(), result);
}

#[test]
fn a_question_fails_if_nobody_is_there_or_the_client_refuses_or_goes() {
    let cluster = start();
    let broker = cluster.broker("broker-a");
    let group = cluster.group("g");
    let code = |client| group.ask_status(client, "T").unwrap_err().response_code();
    assert_eq!(code("one").unwrap().number(), response::CONSUMER_NOT_ONLINE);
    let mut one = Consumer::join(broker, "one", &[("T", "*")]);
    let refused = answering(
        &mut one,
        |asked| Command::response_to(asked, 1).with_remark("not here"),
        || group.ask_status("one", "T").unwrap_err(),
    );
    assert_eq!(refused.kind(), ErrorKind::Broker);
    assert_eq!(refused.remark(), Some("not here"));
    let gone = thread::scope(|scope| {
        scope.spawn(|| {
            one.client.read();
            drop(one);
        });
        group.ask_status("one", "T").unwrap_err()
    });
    assert_eq!(gone.kind(), ErrorKind::Disconnected);
}

#[test]
fn a_reset_is_told_with_the_next_pull_and_commits_do_not_count_until_then() {
    let cluster = start();
    let mut one = Consumer::join(cluster.broker("broker-a"), "one", &[("T", "*")]);
    for body in ["a", "b", "c"] {
        one.call(&send("T", body));
    }
    one.commit(3);
    let group = cluster.group("g");
    group.reset_offset(&queue("T", 0), 1);
    assert_eq!(group.committed(&queue("T", 0)), Some(1));
    assert_eq!(one.commit(3), 0, "swallowed");
    assert_eq!(one.committed(None), Ok(1));
    let answer = one.call(&command(&pull(3)));
    assert_eq!(answer.code, response::PULL_OFFSET_MOVED);
    assert_eq!(number(&answer, "nextBeginOffset"), 1);
    let answer = one.call(&command(&pull(1)));
    assert_eq!(bodies(&answer), ["b", "c"]);
    one.commit(2);
    assert_eq!(group.committed(&queue("T", 0)), Some(2));
}

#[test]
fn brokers_of_4_9_tell_the_members_where_to_go_on() {
    let builder = Cluster::builder().release(Release::V4_9_7).brokers(2);
    let cluster = builder.topic("T", 1).start().unwrap();
    let mut one = Consumer::join(cluster.broker("broker-a"), "one", &[("T", "*")]);
    one.notified();
    let group = cluster.group("g");
    let mut told = || {
        let came = one.client.read();
        assert_eq!(came.code, request::RESET_CONSUMER_CLIENT_OFFSET);
        assert!(came.is_oneway());
        let reset = ResetOffsets::decode(&came.ext).unwrap();
        assert_eq!((&*reset.topic, &*reset.group), ("T", "g"));
        OffsetTable::decode(&came.body).unwrap().0
    };
    group.reset_offset(&queue("T", 0), 5);
    assert_eq!(told(), [(queue("T", 0), 5)].into());
    assert_eq!(group.committed(&queue("T", 0)), None, "only told");
    let at_b = MessageQueue::new("T", "broker-b", 0);
    let both = [(queue("T", 0), 6), (at_b, 7)].into();
    assert_eq!(group.push_reset(&both), 1, "broker-b knows nobody");
    assert_eq!(told(), [(queue("T", 0), 6)].into());
}
