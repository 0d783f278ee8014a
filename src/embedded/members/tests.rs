use super::{EXPIRE_AFTER, Kind, Members};
use crate::embedded::clock::millis;
use crate::protocol::consumer::member::ConsumerData;
use crate::protocol::consumer::subscription::Subscription;
use crate::protocol::heartbeat::{Heartbeat, Unregister};

fn heartbeat(client: &str, producers: &[&str], consumers: &[&str]) -> Heartbeat {
    let consumer = |group: &&str| ConsumerData::new(*group);
    Heartbeat {
        consumer_data_set: consumers.iter().map(consumer).collect(),
        ..Heartbeat::of_producers(client, producers.iter().copied())
    }
}

fn ids(members: &Members, kind: Kind, group: &str) -> Vec<String> {
    let members = members.of(kind, group);
    members.into_iter().map(|m| m.client_id).collect()
}

#[test]
fn a_producer_and_a_consumer_group_may_have_the_same_name() {
    let members = Members::default();
    let joined = members.register(&heartbeat("p", &["g"], &[]), 1, 0);
    assert!(joined.is_empty(), "producers cause no notification");
    let joined = members.register(&heartbeat("c", &[], &["h", "g"]), 2, 0);
    assert_eq!(joined, ["g", "h"]);
    assert_eq!(ids(&members, Kind::Producer, "g"), ["p"]);
    assert_eq!(ids(&members, Kind::Consumer, "g"), ["c"]);
    assert_eq!(members.any_connection(Kind::Producer, "g"), Some(1));
    assert_eq!(members.any_connection(Kind::Producer, "h"), None);
    let gone = Unregister {
        client_id: "c".into(),
        producer_group: Some("g".into()),
        consumer_group: Some("h".into()),
    };
    assert!(
        members.unregister(&gone, 1).is_empty(),
        "not its connection"
    );
    assert_eq!(members.unregister(&gone, 2), ["h"]);
    assert_eq!(ids(&members, Kind::Producer, "g"), ["p"]);
    assert_eq!(ids(&members, Kind::Consumer, "g"), ["c"]);
    assert_eq!(members.client_ids(Kind::Consumer).len(), 1);
}

#[test]
fn a_member_is_a_connection() {
    let members = Members::default();
    assert_eq!(members.register(&heartbeat("c", &[], &["g"]), 1, 0), ["g"]);
    // The next heartbeat is no change; another connection of the same client is.
    assert!(
        members
            .register(&heartbeat("c", &[], &["g"]), 1, 1)
            .is_empty()
    );
    assert_eq!(members.register(&heartbeat("c", &[], &["g"]), 2, 2), ["g"]);
    assert_eq!(ids(&members, Kind::Consumer, "g"), ["c", "c"]);
    assert_eq!(members.client_ids(Kind::Consumer)["g"], ["c"]);
    assert_eq!(members.connection_of("c"), Some(2));
    assert_eq!(members.disconnected(2), ["g"]);
    assert_eq!(members.connection_of("c"), Some(1));
    assert!(members.disconnected(7).is_empty());
    members.clear();
    assert_eq!(members.connection_of("c"), None);
}

#[test]
fn a_silent_member_expires() {
    let members = Members::default();
    members.register(&heartbeat("old", &["p"], &["g"]), 1, 0);
    members.register(&heartbeat("new", &["p"], &["g"]), 2, 10);
    let end = millis(EXPIRE_AFTER);
    assert_eq!(members.next_expiry(), Some(end));
    assert!(members.expire(end - 1).is_empty());
    assert_eq!(members.expire(end), ["g"]);
    assert_eq!(ids(&members, Kind::Consumer, "g"), ["new"]);
    assert_eq!(ids(&members, Kind::Producer, "p"), ["new"]);
    members.register(&heartbeat("new", &["p"], &["g"]), 2, 20);
    assert_eq!(members.next_expiry(), Some(end + 20));
    assert_eq!(members.expire(end + 20), ["g"]);
    assert_eq!(members.next_expiry(), None);
}

#[test]
fn what_a_consumer_says_of_itself_is_kept_as_it_came() {
    let members = Members::default();
    let mut sent = heartbeat("c", &[], &["g"]);
    let all = Subscription::tags("T", "*", 1).unwrap();
    sent.consumer_data_set[0].subscription_data_set.push(all);
    members.register(&sent, 1, 0);
    let [member] = &members.of(Kind::Consumer, "g")[..] else {
        panic!("one member")
    };
    assert_eq!(member.consumer(), Some(&sent.consumer_data_set[0]));
    sent.consumer_data_set[0].subscription_data_set.clear();
    members.register(&sent, 1, 1);
    let member = &members.of(Kind::Consumer, "g")[0];
    assert_eq!(member.consumer(), Some(&sent.consumer_data_set[0]));
}
