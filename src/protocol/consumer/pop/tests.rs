use super::super::tests::{check_body, check_header};
use super::*;

fn handle(text: &str) -> Handle {
    let handle: Handle = text.parse().unwrap();
    assert_eq!(handle.to_string(), text);
    handle
}

#[test]
fn requests_and_answers_are_those_of_java() {
    let pop = PopRequest {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: -1,
        max_messages: 32,
        invisible_time: 15_000,
        poll_time: 15_000,
        born_time: 7,
        init_mode: 1,
        expression_type: Some("TAG".into()),
        expression: Some("*".into()),
        order: true,
        attempt_id: Some("a".into()),
        broker_name: Some("broker-a".into()),
    };
    let java = [
        ("consumerGroup", "g"),
        ("topic", "T"),
        ("queueId", "-1"),
        ("maxMsgNums", "32"),
        ("invisibleTime", "15000"),
        ("pollTime", "15000"),
        ("bornTime", "7"),
        ("initMode", "1"),
        ("expType", "TAG"),
        ("exp", "*"),
        ("order", "true"),
        ("attemptId", "a"),
        ("bname", "broker-a"),
    ];
    let optional = ["expType", "exp", "order", "attemptId", "bname"];
    check_header(&pop, PopRequest::decode, &java, &optional);
    let answer = PopAnswer {
        pop_time: 1,
        invisible_time: 2,
        revive_queue: 3,
        rest: 4,
        start_offsets: Some("0 0 0".into()),
        message_offsets: Some("0 0 0".into()),
        order_counts: Some("0 0 1".into()),
    };
    let java = [
        ("popTime", "1"),
        ("invisibleTime", "2"),
        ("reviveQid", "3"),
        ("restNum", "4"),
        ("startOffsetInfo", "0 0 0"),
        ("msgOffsetInfo", "0 0 0"),
        ("orderCountInfo", "0 0 1"),
    ];
    let optional = ["startOffsetInfo", "msgOffsetInfo", "orderCountInfo"];
    check_header(&answer, PopAnswer::decode, &java, &optional);

    let ack = Ack::of(handle("5 9 60000 0 1 broker-a 1 7"), "T", "g");
    let java = [
        ("consumerGroup", "g"),
        ("topic", "%RETRY%g_T"),
        ("queueId", "1"),
        ("extraInfo", "5 9 60000 0 1 broker-a 1 7"),
        ("offset", "7"),
        ("bname", "broker-a"),
    ];
    let from_handle = ["queueId", "offset", "bname"];
    check_header(&ack, Ack::decode, &java, &from_handle);
    let invisible_time = 30_000;
    let change = ChangeInvisible {
        ack,
        invisible_time,
    };
    let java: Vec<_> = [("invisibleTime", "30000")]
        .into_iter()
        .chain(java)
        .collect();
    check_header(&change, ChangeInvisible::decode, &java, &from_handle);
}

#[test]
fn questions_about_messages_to_pop_are_those_of_java() {
    let question = NoticeRequest {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: -1,
        poll_time: 15_000,
        born_time: 7,
        order: true,
        attempt_id: Some("a".into()),
        broker_name: Some("broker-a".into()),
    };
    let java = [
        ("consumerGroup", "g"),
        ("topic", "T"),
        ("queueId", "-1"),
        ("pollTime", "15000"),
        ("bornTime", "7"),
        ("order", "true"),
        ("attemptId", "a"),
        ("bname", "broker-a"),
    ];
    let optional = ["order", "attemptId", "bname"];
    check_header(&question, NoticeRequest::decode, &java, &optional);
    let notice = Notice {
        has_message: true,
        polling_full: true,
    };
    let java = [("hasMsg", "true"), ("pollingFull", "true")];
    check_header(&notice, Notice::decode, &java, &["pollingFull"]);
    let query = PollingQuery {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: -1,
        broker_name: Some("broker-a".into()),
    };
    let java = [
        ("consumerGroup", "g"),
        ("topic", "T"),
        ("queueId", "-1"),
        ("bname", "broker-a"),
    ];
    check_header(&query, PollingQuery::decode, &java, &["bname"]);
    let polling = Polling { polling: 3 };
    check_header(&polling, Polling::decode, &[("pollingNum", "3")], &[]);
}

#[test]
fn a_handle_has_eight_parts() {
    let ours = handle("5 9 60000 0 2 broker-a 1 7");
    assert_eq!((ours.mark, ours.hidden_until()), (Mark::RetryV2, 60_009));
    assert!(!ours.is_in_order());
    assert!(handle("5 9 60000 999 0 broker-a 1 7").is_in_order());
    for bad in [
        "",
        "5 9 60000 0 2 broker-a 1",
        "5 9 60000 0 2 broker-a 1 7 8",
        "5 9 60000 0 3 broker-a 1 7",
        "x 9 60000 0 2 broker-a 1 7",
        "5  60000 0 2 broker-a 1 7",
    ] {
        assert!(bad.parse::<Handle>().is_err(), "{bad}");
    }
}

#[test]
fn a_mark_names_the_real_topic_and_the_topic_its_mark() {
    for (mark, topic) in [
        (Mark::Normal, "T"),
        (Mark::RetryV1, "%RETRY%g_T"),
        (Mark::RetryV2, "%RETRY%g+T"),
    ] {
        assert_eq!(mark.real_topic("T", "g"), topic);
        assert_eq!(Mark::of_topic(topic), mark);
        assert_eq!(Mark::parse(&mark.to_string()), Ok(mark));
    }
}

fn message(topic: &str, queue_id: i32, queue_offset: i64) -> Popped<'_> {
    Popped {
        topic,
        queue_id,
        queue_offset,
        handle: None,
    }
}

fn answer(starts: &str, offsets: &str, counts: &str) -> PopAnswer {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    PopAnswer {
        pop_time: 9,
        invisible_time: 60,
        revive_queue: 4,
        rest: 0,
        start_offsets: text(starts),
        message_offsets: text(offsets),
        order_counts: text(counts),
    }
}

#[track_caller]
fn check(answer: &PopAnswer, messages: &[Popped<'_>], expected: &[&str]) {
    let handles = answer.handles("b", messages).unwrap();
    let shown = handles.iter().map(|handled| match handled {
        Ok(handled) => match handled.deliveries {
            Some(count) => format!("{} +{count}", handled.handle),
            None => handled.handle.to_string(),
        },
        Err(error) => format!("!{error}"),
    });
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

#[test]
fn handles_are_derived_from_the_answer() {
    let two = answer("0 1 0;0 0 3;1 0 8", "0 1 0,1;0 0 3,5;1 0 8", "");
    let messages = [
        message("T", 1, 1),
        message("T", 1, 0),
        message("T", 0, 5),
        message("T", 0, 3),
        message("%RETRY%g_T", 0, 8),
        Popped {
            handle: Some("1 2 3 4 1 b 0 6"),
            ..message("T", 0, 4)
        },
        message("T", 7, 4),
    ];
    check(
        &two,
        &messages,
        &[
            "0 9 60 4 0 b 1 1",
            "0 9 60 4 0 b 1 0",
            "3 9 60 4 0 b 0 5",
            "3 9 60 4 0 b 0 3",
            "8 9 60 4 1 b 0 8",
            "1 2 3 4 1 b 0 6",
            "!the answer names no message 4 of queue 7",
        ],
    );
    // Old brokers do not describe the queues: the first message of a queue is its start.
    let old = answer("", "", "");
    let messages = [message("T", 0, 3), message("T", 0, 4), message("T", 1, 9)];
    let expected = ["3 9 60 4 0 b 0 3", "3 9 60 4 0 b 0 4", "9 9 60 4 0 b 1 9"];
    check(&old, &messages, &expected);
    let counted = answer("0 0 3;0 1 0", "0 0 3,4;0 1 0", "0 qo0%4 2;0 0 1;0 1 0");
    let messages = [message("T", 0, 3), message("T", 0, 4), message("T", 1, 0)];
    let expected = [
        "3 9 60 4 0 b 0 3 +1",
        "3 9 60 4 0 b 0 4 +2",
        "0 9 60 4 0 b 1 0",
    ];
    check(&counted, &messages, &expected);
}

#[test]
fn an_answer_that_cannot_be_read_gives_no_handles() {
    let many: Vec<String> = (0..20_000).map(|i| format!("0 {i} 0")).collect();
    for starts in [
        "0 0",
        "0 0 0 0",
        "3 0 0",
        "0 x 0",
        "0 0 x",
        "0 0 1;0 0 2",
        ";",
        &many.join(";"),
    ] {
        let bad = answer(starts, "0 0 0", "");
        assert!(bad.handles("b", &[message("T", 0, 0)]).is_err());
    }
    for offsets in ["0 0 ", "0 0 1,", "0 0 1,x"] {
        let bad = answer("0 0 0", offsets, "");
        assert!(
            bad.handles("b", &[message("T", 0, 0)]).is_err(),
            "{offsets}"
        );
    }
}

#[test]
fn a_changed_handle_replaces_the_old_one() {
    let old = handle("5 9 60000 0 0 broker-a 1 7");
    let changed = ChangeAnswer {
        pop_time: 10,
        invisible_time: 30,
        revive_queue: 2,
    };
    let java = [
        ("popTime", "10"),
        ("invisibleTime", "30"),
        ("reviveQid", "2"),
    ];
    check_header(&changed, ChangeAnswer::decode, &java, &[]);
    let new = changed.handle(&old).unwrap();
    assert_eq!(new, handle("7 10 30 2 0 broker-a 1 7"));
    let acknowledged = ChangeAnswer {
        pop_time: 0,
        invisible_time: 0,
        revive_queue: 0,
    };
    assert_eq!(acknowledged.handle(&old), None);
}

#[test]
fn many_are_acknowledged_by_their_bits() {
    let handles = [
        handle("0 9 60 4 0 b 1 0"),
        handle("0 9 60 4 0 b 1 10"),
        handle("5 9 60 4 1 b 1 5"),
        handle("5 9 60 4 0 b 1 4"),
        handle("0 9 60 4 0 b 1 65536"),
    ];
    let (ack, left) = BatchAck::of("b", "T", "g", &handles);
    assert_eq!(left, [&handles[3], &handles[4]]);
    // Bits 0 and 10, lowest first, are the bytes 01 04.
    let java = r#"{"acks":[{"b":"AQQ=","c":"g","it":60,"pt":9,"q":1,"r":"0","rq":4,"so":0,"t":"T"},{"b":"AQ==","c":"g","it":60,"pt":9,"q":1,"r":"1","rq":4,"so":5,"t":"T"}],"brokerName":"b"}"#;
    check_body(&ack, ack.encode(), BatchAck::decode, java);
    let offsets: Vec<Vec<i64>> = ack.acks.iter().map(|b| b.offsets().collect()).collect();
    assert_eq!(offsets, [vec![0, 10], vec![5]]);
    assert_eq!(ack.acks[1].mark(), Mark::RetryV1);
    for bad in [("AQQ=", "!"), ("\"r\":\"0\"", "\"r\":\"9\"")] {
        let text = java.replace(bad.0, bad.1);
        assert!(BatchAck::decode(text.as_bytes()).is_err(), "{bad:?}");
    }
}
