use super::client::{Client, PATIENCE, batch, header, heartbeat, send, v1, v2};
use crate::embedded::{Cluster, On};
use crate::protocol::code::response;
use crate::protocol::heartbeat::Unregister;
use crate::protocol::send::{SendHeader, SendResponse};
use crate::protocol::{Command, HeaderFormat, compress, properties, sys_flag};

const UNKNOWN: &str = "topic[New] not exist, apply first please!\nSee \
                       https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

fn start() -> (Cluster, Client) {
    let cluster = Cluster::builder().topic("T", 4).start().unwrap();
    let client = Client::connect(cluster.brokers()[0].address());
    (cluster, client)
}

#[test]
fn a_send_is_stored_and_answered_with_its_place() {
    for format in [HeaderFormat::Json, HeaderFormat::Binary] {
        let (cluster, mut client) = start();
        client.format = format;
        let pairs = [("UNIQ_KEY", "K1"), ("TAGS", "tag"), ("KEYS", "k1 k2")];
        let text = properties::encode(pairs.into_iter());
        let header = SendHeader {
            queue_id: 3,
            flag: 7,
            properties: &text,
            ..header("T")
        };
        for (offset, request) in [v2(&header, b"one"), v1(&header, b"two")]
            .iter()
            .enumerate()
        {
            let answer = client.call(request);
            assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
            assert_eq!(client.answered_in, format);
            let messages = cluster.messages("T");
            let stored = messages.last().unwrap();
            let expected = SendResponse {
                message_id: stored.offset_message_id().into(),
                queue_id: 3,
                queue_offset: offset as i64,
                transaction_id: Some("K1".into()),
                region: Some("DefaultRegion".into()),
                trace_on: true,
                ..SendResponse::default()
            };
            assert_eq!(SendResponse::decode(&answer.ext).unwrap(), expected);
            assert_eq!(stored.body(), [&b"one"[..], b"two"][offset]);
            assert_eq!((stored.tag(), stored.flag()), (Some("tag"), 7));
            assert_eq!(stored.keys().collect::<Vec<_>>(), ["k1", "k2"]);
            assert_eq!(stored.born_timestamp(), 1_700_000_000_000);
            let born_host = client.stream.local_addr().unwrap();
            assert_eq!(stored.born_host(), born_host);
            assert_eq!(stored.producer_group(), "group");
        }
        assert_eq!(cluster.message_count("T"), 2);
        let [one, two] = &cluster.messages("T")[..] else {
            panic!()
        };
        assert!(one.commit_log_offset() < two.commit_log_offset());
    }
}

#[test]
fn a_json_server_answers_binary_requests_in_json() {
    let cluster = Cluster::builder().answer_json_always(true).start().unwrap();
    let mut client = Client::connect(cluster.brokers()[0].address());
    client.format = HeaderFormat::Binary;
    assert_eq!(client.call(&send("T", "x")).code, response::SUCCESS);
    assert_eq!(client.answered_in, HeaderFormat::Json);
}

#[test]
fn a_batch_is_stored_message_by_message() {
    let (cluster, mut client) = start();
    client.call(&send("T", "before"));
    let request = batch(
        "T",
        &[("a", &[("UNIQ_KEY", "A")]), ("b", &[("UNIQ_KEY", "B")])],
    );
    let answer = client.call(&request);
    let answer = SendResponse::decode(&answer.ext).unwrap();
    let messages = cluster.messages("T");
    let bodies: Vec<_> = messages.iter().map(|m| m.body().to_vec()).collect();
    assert_eq!(bodies, [&b"before"[..], b"a", b"b"]);
    let ids: Vec<_> = messages[1..]
        .iter()
        .map(|m| m.offset_message_id())
        .collect();
    assert_eq!(answer.message_id, ids.join(","));
    assert_eq!(answer.queue_offset, 1);
    assert_eq!(messages[2].queue_offset(), 2);
    assert_eq!(messages[1].unique_key(), Some("A"));
    // The batch itself had no key, so the broker made one.
    assert!(answer.transaction_id.is_some());
}

#[test]
fn a_oneway_send_is_stored_and_never_answered() {
    let (cluster, mut client) = start();
    client.write(&send("T", "oneway").oneway());
    // A refusal is not answered either.
    client.write(&send("bad topic!", "x").oneway());
    let answered = client.write(&send("T", "sync"));
    assert_eq!(client.read().opaque, answered);
    assert_eq!(cluster.wait_for_messages("T", 2, PATIENCE).len(), 2);
}

#[test]
fn a_message_without_a_key_gets_one_and_a_negative_queue_is_chosen() {
    let (cluster, mut client) = start();
    let header = SendHeader {
        queue_id: -1,
        properties: "a\u{1}b",
        ..header("T")
    };
    let answer = client.call(&v2(&header, b"x"));
    let answer = SendResponse::decode(&answer.ext).unwrap();
    let stored = &cluster.messages("T")[0];
    assert_eq!(answer.transaction_id.as_deref(), stored.unique_key());
    assert_eq!(stored.unique_key().map(str::len), Some(32));
    assert_eq!(stored.property("a"), Some("b"));
    assert!((0..4).contains(&answer.queue_id));
}

#[test]
fn a_compressed_body_is_kept_and_read_decompressed() {
    let (cluster, mut client) = start();
    let body = b"hello ".repeat(1000);
    let packed = compress::zlib(&body, 5);
    let sys_flag = sys_flag::COMPRESSED | sys_flag::COMPRESSION_ZLIB;
    let header = SendHeader {
        sys_flag,
        ..header("T")
    };
    client.call(&v2(&header, &packed));
    client.call(&v2(&header, b"damaged"));
    let messages = cluster.messages("T");
    assert_eq!(messages[0].body(), body);
    assert_eq!(messages[0].raw_body(), packed);
    assert_eq!(messages[0].sys_flag(), sys_flag);
    assert!(messages[1].try_body().is_err());
}

#[test]
fn an_unknown_topic_is_made_after_the_default_topic() {
    let cluster = Cluster::builder().brokers(2).start().unwrap();
    let mut client = Client::connect(cluster.broker("broker-b").address());
    for (topic, asked, queues) in [("Four", 4, 4), ("Many", 100, 8)] {
        let header = SendHeader {
            default_topic_queue_nums: asked,
            ..header(topic)
        };
        assert_eq!(client.call(&v2(&header, b"x")).code, response::SUCCESS);
        let route = cluster.route(topic).unwrap();
        // Only the broker that got the message has it.
        assert_eq!(route.queue_datas.len(), 1);
        let data = &route.queue_datas[0];
        assert_eq!((&*data.broker_name, data.perm), ("broker-b", 6));
        assert_eq!(data.write_queue_nums, queues);
    }
}

#[track_caller]
fn check_refused(client: &mut Client, request: &Command, code: i32, remark: &str) {
    let answer = client.call(request);
    assert_eq!(answer.code, code, "{:?}", answer.remark);
    assert_eq!(answer.remark.as_deref(), Some(remark));
}

#[test]
fn refusals_have_the_texts_of_a_real_broker() {
    let cluster = Cluster::builder()
        .auto_create_topics(false)
        .topic("T", 4)
        .max_message_size(100)
        .start()
        .unwrap();
    let mut client = Client::connect(cluster.brokers()[0].address());
    let client = &mut client;
    check_refused(client, &send("New", "x"), 17, UNKNOWN);
    let queue_99 = SendHeader {
        queue_id: 99,
        ..header("T")
    };
    let remark = format!(
        "request queueId[99] is illegal, TopicConfig [topicName=T, readQueueNums=4, \
         writeQueueNums=4, perm=RW-, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false, \
         attributes={{}}] Producer: {}",
        client.stream.local_addr().unwrap()
    );
    check_refused(client, &v2(&queue_99, b"x"), 29, &remark);
    let illegal = "the message is illegal, maybe msg body or properties length not matched. msg \
                   body length limit 100B, msg properties length limit 32KB.";
    check_refused(client, &send("T", &"x".repeat(101)), 13, illegal);
    let long = format!("UNIQ_KEY\u{1}K\u{2}a\u{1}{}", "x".repeat(32_767));
    let header = SendHeader {
        properties: &long,
        ..header("T")
    };
    check_refused(client, &v2(&header, b"x"), 13, illegal);
    let forbidden = "Sending message to topic[SELF_TEST_TOPIC] is forbidden.";
    check_refused(client, &send("SELF_TEST_TOPIC", "x"), 16, forbidden);
    let bad = "The specified topic: a b, contains illegal characters, allowing only \
               ^[%|a-zA-Z0-9_-]+$";
    check_refused(client, &send("a b", "x"), 29, bad);
    assert_eq!(client.call(&send("T", "")).code, 1);
    let unknown = " request type 4711 not supported";
    check_refused(client, &Command::request(4711), 3, unknown);
    assert_eq!(client.call(&Command::request(310)).code, 1);
    let lying = Command {
        body: b"no batch".to_vec(),
        ..batch("T", &[])
    };
    assert_eq!(client.call(&lying).code, 1);
    assert!(cluster.messages("T").is_empty());
    assert!(cluster.messages("New").is_empty());
}

#[test]
fn a_broker_knows_producers_from_heartbeats() {
    let (cluster, mut client) = start();
    let broker = cluster.broker("broker-a");
    let answer = client.call(&heartbeat("me@1", &["g1", "g2"]));
    assert_eq!(answer.ext.get("IS_SUPPORT_HEART_BEAT_V2"), Some("true"));
    assert_eq!(answer.ext.get("IS_SUB_CHANGE"), Some("true"));
    client.call(&heartbeat("me@2", &["g2"]));
    let ids = |group: &str| broker.producers().get(group).cloned().unwrap_or_default();
    assert_eq!(ids("g1"), ["me@1"]);
    assert_eq!(ids("g2"), ["me@1", "me@2"]);
    let gone = Unregister {
        client_id: "me@1".into(),
        producer_group: Some("g2".into()),
        consumer_group: None,
    };
    let answer = client.call(&Command::request(35).with_fields(&gone));
    assert_eq!(answer.code, response::SUCCESS);
    assert_eq!(ids("g2"), ["me@2"]);
    broker.kill();
    assert!(broker.producers().is_empty());
    let logged = cluster.requests(&On::Heartbeat);
    assert_eq!(logged.len(), 2);
    assert_eq!(logged[0].server(), "broker-a");
}

#[test]
fn unwanted_messages_are_not_kept() {
    let builder = Cluster::builder().keep_messages(false);
    let cluster = builder.record_requests(false).start().unwrap();
    let mut client = Client::connect(cluster.brokers()[0].address());
    client.call(&send("T", "1"));
    let seen = cluster.subscribe();
    client.call(&send("T", "2"));
    assert_eq!(cluster.message_count("T"), 2);
    assert!(cluster.messages("T").is_empty());
    assert!(cluster.requests(&On::Any).is_empty());
    drop(cluster);
    let bodies: Vec<_> = seen.iter().map(|m| m.body().to_vec()).collect();
    assert_eq!(bodies, [b"2"]);
}

#[test]
fn kept_messages_can_be_forgotten() {
    let (cluster, mut client) = start();
    client.call(&send("T", "1"));
    assert_eq!(cluster.only_message("T").text(), "1");
    cluster.clear_messages();
    assert!(cluster.messages("T").is_empty());
    client.call(&send("T", "2"));
    let second = cluster.only_message("T");
    assert_eq!((&*second.text(), second.queue_offset()), ("2", 1));
    assert_eq!(cluster.message_count("T"), 2);
}

#[test]
#[should_panic = "Nothing has no message"]
fn no_message_is_not_the_only_one() {
    start().0.only_message("Nothing");
}

#[test]
#[should_panic = "T has more messages than one"]
fn one_of_two_messages_is_not_the_only_one() {
    let (cluster, mut client) = start();
    client.call(&send("T", "1"));
    client.call(&send("T", "2"));
    cluster.only_message("T");
}
