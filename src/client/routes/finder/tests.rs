use std::thread;

use super::*;
use crate::client::{Client, ClientOptions};
use crate::embedded::{Cluster, Fault, Gate, On};

/// Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

fn late() -> Deadline {
    Deadline::after(Instant::now(), PATIENCE)
}

#[test]
fn a_topics_own_route_is_not_replaced_by_the_default_topics_that_comes_late() {
    let cluster = Cluster::start().expect("ports");
    let options = ClientOptions::new().name_server(cluster.name_server());
    let client = Client::start(options).expect("started");
    let gate = Gate::new();
    let of_default = On::when(|request| request.ext.get("topic") == Some("TBW102"));
    let held = cluster.name_servers()[0].inject(Fault::hold(&gate).on(of_default));
    let core = client.inner().clone();
    let finding = thread::spawn(move || {
        let default = DefaultTopic {
            name: "TBW102".into(),
            queues: 4,
        };
        core.routes.find(&"New".into(), Some(&default), late())
    });
    assert!(
        held.wait_hits(1, PATIENCE),
        "not known, so the default topic's"
    );
    cluster.create_topic("New", 3);
    let routes = &client.inner().routes;
    let own = routes.find(&"New".into(), None, late()).expect("a route");
    assert!(own.is_of_topic());
    gate.open();
    let found = finding.join().expect("no panic").expect("a route");
    assert!(Arc::ptr_eq(&found, &own), "the one that is known");
    let known = routes.known_route("New", false).expect("as before");
    assert!(Arc::ptr_eq(&known, &own));
}
