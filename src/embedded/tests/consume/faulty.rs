use super::*;
use crate::embedded::{Fault, On};
use crate::protocol::consumer::back::SendBack;
use crate::protocol::consumer::member::GroupName;

/// Each request of consumers that a fault can be chosen for.
fn requests(one: &Consumer, cluster: &Cluster) -> Vec<(On, Command)> {
    let lock = |code| Command::request(code).with_body(one.lock_request(&[0]).encode());
    let consumer_group = "g".into();
    let back = SendBack {
        offset: cluster.only_message("T").commit_log_offset(),
        group: "g".into(),
        delay_level: -1,
        origin_message_id: None,
        origin_topic: None,
        unit_mode: false,
        max_reconsume_times: None,
        broker_name: None,
    };
    let query = QueryOffset {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: 0,
        set_zero_if_not_found: None,
        broker_name: None,
    };
    let commits = PullRequest {
        sys_flag: flag::COMMIT_OFFSET,
        commit_offset: 1,
        ..pull(0)
    };
    let members = Command::request(request::GET_CONSUMER_LIST_BY_GROUP);
    let send_back = Command::request(request::CONSUMER_SEND_MSG_BACK);
    let ask = Command::request(request::QUERY_CONSUMER_OFFSET);
    vec![
        (On::Pull, command(&commits)),
        (On::QueryOffset, ask.with_fields(&query)),
        (On::Commit, commit("g", "T", 2)),
        (On::Lock, lock(request::LOCK_BATCH_MQ)),
        (On::Unlock, lock(request::UNLOCK_BATCH_MQ)),
        (
            On::Members,
            members.with_fields(&GroupName { consumer_group }),
        ),
        (On::SendBack, send_back.with_fields(&back)),
    ]
}

/// What a broker has after a request of each kind.
fn traces(cluster: &Cluster) -> (Option<i64>, usize, usize) {
    let group = cluster.group("g");
    let committed = group.committed(&queue("T", 0));
    (committed, group.locks().len(), group.dead_letters().len())
}

fn start_with_message() -> (Cluster, Consumer) {
    let cluster = start();
    let mut one = Consumer::join(cluster.broker("broker-a"), "one", &[("T", "*")]);
    one.call(&send("T", "x"));
    (cluster, one)
}

#[test]
fn each_request_of_consumers_can_fail_without_effect() {
    let (cluster, mut one) = start_with_message();
    for (on, request) in requests(&one, &cluster) {
        let broker = cluster.broker("broker-a");
        let fault = broker.inject(Fault::answer(2, "busy").on(on.clone()).once());
        let answer = one.call(&request);
        assert_eq!(answer.code, 2, "{on:?}");
        assert!(fault.wait_hits(1, PATIENCE), "{on:?}");
        assert_eq!(traces(&cluster), (None, 0, 0), "{on:?}");
        assert_eq!(one.call(&send("U", "x")).code, 0, "another request");
        assert_eq!(cluster.requests(&on).len(), 1, "{on:?}");
    }
}

#[test]
fn each_request_of_consumers_can_take_effect_and_its_answer_be_lost() {
    let effects: [(Option<i64>, usize, usize); 7] = [
        (Some(1), 0, 0),
        (Some(1), 0, 0),
        (Some(2), 0, 0),
        (Some(2), 1, 0),
        (Some(2), 0, 0),
        (Some(2), 0, 0),
        (Some(2), 0, 1),
    ];
    let (cluster, mut one) = start_with_message();
    let broker = cluster.broker("broker-a");
    for ((on, request), effect) in requests(&one, &cluster).into_iter().zip(effects) {
        let lost = Fault::hang_up().after_storing().on(on.clone()).once();
        broker.inject(lost);
        one.client.write(&request);
        while let Some(notice) = one.client.try_read() {
            one.note(&notice);
        }
        assert_eq!(traces(&cluster), effect, "{on:?}");
        one = Consumer::join(broker, "one", &[("T", "*")]);
    }
}
