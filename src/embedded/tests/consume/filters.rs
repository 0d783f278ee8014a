use std::time::Duration;

use super::*;
use crate::embedded::{On, Release};
use crate::message::string_hash;
use crate::protocol::code::response;
use crate::protocol::consumer::member::{FilterCheck, MessageModel};
use crate::protocol::consumer::pull::PullAnswer;

fn tagged(tag: &str, body: &str) -> Command {
    send_with("T", &format!("TAGS\u{1}{tag}\u{2}"), body)
}

fn by_sql(pull: PullRequest<'static>) -> PullRequest<'static> {
    PullRequest {
        expression_type: Some("SQL92".into()),
        ..pull
    }
}

#[test]
fn the_heartbeat_says_which_tags_a_pull_gets() {
    let cluster = start();
    let broker = cluster.broker("broker-a");
    let mut one = Consumer::join(broker, "one", &[("T", "Aa")]);
    // "BB" has the same hash code as "Aa": to a broker they are the same.
    assert_eq!(string_hash("Aa"), string_hash("BB"));
    for tag in ["x", "Aa", "x", "BB", "x"] {
        one.call(&tagged(tag, tag));
    }
    one.call(&send("T", "none"));
    let mut check = |offset, code, next: i64, found: &[&str]| {
        let answer = one.call(&command(&pull(offset)));
        assert_eq!(
            (answer.code, bodies(&answer)),
            (code, found.iter().map(|f| f.to_string()).collect())
        );
        assert_eq!(PullAnswer::decode(&answer.ext).unwrap().next_offset, next);
    };
    check(0, 0, 6, &["Aa", "BB"]);
    // Everything that is left is filtered out: the answer comes at once and says where to go on.
    check(4, response::PULL_RETRY_IMMEDIATELY, 6, &[]);
    check(6, response::PULL_NOT_FOUND, 6, &[]);
    let other = one.call(&command(&subscribing(pull(0), "y || x")));
    assert_eq!(bodies(&other), ["x", "x", "x"], "the request has its own");
}

#[test]
fn at_most_800_messages_are_looked_at_for_one_pull() {
    let cluster = start();
    let mut one = Consumer::join(cluster.broker("broker-a"), "one", &[("T", "a")]);
    for _ in 0..801 {
        one.call(&tagged("x", "x"));
    }
    let answer = one.call(&command(&pull(0)));
    assert_eq!(answer.code, response::PULL_RETRY_IMMEDIATELY);
    assert_eq!(number(&answer, "nextBeginOffset"), 800);
}

#[test]
fn a_long_poll_is_woken_by_what_it_wants_and_later_told_of_what_it_does_not() {
    let cluster = start();
    let mut one = Consumer::join(cluster.broker("broker-a"), "one", &[("T", "a")]);
    let mut sender = Consumer::connect(cluster.broker("broker-a"), "two");
    let poll = |offset| command(&long_poll(offset, Duration::from_secs(15)));
    one.notified();
    let group = cluster.group("g");
    let opaque = one.client.write(&poll(0));
    assert!(cluster.wait_until(PATIENCE, || group.parked() == 1));
    sender.call(&tagged("x", "x"));
    assert_eq!(group.parked(), 1);
    sender.call(&tagged("a", "a"));
    let answer = one.client.read();
    assert_eq!((answer.opaque, answer.code), (opaque, 0));
    assert_eq!(bodies(&answer), ["a"]);
    assert!(cluster.wait_until(PATIENCE, || group.parked() == 0));
    // Brokers look at held requests each 5 s.
    one.client.write(&poll(2));
    assert!(cluster.wait_until(PATIENCE, || group.parked() == 1));
    sender.call(&tagged("x", "x"));
    cluster.advance(Duration::from_millis(4999));
    assert_eq!(group.parked(), 1);
    cluster.advance(Duration::from_millis(1));
    let answer = one.client.read();
    assert_eq!(answer.code, response::PULL_RETRY_IMMEDIATELY);
    assert_eq!(number(&answer, "nextBeginOffset"), 3);
}

#[test]
fn a_pull_without_a_known_subscription_is_refused() {
    let cluster = start();
    let broker = cluster.broker("broker-a");
    let mut one = Consumer::connect(broker, "one");
    let mut code = |pull: &PullRequest<'_>| {
        let answer = one.call(&command(pull));
        (
            answer.code,
            answer.ext.get("forbiddenType").map(str::to_owned),
        )
    };
    let forbidden = |kind: &str| (response::NO_PERMISSION, Some(kind.to_owned()));
    assert_eq!(
        code(&pull(0)).0,
        response::SUBSCRIPTION_NOT_EXIST,
        "no group"
    );
    assert_eq!(code(&subscribing(pull(0), "*")).0, response::PULL_NOT_FOUND);
    assert_eq!(
        code(&subscribing(pull(0), "||")).0,
        response::SUBSCRIPTION_PARSE_FAILED
    );
    let mut two = Consumer::join(broker, "two", &[("U", "*")]);
    assert_eq!(
        code(&pull(0)).0,
        response::SUBSCRIPTION_NOT_EXIST,
        "no topic"
    );
    two.heartbeat(data(&[("T", "*")]));
    assert_eq!(code(&pull(0)).0, response::PULL_NOT_FOUND);
    let newer = PullRequest {
        sub_version: 2,
        ..pull(0)
    };
    assert_eq!(code(&newer).0, response::SUBSCRIPTION_NOT_LATEST);
    let group = cluster.group("g");
    group.set_consuming(false);
    assert_eq!(code(&pull(0)), forbidden("2"));
    group.set_consuming(true);
    group.set_broadcasting(false);
    two.heartbeat(ConsumerData {
        message_model: MessageModel::Broadcasting,
        ..data(&[("T", "*")])
    });
    assert_eq!(code(&pull(0)), forbidden("4"));
    cluster.set_permission("T", "broker-a", 2);
    assert_eq!(code(&pull(0)), forbidden("3"));

    let strict = Cluster::builder().topic("T", 1).auto_create_groups(false);
    let strict = strict.lite_pull(false).start().unwrap();
    let mut one = Consumer::connect(strict.broker("broker-a"), "one");
    let refused = one.call(&command(&subscribing(pull(0), "*")));
    assert_eq!(refused.code, response::SUBSCRIPTION_GROUP_NOT_EXIST);
    let lite = Command::request(request::LITE_PULL_MESSAGE);
    let refused = one.call(&lite.with_fields(&subscribing(pull(0), "*")));
    assert_eq!(refused.code, response::NO_PERMISSION);
    assert_eq!(refused.ext.get("forbiddenType"), Some("1"));
}

#[test]
fn a_broker_of_4_9_knows_less() {
    let cluster = Cluster::builder().release(Release::V4_9_7).topic("T", 1);
    let cluster = cluster.start().unwrap();
    let mut one = Consumer::connect(cluster.broker("broker-a"), "one");
    let answer = one.heartbeat(data(&[("T", "*")]));
    assert_eq!(answer.ext.get("IS_SUPPORT_HEART_BEAT_V2"), None);
    assert_eq!(answer.version, 407);
    for code in [
        request::LITE_PULL_MESSAGE,
        request::QUERY_ASSIGNMENT,
        request::POP_MESSAGE,
    ] {
        let answer = one.call(&Command::request(code));
        assert_eq!(answer.code, response::REQUEST_CODE_NOT_SUPPORTED);
    }
    let elsewhere = PullRequest {
        queue_id: 1,
        ..pull(0)
    };
    let refused = one.call(&command(&elsewhere));
    assert_eq!(refused.code, response::SYSTEM_ERROR);
    let answer = one.call(&command(&pull(0)));
    assert_eq!(answer.ext.get("topicSysFlag"), None);
}

#[test]
fn a_pull_commits_if_it_says_so() {
    let cluster = start();
    let mut one = Consumer::join(cluster.broker("broker-a"), "one", &[("T", "*")]);
    let commits = PullRequest {
        sys_flag: flag::COMMIT_OFFSET,
        commit_offset: 3,
        ..pull(0)
    };
    one.call(&command(&PullRequest {
        sys_flag: 0,
        ..commits.clone()
    }));
    assert_eq!(cluster.group("g").committed(&queue("T", 0)), None);
    one.call(&command(&commits));
    assert_eq!(cluster.group("g").committed(&queue("T", 0)), Some(3));
}

#[test]
fn a_test_says_which_broker_pulls_are_told_to_ask_next() {
    let cluster = start();
    let broker = cluster.broker("broker-a");
    let mut one = Consumer::join(broker, "one", &[("T", "*")]);
    let mut suggested = || number(&one.call(&command(&pull(0))), "suggestWhichBrokerId");
    assert_eq!(suggested(), 0);
    broker.suggest_broker(1);
    assert_eq!(suggested(), 1);
    assert_eq!(cluster.requests(&On::Pull).len(), 2);
}

#[test]
fn conditions_on_properties_are_served_if_the_broker_is_set_so() {
    let builder = Cluster::builder().topic("T", 1).sql_filters(true);
    let cluster = builder.start().unwrap();
    let mut one = Consumer::connect(cluster.broker("broker-a"), "one");
    for amount in ["5", "500", "x"] {
        one.call(&send_with(
            "T",
            &format!("amount\u{1}{amount}\u{2}"),
            amount,
        ));
    }
    let mut pulled = |condition: &'static str| {
        let answer = one.call(&command(&by_sql(subscribing(pull(0), condition))));
        match answer.code {
            0 => Ok(bodies(&answer)),
            code => Err(code),
        }
    };
    assert_eq!(pulled("amount > 100"), Ok(vec!["500".to_owned()]));
    assert_eq!(pulled("amount IS NOT NULL").unwrap().len(), 3);
    assert_eq!(pulled("amount >"), Err(response::SUBSCRIPTION_PARSE_FAILED));

    // By heartbeat.
    let mut subscribed = |condition: &str| {
        one.heartbeat(ConsumerData {
            subscription_data_set: vec![Subscription::sql("T", condition, 1).unwrap()],
            ..ConsumerData::new("g")
        });
        let answer = one.call(&command(&pull(0)));
        one.heartbeat(ConsumerData::new("g"));
        match answer.code {
            0 => Ok(bodies(&answer)),
            code => Err(code),
        }
    };
    assert_eq!(subscribed("amount < 100"), Ok(vec!["5".to_owned()]));
    assert_eq!(subscribed("amount <"), Err(response::FILTER_DATA_NOT_EXIST));
}

#[test]
fn a_broker_says_whether_it_can_evaluate_a_filter() {
    #[track_caller]
    fn check(cluster: &Cluster, subscription: Subscription, code: i32) {
        let mut one = Consumer::connect(cluster.broker("broker-a"), "one");
        let check = FilterCheck {
            client_id: "one".into(),
            group: "g".into(),
            namespace: None,
            subscription_data: subscription,
        };
        let ask = Command::request(request::CHECK_CLIENT_CONFIG).with_body(check.encode());
        assert_eq!(one.call(&ask).code, code);
    }
    let tags = || Subscription::tags("T", "a", 1).unwrap();
    let sql = |condition| Subscription::sql("T", condition, 1).unwrap();
    let plain = Cluster::start().unwrap();
    check(&plain, tags(), 0);
    check(&plain, sql("a > 5"), response::SYSTEM_ERROR);
    let able = Cluster::builder().sql_filters(true).start().unwrap();
    check(&able, tags(), 0);
    check(&able, sql("a > 5"), 0);
    check(&able, sql("a >"), response::SUBSCRIPTION_PARSE_FAILED);
}
