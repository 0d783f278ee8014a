//! The ledger of a group on two real brokers, which are killed and come back, as do members. At full size:
//! `LEDGER` says how many messages (default 100,000), and `LEDGER_PACE` how many a second (default 1,000).

use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::{ClientOptions, Producer};

use crate::ledger::check::{Expected, Report};
use crate::ledger::copies::Cause;
use crate::ledger::member::Settings;
use crate::ledger::record::SECOND;
use crate::ledger::run::{Servers, Setup, play};
use crate::servers::mortal::Mortal;
use crate::servers::{PATIENCE, Server, wire};

const NAMES: [&str; 2] = ["broker-a", "broker-b"];
const QUEUES: u32 = 4;

struct Brokers<'a> {
    brokers: [Mortal<'a>; 2],
    /// Its queries do not refresh the routes of others.
    watcher: Producer,
    topic: String,
}

impl Brokers<'_> {
    fn of(&mut self, broker: &str) -> usize {
        let at = NAMES.iter().position(|name| *name == broker);
        at.expect("one of them")
    }

    /// A broker reads its files before it registers: on a busy machine that takes its time.
    fn wait_until_known(&self) {
        let start = Instant::now();
        let is_known = || {
            let queues = self.watcher.admin().publish_queues(&self.topic);
            queues.is_ok_and(|queues| queues.len() == 2 * QUEUES as usize)
        };
        while !is_known() {
            assert!(start.elapsed() < 4 * PATIENCE, "a broker is not back");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Servers for Brokers<'_> {
    fn kill(&mut self, broker: &str) {
        let at = self.of(broker);
        self.brokers[at].kill();
    }

    fn restart(&mut self, broker: &str) {
        let at = self.of(broker);
        self.brokers[at].start();
        self.wait_until_known();
    }
}

fn asked(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn members_and_brokers_that_die_lose_nothing_and_every_copy_has_a_cause() {
    let report = run("ledger-real", asked("LEDGER", 100_000), false);
    assert!(!report.copies.contains_key(&Cause::Drained), "{report}");
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn ordered_members_and_brokers_that_die_keep_the_order() {
    run("ledger-real-ordered", asked("LEDGER", 100_000) / 5, true);
}

fn run(name: &str, messages: u32, is_ordered: bool) -> Report {
    let server = Server::from_env();
    let topic = name.replace('-', "");
    for name in NAMES {
        wire::create_topic(&server.broker(name).address, &topic, QUEUES, 6);
    }
    let mut brokers = Brokers {
        brokers: NAMES.map(|name| Mortal::new(server.broker(name))),
        watcher: server.producer("ledger-watcher").start().unwrap(),
        topic: topic.clone(),
    };
    brokers.wait_until_known();
    // A broker that is back is used at once.
    let options = ClientOptions::new().route_interval(Duration::from_millis(500));
    let producer = server.producer(&format!("{name}-send")).options(options);
    let producer = producer.start().unwrap();
    let address = |name: &str| (server.broker(name).address.clone(), name.to_owned());
    let setup = Setup {
        name: name.to_owned(),
        settings: Settings {
            name: String::new(),
            instance: String::new(),
            name_server: server.name_server.clone(),
            group: format!("{name}-group"),
            topic,
            is_ordered,
            window: 1000,
            threads: 8,
            work: Duration::from_micros(500),
            refused: 500,
            brokers: NAMES.map(address).into(),
        },
        messages: messages as usize,
        per_second: asked("LEDGER_PACE", 1000),
        // The locks of a killed member are kept for a minute.
        patience: if is_ordered { 4 } else { 2 } * PATIENCE,
    };
    let expected = Expected {
        is_ordered,
        // A second, and what a loaded machine adds.
        commits_within: 6 * SECOND,
        // Offsets are written each 5 s.
        broker_forgets: 7 * SECOND,
        takeover_within: 15 * SECOND,
    };
    play(&setup, &producer, &mut brokers).passes(&expected)
}
