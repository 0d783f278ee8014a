//! What brokers hear, and do not hear, when members come and go.

use super::*;
use crate::consumer::{PushConsumer, Retry, StartFrom};

/// The codes of the heartbeats and goodbyes to a server, each heartbeat with its groups.
fn heard_at(cluster: &Cluster, server: &str) -> Vec<String> {
    let requests = cluster.requests(&On::Any);
    let requests = requests.iter().filter(|request| request.server() == server);
    let text = |command: &Command| match command.code {
        request::HEART_BEAT => {
            let heartbeat = Heartbeat::decode(&command.body).expect("a heartbeat");
            let groups = heartbeat.consumer_data_set.iter();
            let groups: Vec<_> = groups.map(|group| &*group.group_name).collect();
            Some(groups.join(","))
        }
        request::UNREGISTER_CLIENT => Some("goodbye".to_owned()),
        _ => None,
    };
    requests
        .filter_map(|request| text(request.command()))
        .collect()
}

fn wait_confirmed(heard: &Heard, address: SocketAddr) {
    let address = address.to_string();
    while heard.confirmed.recv_timeout(PATIENCE).expect("confirmed") != address {}
}

#[test]
fn a_member_that_leaves_is_in_no_heartbeat_behind_its_goodbye() {
    let cluster = Cluster::builder()
        .brokers(2)
        .topic("T", 4)
        .start()
        .expect("ports");
    let client = client(&cluster);
    let heard = group("g", "T");
    let membership = client.inner().join(heard.group.clone()).expect("joined");
    for _ in 0..2 {
        heard.confirmed.recv_timeout(PATIENCE).expect("confirmed");
    }
    let gate = Gate::new();
    let slow = cluster.broker("broker-b");
    let held = slow.inject(Fault::hold(&gate).on(On::Unregister));
    let begin = Instant::now();
    let leaving = thread::spawn(move || {
        membership.unregister(Deadline::after(Instant::now(), Duration::from_secs(80)));
        drop(membership);
    });
    assert!(held.wait_hits(1, PATIENCE));
    let goodbyes = cluster.wait_for_requests(&On::Unregister, 2, PATIENCE);
    assert_eq!(goodbyes.len(), 2, "both are on their way");
    // The goodbye waits for one broker while the other one hears of another member.
    let early = client.inner().join(heard.group.clone());
    if early.is_ok() {
        // It waits for a second; the rest says nothing if this thread is later than that.
        assert!(begin.elapsed() >= Duration::from_secs(1), "in use");
        return;
    }
    let other = group("h", "T");
    let _other = client.inner().join(other.group.clone()).expect("joined");
    wait_confirmed(&other, cluster.broker("broker-a").address());
    gate.open();
    leaving.join().expect("no panic");
    assert_eq!(heard_at(&cluster, "broker-a").last().unwrap(), "h");
    // The group may join again.
    let again = group("g", "T");
    let _again = client.inner().join(again.group.clone()).expect("joined");
    wait_confirmed(&again, cluster.broker("broker-a").address());
}

#[test]
fn a_heartbeat_that_was_made_before_a_member_left_does_not_go_out_behind_its_goodbye() {
    let cluster = Cluster::builder().topic("T", 4).start().expect("ports");
    let client = client(&cluster);
    let (heard, slow) = (group("g", "T"), group("slow", "T"));
    let membership = client.inner().join(heard.group.clone()).expect("joined");
    let _slow = client.inner().join(slow.group.clone()).expect("joined");
    wait_confirmed(&slow, cluster.broker("broker-a").address());
    let ((held, is_held), (go_on, going_on)) = (unbounded(), unbounded());
    *slow.group.hold.lock() = Some((held, going_on));
    let other = group("h", "T");
    let (core, joins) = (client.inner().clone(), other.group.clone());
    let joining = thread::spawn(move || core.join(joins).expect("joined"));
    is_held.recv_timeout(PATIENCE).expect("a heartbeat");
    membership.unregister(late());
    drop(membership);
    go_on.send(()).expect("a heartbeat that waits");
    wait_confirmed(&other, cluster.broker("broker-a").address());
    let _other = joining.join().expect("no panic");
    let heard = heard_at(&cluster, "broker-a");
    let goodbye = heard.iter().position(|what| what == "goodbye");
    let behind = &heard[goodbye.expect("a goodbye")..];
    assert!(
        !behind
            .iter()
            .any(|what| what.split(',').any(|name| name == "g")),
        "{heard:?}"
    );
}

/// A name server that has left the list, say: it has no way of refusing that a client understands.
#[test]
fn an_address_that_no_route_names_and_that_was_told_of_no_member_gets_no_heartbeat() {
    let (cluster, other) = (Cluster::builder().topic("T", 4).start(), Cluster::start());
    let (cluster, other) = (cluster.expect("ports"), other.expect("ports"));
    let client = client(&cluster);
    let address: Arc<str> = other.name_server().into();
    let connected = client.inner().remoting.connect(&address, late());
    assert!(connected.is_ok());
    let heard = group("g", "T");
    let _membership = client.inner().join(heard.group.clone()).expect("joined");
    heard.confirmed.recv_timeout(PATIENCE).expect("confirmed");
    assert!(client.shutdown_within(PATIENCE).is_clean());
    let gone = cluster.wait_for_requests(&On::Unregister, 1, PATIENCE);
    assert_eq!(gone.len(), 1);
    let requests = other.requests(&On::Any);
    assert!(requests.is_empty(), "{requests:?}");
}

/// All 64 queues of the broker find out that it does not know the group (any more).
#[test]
fn a_broker_that_asks_for_a_heartbeat_gets_one_and_others_none() {
    let cluster = Cluster::builder()
        .brokers(2)
        .topic("T", 64)
        .start()
        .expect("ports");
    let (forgets, other) = (cluster.broker("broker-a"), cluster.broker("broker-b"));
    forgets.inject(Fault::answer(response::SUBSCRIPTION_NOT_LATEST, "").on(On::Pull));
    let consumer = PushConsumer::builder("g")
        .name_server(cluster.name_server())
        .subscribe("T", "*")
        .start_from(StartFrom::First)
        .start(|_| -> Result<(), Retry> { Ok(()) })
        .expect("started");
    let pulls = |server: &str| {
        let pulls = cluster.requests(&On::Pull);
        pulls.iter().filter(|pull| pull.server() == server).count()
    };
    assert!(cluster.wait_until(PATIENCE, || pulls(other.name()) >= 64));
    cluster.clear_requests();
    assert!(cluster.wait_until(PATIENCE, || pulls(forgets.name()) >= 256));
    let heard = |server: &str| heard_at(&cluster, server).len();
    let (one, other) = (heard(forgets.name()), heard(other.name()));
    let pulls = pulls(forgets.name());
    assert!(one > 0 && one <= pulls, "{one} heartbeats in {pulls} pulls");
    assert_eq!(other, 0);
    consumer.shutdown();
}

/// A name server that is slow keeps the thread busy that looks routes up, and meanwhile sends fail.
#[test]
fn a_members_topics_are_looked_up_soon_however_many_routes_are_suspected() {
    let cluster = Cluster::builder().topic("T", 4).start().expect("ports");
    let client = client(&cluster);
    let gate = Gate::new();
    let held = cluster.name_servers()[0].inject(Fault::hold(&gate).on(On::Route));
    let first = group("f", "Other");
    let _first = client.inner().join(first.group.clone()).expect("joined");
    assert!(held.wait_hits(1, PATIENCE));
    for i in 0..100 {
        let topic = format!("Suspected{i}").into();
        client.inner().refresh_soon(&topic);
    }
    let heard = group("g", "T");
    let _membership = client.inner().join(heard.group.clone()).expect("joined");
    gate.open();
    // Long before the interval of 30 s.
    heard.confirmed.recv_timeout(PATIENCE).expect("confirmed");
}

/// The broker has dropped the group with the connection.
#[test]
fn a_goodbye_makes_no_new_connection() {
    let cluster = Cluster::builder().topic("T", 4).start().expect("ports");
    let client = client(&cluster);
    let heard = group("g", "T");
    let membership = client.inner().join(heard.group.clone()).expect("joined");
    let broker = heard.confirmed.recv_timeout(PATIENCE).expect("confirmed");
    let core = client.inner();
    let old = core.remoting.current(&broker.as_str().into());
    let old = old.expect("a connection");
    // It ends just when the goodbye is about to go out.
    while old.is_usable() {
        core.remoting.forget(old.address());
    }
    let (told, ends) = unbounded();
    let completion = move |outcome: crate::transport::Outcome| {
        let _ = told.send(outcome.is_ok());
        crate::transport::Next::Done
    };
    let gone = Unregister {
        client_id: client.id().to_owned(),
        producer_group: None,
        consumer_group: Some("g".to_owned()),
    };
    let completion = Box::new(completion);
    crate::client::api::group::unregister(&core.remoting, &old, &gone, late(), completion);
    assert_eq!(ends.recv_timeout(PATIENCE), Ok(false));
    assert!(cluster.requests(&On::Unregister).is_empty());
    drop(membership);
}

#[test]
fn a_heartbeat_that_failed_is_repeated_and_not_in_a_storm() {
    let cluster = Cluster::builder().topic("T", 4).start().expect("ports");
    let client = client(&cluster);
    let busy = Fault::answer(response::SYSTEM_BUSY, "busy").on(On::Heartbeat);
    let broker = cluster.broker("broker-a");
    let injected = broker.inject(busy.times(3));
    let heard = group("g", "T");
    let begin = Instant::now();
    let _membership = client.inner().join(heard.group.clone()).expect("joined");
    wait_confirmed(&heard, broker.address());
    // 0.5 s, 1 s and 2 s after each other.
    assert!(
        begin.elapsed() > Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(injected.hits(), 3);
    assert_eq!(heard_at(&cluster, "broker-a"), ["g"; 4]);
}
