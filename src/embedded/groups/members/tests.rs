use std::net::SocketAddr;

use super::*;

fn heartbeat(client: &str, producers: &[&str], consumers: &[&str]) -> Heartbeat {
    let consumer = |group: &&str| ConsumerData::new(*group);
    Heartbeat {
        consumer_data_set: consumers.iter().map(consumer).collect(),
        ..Heartbeat::of_producers(client, producers.iter().copied())
    }
}

fn origin(connection: u64) -> Origin {
    Origin {
        connection,
        address: SocketAddr::from(([127, 0, 0, 1], 7)),
        language: Language::RUST,
        version: 493,
    }
}

fn register(members: &Members, heartbeat: &Heartbeat, connection: u64, now: Millis) -> Vec<String> {
    let registered = members.register(heartbeat, origin(connection), now, |group| group != "no");
    registered.changed
}

fn ids(members: &Members, kind: Kind, group: &str) -> Vec<String> {
    let members = members.of(kind, group);
    members.into_iter().map(|m| m.client_id).collect()
}

#[test]
fn a_producer_and_a_consumer_group_may_have_the_same_name() {
    let members = Members::default();
    let joined = register(&members, &heartbeat("p", &["g"], &[]), 1, 0);
    assert!(joined.is_empty(), "producers cause no notification");
    let joined = register(&members, &heartbeat("c", &[], &["h", "g", "no"]), 2, 0);
    assert_eq!(joined, ["g", "h"], "the third is no group");
    assert_eq!(ids(&members, Kind::Producer, "g"), ["p"]);
    assert_eq!(ids(&members, Kind::Consumer, "g"), ["c"]);
    assert_eq!(members.any_connection(Kind::Producer, "g"), Some(1));
    assert_eq!(members.any_connection(Kind::Producer, "h"), None);
    let gone = Unregister {
        client_id: "c".into(),
        producer_group: Some("g".into()),
        consumer_group: Some("h".into()),
    };
    let elsewhere = members.unregister(&gone, 3);
    assert!(elsewhere.is_empty(), "not its connection");
    assert_eq!(members.unregister(&gone, 2), ["h"]);
    assert_eq!(ids(&members, Kind::Producer, "g"), ["p"]);
    assert_eq!(ids(&members, Kind::Consumer, "g"), ["c"]);
    assert_eq!(members.client_ids(Kind::Consumer).len(), 1);
}

#[test]
fn a_member_is_a_connection() {
    let members = Members::default();
    let c = heartbeat("c", &[], &["g"]);
    assert_eq!(register(&members, &c, 1, 0), ["g"]);
    // The next heartbeat is no change; another connection of the same client is.
    assert!(register(&members, &c, 1, 1).is_empty());
    assert_eq!(register(&members, &c, 2, 2), ["g"]);
    assert_eq!(ids(&members, Kind::Consumer, "g"), ["c", "c"]);
    assert_eq!(members.client_ids(Kind::Consumer)["g"], ["c"]);
    assert_eq!(members.connection_of("c"), Some(2));
    assert_eq!(members.disconnected(2), ["g"]);
    assert_eq!(members.connection_of("c"), Some(1));
    assert!(members.disconnected(7).is_empty());
    // Another client over the same connection is the member from now on.
    assert!(register(&members, &heartbeat("d", &[], &["g"]), 1, 3).is_empty());
    assert_eq!(ids(&members, Kind::Consumer, "g"), ["d"]);
    assert_eq!(members.forget("d"), ["g"]);
    register(&members, &c, 1, 4);
    members.clear();
    assert_eq!(members.connection_of("c"), None);
}

#[test]
fn a_silent_member_expires() {
    let members = Members::default();
    register(&members, &heartbeat("old", &["p"], &["g"]), 1, 0);
    register(&members, &heartbeat("new", &["p"], &["g"]), 2, 10);
    let end = millis(EXPIRE_AFTER);
    assert_eq!(members.next_expiry(), Some(end));
    assert!(members.expire(end - 1).is_empty());
    assert_eq!(members.expire(end), ["g"]);
    assert_eq!(ids(&members, Kind::Consumer, "g"), ["new"]);
    assert_eq!(ids(&members, Kind::Producer, "p"), ["new"]);
    register(&members, &heartbeat("new", &["p"], &["g"]), 2, 20);
    assert_eq!(members.next_expiry(), Some(end + 20));
    assert_eq!(members.expire(end + 20), ["g"]);
    assert_eq!(members.next_expiry(), None);
}

#[test]
fn what_a_member_says_of_its_group_holds_for_all() {
    let members = Members::default();
    let mut one = heartbeat("one", &[], &["g"]);
    let all = Subscription::tags("T", "*", 1).unwrap();
    one.consumer_data_set[0].subscription_data_set.push(all);
    assert_eq!(register(&members, &one, 1, 0), ["g"]);
    assert_eq!(members.audience("g"), [1]);
    assert!(members.subscription("g", "T").is_some());
    assert!(members.subscription("g", "U").is_none() && members.subscription("h", "T").is_none());

    // A new topic is news for all members.
    let more = Subscription::tags("U", "a", 1).unwrap();
    one.consumer_data_set[0].subscription_data_set.push(more);
    assert_eq!(register(&members, &one, 1, 1), ["g"]);
    let mut two = heartbeat("two", &[], &["g"]);
    two.consumer_data_set[0].message_model = MessageModel::Broadcasting;
    two.consumer_data_set[0].consume_type = ConsumeType::ConsumeActively;
    assert_eq!(register(&members, &two, 2, 1), ["g"]);
    assert!(members.audience("g").is_empty(), "no notification");
    let connections = members.connections("g").unwrap();
    assert!(connections.subscription_table.is_empty());
    assert_eq!(connections.message_model, MessageModel::Broadcasting);
    assert_eq!(connections.consume_type, ConsumeType::ConsumeActively);
    let shown = &connections.connection_set[1];
    assert_eq!(
        (&*shown.client_id, &*shown.client_addr),
        ("two", "127.0.0.1:7")
    );
    assert_eq!((&*shown.language, shown.version), ("RUST", 493));
    assert!(members.connections("h").is_none());
    // The last member takes what it subscribed with it.
    register(&members, &one, 1, 2);
    members.disconnected(1);
    members.disconnected(2);
    register(&members, &heartbeat("three", &[], &["g"]), 3, 3);
    assert!(members.subscription("g", "T").is_none());
}

#[test]
fn a_heartbeat_without_subscriptions_keeps_them() {
    let members = Members::default();
    let mut full = heartbeat("c", &[], &["g"]);
    full.heartbeat_fingerprint = 7;
    let all = Subscription::tags("T", "*", 1).unwrap();
    full.consumer_data_set[0].subscription_data_set.push(all);
    let register = |heartbeat: &Heartbeat| {
        let registered = members.register(heartbeat, origin(1), 0, |_| true);
        (registered.changed.len(), registered.send_subscriptions)
    };
    assert_eq!(register(&full), (1, false));
    let mut short = full.clone();
    short.without_sub = true;
    short.consumer_data_set[0].subscription_data_set.clear();
    assert_eq!(register(&short), (0, false));
    assert!(members.subscription("g", "T").is_some());
    short.heartbeat_fingerprint = 8;
    assert_eq!(
        register(&short),
        (0, true),
        "another member subscribes otherwise"
    );
    assert_eq!(
        register(&heartbeat("c", &[], &["g"])),
        (1, true),
        "a whole one"
    );
}
