use super::*;
use crate::message::MessageQueue;
use crate::protocol::code::response;
use crate::protocol::consumer::assignment::{
    AssignmentQuery, Assignments, RequestMode, SetRequestMode,
};
use crate::protocol::consumer::member::MessageModel;

fn query(client: &str) -> AssignmentQuery {
    AssignmentQuery {
        client_id: client.into(),
        consumer_group: "g".into(),
        message_model: MessageModel::Clustering,
        strategy_name: "AVG".into(),
        topic: "T".into(),
    }
}

/// The queues as `broker:id`, and how they are asked for.
fn assigned(one: &mut Consumer, query: &AssignmentQuery) -> Option<(String, RequestMode)> {
    let ask = Command::request(request::QUERY_ASSIGNMENT).with_body(query.encode());
    let answer = one.call(&ask);
    assert_eq!(answer.code, 0);
    let all = Assignments::decode(&answer.body)
        .unwrap()
        .message_queue_assignments?;
    let mode = all.first().map_or(RequestMode::Pull, |first| first.mode);
    let text = |queue: &MessageQueue| format!("{}:{}", queue.broker(), queue.id());
    let texts: Vec<String> = all.iter().map(|one| text(&one.message_queue)).collect();
    Some((texts.join(" "), mode))
}

fn set_mode(one: &mut Consumer, topic: &str, mode: RequestMode, share: i32) -> i32 {
    let set = SetRequestMode {
        consumer_group: "g".into(),
        mode,
        pop_share_queue_num: share,
        topic: topic.into(),
    };
    let ask = Command::request(request::SET_MESSAGE_REQUEST_MODE).with_body(set.encode());
    one.call(&ask).code
}

#[test]
fn a_broker_assigns_queues_and_says_how_to_ask_for_them() {
    let cluster = Cluster::builder().brokers(2).topic("T", 2).start().unwrap();
    let broker = cluster.broker("broker-a");
    let mut one = Consumer::connect(broker, "one");
    assert_eq!(assigned(&mut one, &query("one")), None, "no members");
    one.heartbeat(data(&[("T", "*")]));
    let all = "broker-a:0 broker-a:1 broker-b:0 broker-b:1";
    let pull = |queues: &str| Some((queues.to_owned(), RequestMode::Pull));
    let pop = |queues: &str| Some((queues.to_owned(), RequestMode::Pop));
    assert_eq!(assigned(&mut one, &query("one")), pull(all));
    let _two = Consumer::join(broker, "two", &[("T", "*")]);
    assert_eq!(
        assigned(&mut one, &query("one")),
        pull("broker-a:0 broker-a:1")
    );
    assert_eq!(
        assigned(&mut one, &query("two")),
        pull("broker-b:0 broker-b:1")
    );
    let with = |change: &dyn Fn(&mut AssignmentQuery)| {
        let mut query = query("two");
        change(&mut query);
        query
    };
    let by_circle = with(&|query| query.strategy_name = "AVG_BY_CIRCLE".into());
    assert_eq!(
        assigned(&mut one, &by_circle),
        pull("broker-a:1 broker-b:1")
    );
    let unknown = with(&|query| query.strategy_name = "CONFIG".into());
    assert_eq!(assigned(&mut one, &unknown), None);
    let nowhere = with(&|query| query.topic = "U".into());
    assert_eq!(assigned(&mut one, &nowhere), None);
    let broadcast = with(&|query| query.message_model = MessageModel::Broadcasting);
    assert_eq!(assigned(&mut one, &broadcast), pull(all));

    // By POP all members ask all queues, or share with so many others.
    assert_eq!(set_mode(&mut one, "T", RequestMode::Pop, -1), 0);
    assert_eq!(
        assigned(&mut one, &query("one")),
        pop("broker-a:-1 broker-b:-1")
    );
    let _three = Consumer::join(broker, "z", &[("T", "*")]);
    assert_eq!(set_mode(&mut one, "T", RequestMode::Pop, 1), 0);
    let shared = "broker-a:0 broker-a:1 broker-b:0";
    assert_eq!(assigned(&mut one, &query("one")), pop(shared));
    assert_eq!(
        assigned(&mut one, &query("z")),
        pop("broker-b:1 broker-a:0 broker-a:1")
    );
}

#[test]
fn a_mode_that_cannot_be_set_is_refused() {
    let builder = Cluster::builder().topic("T", 1).auto_create_groups(false);
    let cluster = builder.start().unwrap();
    let mut one = Consumer::connect(cluster.broker("broker-a"), "one");
    let mut set = |topic| set_mode(&mut one, topic, RequestMode::Pop, -1);
    assert_eq!(set("%RETRY%g"), response::NO_PERMISSION);
    assert_eq!(set("U"), response::TOPIC_NOT_EXIST);
    assert_eq!(set("T"), response::SUBSCRIPTION_GROUP_NOT_EXIST);
    cluster.group("g").create();
    assert_eq!(set("T"), 0);
}
