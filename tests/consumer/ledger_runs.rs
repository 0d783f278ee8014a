//! The ledger of a group on the embedded cluster.

use rocketmq_blocking::ClientOptions;
use rocketmq_blocking::embedded::Cluster;

use crate::ledger::check::{Expected, Report};
use crate::ledger::copies::Cause;
use crate::ledger::member::Settings;
use crate::ledger::record::SECOND;
use crate::ledger::run::{Servers, Setup, play};
use crate::support::{PATIENCE, ms, patient};

impl Servers for Cluster {
    fn kill(&mut self, broker: &str) {
        self.broker(broker).kill();
    }

    fn restart(&mut self, broker: &str) {
        self.broker(broker).restart().expect("its port");
    }
}

fn setup(cluster: &Cluster, name: &str, is_ordered: bool) -> Setup {
    let brokers = cluster.brokers().iter();
    let brokers = brokers.map(|broker| (broker.address().to_string(), broker.name().to_owned()));
    Setup {
        name: name.to_owned(),
        settings: Settings {
            name: String::new(),
            instance: String::new(),
            name_server: cluster.name_server(),
            group: "g".to_owned(),
            topic: "T".to_owned(),
            is_ordered,
            window: 200,
            threads: 4,
            work: ms(1),
            refused: 100,
            brokers: brokers.collect(),
        },
        messages: 3000,
        per_second: 250,
        // The locks of a killed member are kept for a minute.
        patience: if is_ordered { 6 } else { 3 } * PATIENCE,
    }
}

#[test]
fn members_that_come_go_and_die_lose_nothing_and_every_copy_has_a_cause() {
    let report = run("ledger-concurrent", false);
    assert_eq!(report.takeovers.len(), 2);
    assert!(!report.copies.contains_key(&Cause::Drained), "{report}");
}

#[test]
fn ordered_members_that_come_go_and_die_keep_the_order() {
    let report = run("ledger-ordered", true);
    assert_eq!(report.takeovers.len(), 2);
}

fn run(name: &str, is_ordered: bool) -> Report {
    let cluster = Cluster::builder().brokers(2).topic("T", 4);
    let mut cluster = cluster.start().expect("free ports");
    // A broker that is back is used at once.
    let options = ClientOptions::new().route_interval(ms(500));
    let producer = patient(&cluster)
        .options(options)
        .start()
        .expect("a producer");
    let setup = setup(&cluster, name, is_ordered);
    let expected = Expected {
        is_ordered,
        // A second, and what a loaded machine adds.
        commits_within: 3 * SECOND,
        broker_forgets: 5 * SECOND,
        // A queue whose owner changes twice waits 5 s each time; the rest is for a loaded machine. The runs
        // on real brokers expect less.
        takeover_within: 20 * SECOND,
    };
    play(&setup, &producer, &mut cluster).passes(&expected)
}
