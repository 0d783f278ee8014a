use super::client::{Client, route};
use crate::embedded::Cluster;
use crate::protocol::Command;
use crate::protocol::route::{TopicRoute, perm};

fn connect(cluster: &Cluster) -> Client {
    Client::connect(cluster.name_servers()[0].address())
}

fn write_queues(route: &TopicRoute) -> Vec<(&str, i32)> {
    let queues = route.queue_datas.iter();
    queues
        .map(|q| (q.broker_name.as_str(), q.write_queue_nums))
        .collect()
}

#[test]
fn a_route_names_all_brokers_that_have_the_topic() {
    let cluster = Cluster::builder().brokers(2).topic("T", 4).start().unwrap();
    let mut client = connect(&cluster);
    let found = TopicRoute::decode(&client.call(&route("T")).body).unwrap();
    assert_eq!(write_queues(&found), [("broker-a", 4), ("broker-b", 4)]);
    for broker in cluster.brokers() {
        let address = broker.address().to_string();
        assert_eq!(found.master(broker.name()), Some(address.as_str()));
    }
    let default = TopicRoute::decode(&client.call(&route("TBW102")).body).unwrap();
    assert_eq!(write_queues(&default), [("broker-a", 8), ("broker-b", 8)]);
    assert_eq!(default.queue_datas[0].perm, 7);
}

#[test]
fn an_unknown_topic_has_no_route() {
    let cluster = Cluster::builder()
        .auto_create_topics(false)
        .start()
        .unwrap();
    for topic in ["None", "TBW102"] {
        let answer = connect(&cluster).call(&route(topic));
        assert_eq!(answer.code, 17);
        let remark = format!(
            "No topic route info in name server for the topic: {topic}\nSee \
             https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
        );
        assert_eq!(answer.remark, Some(remark));
    }
    let answer = connect(&cluster).call(&Command::request(4711));
    assert_eq!(answer.code, 3);
}

#[test]
fn old_clients_and_old_servers_get_bare_keys() {
    #[track_caller]
    fn check(bare: bool, version: i32, accept: Option<&str>, key: &str) {
        let builder = Cluster::builder().topic("T", 1).bare_route_keys(bare);
        let cluster = builder.start().unwrap();
        let mut request = route("T");
        request.version = version;
        if let Some(accept) = accept {
            request.ext.push("acceptStandardJsonOnly", accept);
        }
        let body = connect(&cluster).call(&request).body;
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.contains(&format!("{{{key}:\"127.0.0.1:")), "{text}");
        assert!(TopicRoute::decode(&body).is_ok());
    }
    check(false, 493, None, "\"0\"");
    check(false, 399, None, "0");
    check(false, 399, Some("true"), "\"0\"");
    check(true, 493, Some("true"), "0");
}

#[test]
fn topics_and_routes_can_be_changed() {
    let cluster = Cluster::builder().brokers(2).topic("T", 4).start().unwrap();
    cluster.set_queues("T", "broker-a", 8, 2);
    cluster.set_permission("T", "broker-b", perm::READ);
    cluster.set_order_conf("T", Some("broker-a:2"));
    let changed = cluster.route("T").unwrap();
    assert_eq!(write_queues(&changed), [("broker-a", 2), ("broker-b", 4)]);
    assert_eq!(changed.queue_datas[0].read_queue_nums, 8);
    assert_eq!(changed.queue_datas[1].perm, perm::READ);
    assert_eq!(changed.order_topic_conf.as_deref(), Some("broker-a:2"));

    let mut written = changed.clone();
    written.broker_datas[0].broker_addrs.clear();
    cluster.set_route("T", Some(written.clone()));
    let answer = connect(&cluster).call(&route("T"));
    assert_eq!(TopicRoute::decode(&answer.body).unwrap(), written);
    cluster.set_route("T", None);
    assert_eq!(cluster.route("T"), Some(changed));

    cluster.remove_topic("T");
    assert_eq!(connect(&cluster).call(&route("T")).code, 17);
}

#[test]
fn several_name_servers_know_the_same() {
    let builder = Cluster::builder().name_servers(2).topic("T", 1);
    let cluster = builder.start().unwrap();
    let addresses = cluster.name_server();
    assert_eq!(addresses.split(';').count(), 2);
    for address in addresses.split(';') {
        let mut client = Client::connect(address.parse().unwrap());
        assert_eq!(client.call(&route("T")).code, 0);
    }
}
