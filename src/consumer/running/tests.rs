use std::sync::Mutex;

use super::*;
use crate::client::ClientOptions;
use crate::embedded::Cluster;

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

fn client(cluster: &Cluster) -> Client {
    let options = ClientOptions::new().name_server(cluster.name_server());
    Client::start(options).expect("a client")
}

fn config() -> ConsumerConfig {
    let mut config = ConsumerConfig::new("g".to_owned());
    let added = config.subscriptions.add("T", "*".into());
    added.expect("a filter");
    config
}

#[test]
fn a_start_that_fails_after_it_joined_leaves_the_group_and_no_thread() {
    let cluster = Cluster::builder().topic("T", 4).start().expect("ports");
    let client = client(&cluster);
    let members = || cluster.group("g").members().len();
    let seen = Mutex::new(None);
    let consume = |_: &Shared, _: Option<&Arc<Popping>>, threads: &Threads| {
        threads.spawn("rmq-consume-1", || {})?;
        *seen.lock().unwrap() = Some((members(), threads.clone()));
        Err(io::Error::other("no more threads"))
    };
    let started = Running::start(config(), client.clone(), false, consume);
    let error = started.map(drop).expect_err("no threads");
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    // It does not wait long for their answers.
    let is_known = cluster.wait_until(PATIENCE, || members() == 0);
    assert!(is_known, "brokers know it");
    let (joined, threads) = seen.lock().unwrap().take().expect("it came so far");
    assert_eq!(joined, 1);
    let now = Deadline::after(Instant::now(), Duration::ZERO);
    assert_eq!(threads.join(now), [] as [String; 0]);
    let again = Running::start(config(), client, false, |_, _, _| Ok(()));
    assert!(again.is_ok(), "its name is free");
}
