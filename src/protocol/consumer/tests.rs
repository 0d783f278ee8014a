use std::collections::BTreeMap;
use std::fmt::Debug;

use super::asked::*;
use super::assignment::*;
use super::back::SendBack;
use super::lock::*;
use super::member::*;
use super::offset::*;
use super::progress::*;
use super::pull::*;
use super::subscription::Subscription;
use crate::message::MessageQueue;
use crate::protocol::{ExtFields, Fields, ProtocolError};

fn fields(value: &dyn Fields) -> ExtFields {
    let mut ext = ExtFields::new();
    value.visit(&mut ext);
    ext
}

/// The value reads back, is equal to Java's, and is refused without a required field.
#[track_caller]
pub(super) fn check_header<T: Fields + PartialEq + Debug>(
    value: &T,
    decode: impl for<'a> Fn(&'a ExtFields) -> Result<T, ProtocolError>,
    java: &[(&str, &str)],
    optional: &[&str],
) {
    let ext = fields(value);
    assert_eq!(ext, java.iter().copied().collect::<ExtFields>());
    assert_eq!(&decode(&ext).unwrap(), value);
    for (name, _) in java {
        let rest: ExtFields = ext.iter().filter(|(n, _)| n != name).collect();
        assert_eq!(decode(&rest).is_ok(), optional.contains(name), "{name}");
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The value is written as Java writes it, and reads back.
#[track_caller]
pub(super) fn check_body<T: PartialEq + Debug>(
    value: &T,
    encoded: Vec<u8>,
    decode: fn(&[u8]) -> Result<T, ProtocolError>,
    java: &str,
) {
    assert_eq!(String::from_utf8(encoded).unwrap(), java);
    assert_eq!(&decode(java.as_bytes()).unwrap(), value);
    for bad in ["", "[]", "{", "null", "1"] {
        assert!(decode(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn tags_of_an_expression_are_those_of_java() {
    let tags = |expression| {
        let built = Subscription::tags("T", expression, 7).ok()?;
        let codes: Vec<i32> = built.code_set.into_iter().collect();
        let tags: Vec<String> = built.tags_set.into_iter().collect();
        Some((built.sub_string, tags.join(","), codes))
    };
    let all = || Some(("*".into(), String::new(), vec![]));
    let two = |text: &str| Some((text.into(), "a,b".into(), vec![97, 98]));
    for (expression, expected) in [
        ("", all()),
        ("*", all()),
        ("a||b", two("a||b")),
        (" a || b ||a|| ", two(" a || b ||a|| ")),
        (
            "TagA",
            Some(("TagA".into(), "TagA".into(), vec![2_598_919])),
        ),
        (
            "Aa||BB",
            Some(("Aa||BB".into(), "Aa,BB".into(), vec![2112])),
        ),
        ("||", None),
        (" || ", None),
    ] {
        assert_eq!(tags(expression), expected, "{expression:?}");
    }
    let sql = Subscription::sql("T", "a > 5", 7).unwrap();
    assert_eq!(
        (sql.is_by_tags(), sql.sub_string.as_str()),
        (false, "a > 5")
    );
    assert!(Subscription::sql("T", " ", 7).is_err());
}

#[test]
fn brokers_compare_hash_codes_and_clients_the_tags_themselves() {
    let wanted = Subscription::tags("T", "Aa", 1).unwrap();
    for (tag, by_broker, by_client) in [
        (Some("Aa"), true, true),
        (Some("BB"), true, false),
        (Some("other"), false, false),
        (None, false, false),
    ] {
        assert_eq!(wanted.matches_hash(tag), by_broker, "{tag:?}");
        assert_eq!(wanted.wants(tag), by_client, "{tag:?}");
    }
    let all = Subscription::tags("T", "*", 1).unwrap();
    assert!(all.wants(None) && all.matches_hash(None));
    let later = Subscription::tags("T", "*", 2).unwrap();
    assert!(all.is_same_filter(&later) && all != later);
    assert!(!all.is_same_filter(&wanted));
}

#[test]
fn headers_of_groups_and_offsets_are_those_of_java() {
    let group = GroupName {
        consumer_group: "g".into(),
    };
    check_header(&group, GroupName::decode, &[("consumerGroup", "g")], &[]);
    let query = QueryOffset {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: 3,
        set_zero_if_not_found: Some(false),
        broker_name: some("broker-a"),
    };
    let java = [
        ("consumerGroup", "g"),
        ("topic", "T"),
        ("queueId", "3"),
        ("setZeroIfNotFound", "false"),
        ("bname", "broker-a"),
    ];
    let optional = ["setZeroIfNotFound", "bname"];
    check_header(&query, QueryOffset::decode, &java, &optional);
    let commit = CommitOffset {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: 3,
        commit_offset: 1 << 40,
        broker_name: some("broker-a"),
    };
    let java = [
        ("consumerGroup", "g"),
        ("topic", "T"),
        ("queueId", "3"),
        ("commitOffset", "1099511627776"),
        ("bname", "broker-a"),
    ];
    check_header(&commit, CommitOffset::decode, &java, &["bname"]);
    let back = SendBack {
        offset: 6538,
        group: "g".into(),
        delay_level: -1,
        origin_message_id: some("K"),
        origin_topic: some("T"),
        unit_mode: true,
        max_reconsume_times: Some(16),
        broker_name: some("broker-a"),
    };
    let java = [
        ("offset", "6538"),
        ("group", "g"),
        ("delayLevel", "-1"),
        ("originMsgId", "K"),
        ("originTopic", "T"),
        ("unitMode", "true"),
        ("maxReconsumeTimes", "16"),
        ("bname", "broker-a"),
    ];
    let optional = [
        "originMsgId",
        "originTopic",
        "unitMode",
        "maxReconsumeTimes",
        "bname",
    ];
    check_header(&back, SendBack::decode, &java, &optional);
}

#[test]
fn a_pull_and_its_answer_are_those_of_java() {
    let pull = PullRequest {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: 1,
        queue_offset: 2,
        max_messages: 32,
        sys_flag: flag::SUSPEND | flag::SUBSCRIPTION | flag::LITE_PULL,
        commit_offset: 0,
        suspend_millis: 15_000,
        subscription: Some("*".into()),
        sub_version: 7,
        expression_type: Some("TAG".into()),
        max_bytes: Some(262_144),
        broker_name: Some("broker-a".into()),
    };
    let java = [
        ("consumerGroup", "g"),
        ("topic", "T"),
        ("queueId", "1"),
        ("queueOffset", "2"),
        ("maxMsgNums", "32"),
        ("sysFlag", "22"),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", "15000"),
        ("subscription", "*"),
        ("subVersion", "7"),
        ("expressionType", "TAG"),
        ("maxMsgBytes", "262144"),
        ("bname", "broker-a"),
    ];
    let ext = fields(&pull);
    assert_eq!(ext, java.iter().copied().collect::<ExtFields>());
    assert_eq!(PullRequest::decode(&ext).unwrap(), pull);
    let optional = ["subscription", "expressionType", "maxMsgBytes", "bname"];
    for (name, _) in java {
        let rest: ExtFields = ext.iter().filter(|(n, _)| *n != name).collect();
        let read = PullRequest::decode(&rest).is_ok();
        assert_eq!(read, optional.contains(&name), "{name}");
    }

    let answer = PullAnswer {
        suggested_broker_id: 1,
        next_offset: 5,
        min_offset: 0,
        max_offset: 9,
        offset_delta: Some(-3),
        topic_sys_flag: Some(1),
        group_sys_flag: Some(2),
        forbidden_type: Some(3),
    };
    let java = [
        ("suggestWhichBrokerId", "1"),
        ("nextBeginOffset", "5"),
        ("minOffset", "0"),
        ("maxOffset", "9"),
        ("offsetDelta", "-3"),
        ("topicSysFlag", "1"),
        ("groupSysFlag", "2"),
        ("forbiddenType", "3"),
    ];
    let optional = [
        "offsetDelta",
        "topicSysFlag",
        "groupSysFlag",
        "forbiddenType",
    ];
    check_header(&answer, PullAnswer::decode, &java, &optional);

    use PullStatus::*;
    for (code, status) in [
        (0, Some(Found)),
        (19, Some(NoNewMessage)),
        (20, Some(NoMatchedMessage)),
        (21, Some(OffsetMoved)),
        (1, None),
        (24, None),
    ] {
        assert_eq!(PullStatus::of_code(code), status);
        assert!(status.is_none_or(|status| status.code() == code));
    }
}

#[test]
fn requests_of_brokers_are_those_of_java() {
    let reset = ResetOffsets {
        topic: "T".into(),
        group: "g".into(),
        timestamp: -1,
        is_force: true,
        queue_id: Some(2),
        offset: Some(5),
    };
    let java = [
        ("topic", "T"),
        ("group", "g"),
        ("timestamp", "-1"),
        ("isForce", "true"),
        ("queueId", "2"),
        ("offset", "5"),
    ];
    check_header(&reset, ResetOffsets::decode, &java, &["queueId", "offset"]);
    let query = OffsetsQuery {
        topic: "T".into(),
        group: "g".into(),
        client_address: some("127.0.0.1:1"),
    };
    let java = [
        ("topic", "T"),
        ("group", "g"),
        ("clientAddr", "127.0.0.1:1"),
    ];
    check_header(&query, OffsetsQuery::decode, &java, &["clientAddr"]);
    let running = RunningInfoQuery {
        consumer_group: "g".into(),
        client_id: some("c"),
        jstack: false,
    };
    let java = [
        ("consumerGroup", "g"),
        ("clientId", "c"),
        ("jstackEnable", "false"),
    ];
    let optional = ["clientId", "jstackEnable"];
    check_header(&running, RunningInfoQuery::decode, &java, &optional);
    let directly = ConsumeDirectly {
        consumer_group: "g".into(),
        client_id: some("c"),
        message_id: some("K"),
        broker_name: some("broker-a"),
        topic: some("T"),
        topic_sys_flag: Some(0),
        group_sys_flag: Some(0),
    };
    let java = [
        ("consumerGroup", "g"),
        ("clientId", "c"),
        ("msgId", "K"),
        ("brokerName", "broker-a"),
        ("topic", "T"),
        ("topicSysFlag", "0"),
        ("groupSysFlag", "0"),
    ];
    let optional = [
        "clientId",
        "msgId",
        "brokerName",
        "topic",
        "topicSysFlag",
        "groupSysFlag",
    ];
    check_header(&directly, ConsumeDirectly::decode, &java, &optional);
}

fn queue(id: i32) -> MessageQueue {
    MessageQueue::new("T", "broker-a", id)
}

#[test]
fn bodies_about_queues_are_those_of_java() {
    let lock = LockRequest {
        client_id: "c".into(),
        consumer_group: "g".into(),
        mq_set: vec![queue(1), queue(0)],
        only_this_broker: false,
    };
    let java = r#"{"clientId":"c","consumerGroup":"g","mqSet":[{"brokerName":"broker-a","queueId":1,"topic":"T"},{"brokerName":"broker-a","queueId":0,"topic":"T"}],"onlyThisBroker":false}"#;
    let decode = LockRequest::decode;
    assert_eq!(String::from_utf8(lock.encode()).unwrap(), java);
    assert_eq!(decode(java.as_bytes()).unwrap(), lock);
    let locked = Locked {
        queues: vec![queue(1)],
    };
    let java = r#"{"lockOKMQSet":[{"brokerName":"broker-a","queueId":1,"topic":"T"}]}"#;
    check_body(&locked, locked.encode(), Locked::decode, java);
    assert_eq!(Locked::decode(b"{}").unwrap().queues, []);

    let query = AssignmentQuery {
        client_id: "c".into(),
        consumer_group: "g".into(),
        message_model: MessageModel::Clustering,
        strategy_name: "AVG".into(),
        topic: "T".into(),
    };
    let java = r#"{"clientId":"c","consumerGroup":"g","messageModel":"CLUSTERING","strategyName":"AVG","topic":"T"}"#;
    check_body(&query, query.encode(), AssignmentQuery::decode, java);
    let answer = Assignments {
        message_queue_assignments: Some(vec![Assignment {
            message_queue: queue(-1),
            mode: RequestMode::Pop,
        }]),
    };
    let java = r#"{"messageQueueAssignments":[{"messageQueue":{"brokerName":"broker-a","queueId":-1,"topic":"T"},"mode":"POP"}]}"#;
    check_body(&answer, answer.encode(), Assignments::decode, java);
    for none in ["{}", r#"{"messageQueueAssignments":null}"#] {
        let read = Assignments::decode(none.as_bytes()).unwrap();
        assert_eq!(read.message_queue_assignments, None);
    }
    let mode = SetRequestMode {
        consumer_group: "g".into(),
        mode: RequestMode::Pop,
        pop_share_queue_num: -1,
        topic: "T".into(),
    };
    let java = r#"{"consumerGroup":"g","mode":"POP","popShareQueueNum":-1,"topic":"T"}"#;
    check_body(&mode, mode.encode(), SetRequestMode::decode, java);
}

#[test]
fn an_offset_table_is_read_in_both_forms_with_any_spacing() {
    let table = OffsetTable(BTreeMap::from([(queue(0), 5), (queue(3), 1 << 40)]));
    let java = r#"{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:5,{"brokerName":"broker-a","queueId":3,"topic":"T"}:1099511627776}}"#;
    check_body(&table, table.encode(), OffsetTable::decode, java);
    let list = r#"{"offsetTable":[{"brokerName":"broker-a","offset":5,"queueId":0,"topic":"T"},{"brokerName":"broker-a","offset":1099511627776,"queueId":3,"topic":"T"}]}"#;
    assert_eq!(String::from_utf8(table.encode_list()).unwrap(), list);
    assert_eq!(OffsetTable::decode(list.as_bytes()), Ok(table.clone()));
    // In the format of Java's files, and with text keys.
    let pretty = "{\n\t\"offsetTable\":{{\n\t\t\"topic\":\"T\",\n\t\t\"brokerName\":\"broker-a\",\n\t\t\"queueId\":0\n\t}:5,\"{\\\"topic\\\":\\\"T\\\",\\\"brokerName\\\":\\\"broker-a\\\",\\\"queueId\\\":3}\":1099511627776\n\t}\n}";
    assert_eq!(OffsetTable::decode(pretty.as_bytes()), Ok(table));
    for bad in [
        r#"{"offsetTable":{"x":1}}"#,
        r#"{"offsetTable":{{}:1}}"#,
        r#"{"offsetTable":{{"brokerName":"a","queueId":0,"topic":"T"}:"x"}}"#,
        r#"{"offsetTable":{{"a":{"b":1}}:1}}"#,
    ] {
        assert!(OffsetTable::decode(bad.as_bytes()).is_err(), "{bad}");
    }

    let offsets = ConsumerOffsets {
        message_queue_table: BTreeMap::from([(queue(0), 5)]),
    };
    let java = r#"{"consumerTable":{},"messageQueueTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:5}}"#;
    check_body(&offsets, offsets.encode(), ConsumerOffsets::decode, java);
}

#[test]
fn a_consumers_state_is_that_of_java() {
    let info = RunningInfo {
        jstack: some("a\nb"),
        mq_pop_table: BTreeMap::from([(
            queue(-1),
            PopQueueInfo {
                droped: false,
                last_pop_timestamp: 9,
                wait_ack_count: 2,
            },
        )]),
        mq_table: BTreeMap::from([(
            queue(0),
            QueueInfo {
                cached_msg_count: 1,
                commit_offset: 4,
                locked: true,
                ..QueueInfo::default()
            },
        )]),
        properties: BTreeMap::from([("PROP_CONSUMER_START_TIMESTAMP".into(), "1".into())]),
        status_table: BTreeMap::from([(
            "T".into(),
            ConsumeStatus {
                consume_ok_tps: 1.5,
                ..ConsumeStatus::default()
            },
        )]),
        subscription_set: vec![Subscription::tags("T", "a", 7).unwrap()],
        user_consumer_info: BTreeMap::new(),
    };
    let java = concat!(
        r#"{"jstack":"a\nb","#,
        r#""mqPopTable":{{"brokerName":"broker-a","queueId":-1,"topic":"T"}:{"droped":false,"lastPopTimestamp":9,"waitAckCount":2}},"#,
        r#""mqTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:{"cachedMsgCount":1,"cachedMsgMaxOffset":0,"cachedMsgMinOffset":0,"cachedMsgSizeInMiB":0,"commitOffset":4,"droped":false,"lastConsumeTimestamp":0,"lastLockTimestamp":0,"lastPullTimestamp":0,"locked":true,"transactionMsgCount":0,"transactionMsgMaxOffset":0,"transactionMsgMinOffset":0,"tryUnlockTimes":0}},"#,
        r#""properties":{"PROP_CONSUMER_START_TIMESTAMP":"1"},"#,
        r#""statusTable":{"T":{"consumeFailedMsgs":0,"consumeFailedTPS":0.0,"consumeOKTPS":1.5,"consumeRT":0.0,"pullRT":0.0,"pullTPS":0.0}},"#,
        r#""subscriptionSet":[{"classFilterMode":false,"codeSet":[97],"expressionType":"TAG","subString":"a","subVersion":7,"tagsSet":["a"],"topic":"T"}],"#,
        r#""userConsumerInfo":{}}"#,
    );
    check_body(&info, info.encode(), RunningInfo::decode, java);
    let result = DirectResult {
        auto_commit: true,
        consume_result: ConsumeResult::CrThrowException,
        order: false,
        remark: some("no"),
        spent_time_mills: 3,
    };
    let java = r#"{"autoCommit":true,"consumeResult":"CR_THROW_EXCEPTION","order":false,"remark":"no","spentTimeMills":3}"#;
    check_body(&result, result.encode(), DirectResult::decode, java);
}

#[test]
fn bodies_about_members_are_those_of_java() {
    let members = Members {
        consumer_id_list: vec!["a@1".into(), "b@2".into()],
    };
    let java = r#"{"consumerIdList":["a@1","b@2"]}"#;
    check_body(&members, members.encode(), Members::decode, java);
    let many = format!(r#"{{"consumerIdList":[{}"x"]}}"#, r#""x","#.repeat(20_000));
    assert!(Members::decode(many.as_bytes()).is_err());

    let check = FilterCheck {
        client_id: "c".into(),
        group: "g".into(),
        namespace: None,
        subscription_data: Subscription::sql("T", "a > 5", 7).unwrap(),
    };
    let java = r#"{"clientId":"c","group":"g","subscriptionData":{"classFilterMode":false,"codeSet":[],"expressionType":"SQL92","subString":"a > 5","subVersion":7,"tagsSet":[],"topic":"T"}}"#;
    check_body(&check, check.encode(), FilterCheck::decode, java);

    let connections = Connections {
        connection_set: vec![MemberConnection {
            client_addr: "127.0.0.1:5".into(),
            client_id: "c".into(),
            language: "RUST".into(),
            version: 493,
        }],
        consume_from_where: ConsumeFromWhere::ConsumeFromLastOffset,
        consume_type: ConsumeType::ConsumePassively,
        message_model: MessageModel::Clustering,
        subscription_table: BTreeMap::from([(
            "T".into(),
            Subscription::tags("T", "*", 7).unwrap(),
        )]),
    };
    let java = r#"{"connectionSet":[{"clientAddr":"127.0.0.1:5","clientId":"c","language":"RUST","version":493}],"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","subscriptionTable":{"T":{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":7,"tagsSet":[],"topic":"T"}}}"#;
    check_body(
        &connections,
        connections.encode(),
        Connections::decode,
        java,
    );
    assert!(connections.connection_set[0].address().is_some());
    let old = java.replace(
        "CONSUME_FROM_LAST_OFFSET",
        "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
    );
    assert_eq!(Connections::decode(old.as_bytes()), Ok(connections));
}

#[test]
fn the_progress_and_the_topics_of_a_group_are_those_of_java() {
    let query = ConsumeStatsQuery {
        consumer_group: "g".into(),
        topic: some("T"),
    };
    let java = [("consumerGroup", "g"), ("topic", "T")];
    check_header(&query, ConsumeStatsQuery::decode, &java, &["topic"]);
    let topics = GroupTopicsQuery { group: "g".into() };
    check_header(&topics, GroupTopicsQuery::decode, &[("group", "g")], &[]);

    let stats = ConsumeStats {
        consume_tps: 1.5,
        offset_table: BTreeMap::from([(
            queue(0),
            QueueStats {
                broker_offset: 9,
                consumer_offset: 5,
                last_timestamp: 1_763_700_000_000,
                pull_offset: 7,
            },
        )]),
    };
    let java = r#"{"consumeTps":1.5,"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:{"brokerOffset":9,"consumerOffset":5,"lastTimestamp":1763700000000,"pullOffset":7}}}"#;
    check_body(&stats, stats.encode(), ConsumeStats::decode, java);
    // Of a broker 4.x.
    let old = java.replace(r#","pullOffset":7"#, "");
    let table = ConsumeStats::decode(old.as_bytes()).unwrap().offset_table;
    assert_eq!(table[&queue(0)].pull_offset, 0);

    let list = TopicList {
        broker_addr: "127.0.0.1:10911".into(),
        topic_list: vec!["%RETRY%g".into(), "T".into()],
    };
    let java = r#"{"brokerAddr":"127.0.0.1:10911","topicList":["%RETRY%g","T"]}"#;
    check_body(&list, list.encode(), TopicList::decode, java);
}
