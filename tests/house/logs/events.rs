//! Each event of the guide's table, brought about.

use std::collections::BTreeSet;
use std::sync::{Mutex, mpsc};

use log::Level;
use rocketmq_blocking::embedded::{Fault, On};
use rocketmq_blocking::producer::FaultStrategy;
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{ClientOptions, TransactionState};

use super::consumers;
use super::provoke::{LATE_ANSWER, Panics, answer_late, ask, lose_oneway, payments, until_logged};
use super::*;

pub const SOON: Duration = Duration::from_millis(20);

/// The name of an event in the guide, a part of its line, and a way to cause it. `wait` ends when
/// the line is there.
pub type Event = (
    Level,
    &'static str,
    &'static str,
    &'static str,
    fn(wait: &dyn Fn()),
);

const EVENTS: &[Event] = &[
    (
        Level::Error,
        "transport",
        "a callback that panicked",
        "panicked in a callback",
        |wait| {
            let cluster = brokers(1);
            producer(&cluster).send_async(message(), |_| panic!("a test's own panic"));
            wait();
        },
    ),
    (
        Level::Error,
        "transport",
        "an RPC hook that panicked",
        "rpc hook",
        |wait| {
            let cluster = brokers(1);
            let producer = builder(&cluster)
                .options(ClientOptions::new().rpc_hook(Panics))
                .start()
                .unwrap();
            let _receipt = producer.send(&message()).unwrap();
            wait();
        },
    ),
    (
        Level::Error,
        "producer",
        "a hook that panicked",
        "hook panicked",
        |wait| {
            let cluster = brokers(1);
            let producer = builder(&cluster).send_message_hook(Panics).start().unwrap();
            let _receipt = producer.send(&message()).unwrap();
            wait();
        },
    ),
    (
        Level::Warn,
        "transport",
        "oneway messages lost with their connection",
        "were lost with",
        |wait| {
            drop(lose_oneway(wait));
        },
    ),
    (
        Level::Warn,
        "transport",
        "bytes that break the protocol",
        "closing the connection",
        |wait| {
            let cluster = brokers(1);
            let garbage = Fault::bytes([0xFF; 8]).on(On::Send).once();
            cluster.broker("broker-a").inject(garbage);
            let _receipt = producer(&cluster).send(&message()).unwrap();
            wait();
        },
    ),
    #[cfg(feature = "tls")]
    (
        Level::Warn,
        "transport",
        "TLS that accepts any certificate",
        "accepts any certificate",
        |wait| {
            let tls = rocketmq_blocking::TlsConfig::new().danger_accept_any_certificate();
            let producer = Producer::builder("logs")
                .name_server("127.0.0.1:1")
                .tls(tls);
            drop(producer.start().unwrap());
            wait();
        },
    ),
    (
        Level::Warn,
        "client",
        "a name server that does not answer*",
        "name server ",
        |wait| {
            let cluster = brokers(1);
            cluster.name_servers()[0].inject(Fault::hang_up().on(On::Route).once());
            let _ = producer(&cluster).send(&message());
            wait();
        },
    ),
    (
        Level::Warn,
        "client",
        "a route that cannot be looked up again",
        "route refresh: ",
        |wait| {
            let cluster = brokers(1);
            let producer = builder(&cluster)
                .options(ClientOptions::new().route_interval(SOON))
                .start()
                .unwrap();
            let _receipt = producer.send(&message()).unwrap();
            cluster.name_servers()[0].inject(Fault::hang_up().on(On::Route));
            wait();
        },
    ),
    (
        Level::Warn,
        "client",
        "a heartbeat that failed*",
        "heartbeat answered 1",
        |wait| {
            let cluster = brokers(1);
            cluster
                .broker("broker-a")
                .inject(Fault::answer(1, "no").on(On::Heartbeat));
            let _receipt = producer(&cluster).send(&message()).unwrap();
            wait();
        },
    ),
    (
        Level::Warn,
        "client",
        "a broker request that cannot be read or has no addressee*",
        "cannot be read",
        |wait| {
            ask(request::PUSH_REPLY_MESSAGE_TO_CLIENT, wait);
        },
    ),
    (
        Level::Warn,
        "client",
        "a broker that fails where several are asked",
        "create topic: ",
        |wait| {
            let cluster = brokers(2);
            let code = On::Code(request::UPDATE_AND_CREATE_TOPIC);
            cluster
                .broker("broker-a")
                .inject(Fault::answer(1, "no").on(code));
            let _ = producer(&cluster).admin().create_topic("T", "New", 1);
            wait();
        },
    ),
    (
        Level::Warn,
        "client",
        "a client's shutdown that was not clean",
        "lost",
        |wait| {
            lose_oneway(&|| ()).client().shutdown();
            wait();
        },
    ),
    (
        Level::Warn,
        "producer",
        "a failed attempt that is retried*",
        "trying again",
        |wait| {
            let cluster = brokers(1);
            cluster
                .broker("broker-a")
                .inject(Fault::answer(1, "no").on(On::Send).once());
            let _receipt = producer(&cluster).send(&message()).unwrap();
            wait();
        },
    ),
    (
        Level::Warn,
        "producer",
        "a failed local transaction or check",
        "no money",
        |wait| {
            let (_cluster, payments) = payments(|| ());
            let _ = payments.send_in_transaction(&message(), |_| Err("no money".into()));
            wait();
        },
    ),
    (
        Level::Warn,
        "producer",
        "the end of a transaction that cannot be sent*",
        "cannot be sent",
        |wait| {
            let (_cluster, payments) = payments(|| ());
            let _ = payments.send_in_transaction(&message(), |_| {
                let _ = payments.shutdown_within(Duration::ZERO);
                Ok(TransactionState::Commit)
            });
            wait();
        },
    ),
    (
        Level::Warn,
        "producer",
        "a check that is dropped*",
        "too many checks",
        |wait| {
            let (go_on, stalled) = mpsc::channel::<()>();
            let stalled = Mutex::new(stalled);
            let (cluster, payments) = payments(move || {
                let _ = stalled.lock().unwrap().recv();
            });
            for _ in 0..3 {
                let _ = payments.send_in_transaction(&message(), |_| Ok(TransactionState::Unknown));
            }
            // One may run and one wait; the others find no place.
            cluster.check_transactions();
            cluster.check_transactions();
            wait();
            drop(go_on);
        },
    ),
    (
        Level::Warn,
        "producer",
        "trace that is off or lost*",
        "trace is off",
        |wait| {
            let cluster = brokers(1);
            // The group of the trace would be longer than a group may be.
            let producer = Producer::builder("g".repeat(120)).name_server(cluster.name_server());
            drop(producer.trace().start().unwrap());
            wait();
        },
    ),
    (
        Level::Warn,
        "producer",
        "a producer's shutdown that was not clean",
        "producer lossy: ",
        |wait| {
            lose_oneway(&|| ()).shutdown();
            wait();
        },
    ),
    (
        Level::Info,
        "transport",
        "a connection that drains",
        "drains",
        |wait| {
            let cluster = brokers(1);
            cluster
                .broker("broker-a")
                .inject(Fault::go_away().on(On::Send).once());
            let _receipt = producer(&cluster).send(&message()).unwrap();
            wait();
        },
    ),
    (
        Level::Info,
        "transport",
        "a broker that left all routes",
        "in no route any more",
        |wait| {
            let cluster = brokers(2);
            let producer = builder(&cluster)
                .options(ClientOptions::new().route_interval(SOON))
                .start()
                .unwrap();
            (0..2).for_each(|_| drop(producer.send(&message()).unwrap()));
            let mut route = cluster.route("T").unwrap();
            route
                .broker_datas
                .retain(|broker| broker.broker_name == "broker-a");
            cluster.set_route("T", Some(route));
            wait();
        },
    ),
    (
        Level::Info,
        "client",
        "a route that is new or has changed",
        "1 queues to write to",
        |wait| {
            let cluster = brokers(1);
            let _receipt = producer(&cluster).send(&message()).unwrap();
            wait();
        },
    ),
    (
        Level::Info,
        "client",
        "a topic that is gone",
        "no name server knows the topic any more",
        |wait| {
            let cluster = brokers(1);
            let producer = builder(&cluster)
                .options(ClientOptions::new().route_interval(SOON))
                .start()
                .unwrap();
            let _receipt = producer.send(&message()).unwrap();
            cluster.remove_topic("T");
            wait();
        },
    ),
    (
        Level::Info,
        "producer",
        "a broker that failed and answers again",
        "answers again",
        |wait| {
            let cluster = brokers(2);
            let strategy = FaultStrategy::v4().detector(SOON, PATIENCE);
            let producer = builder(&cluster).latency_fault(strategy).start().unwrap();
            cluster
                .broker("broker-a")
                .inject(Fault::answer(14, "no").on(On::Send).once());
            (0..2).for_each(|_| drop(producer.send(&message()).unwrap()));
            wait();
        },
    ),
    (
        Level::Debug,
        "transport",
        "a connection that was made, failed or idle",
        ": connected",
        |wait| {
            let cluster = brokers(1);
            let _receipt = producer(&cluster).send(&message()).unwrap();
            wait();
        },
    ),
    (
        Level::Debug,
        "transport",
        "a late answer",
        LATE_ANSWER,
        |wait| {
            let cluster = brokers(1);
            let producer = producer(&cluster);
            let _receipt = producer.send(&message()).unwrap();
            answer_late(&cluster, &producer);
            wait();
        },
    ),
    (
        Level::Debug,
        "transport",
        "an unknown request of a broker",
        "is not supported",
        |wait| {
            ask(12_345, wait);
        },
    ),
    (
        Level::Debug,
        "producer",
        "the reason why there is no retry",
        "no further attempt",
        |wait| {
            let cluster = brokers(1);
            let producer = producer(&cluster);
            let _receipt = producer.send(&message()).unwrap();
            cluster
                .broker("broker-a")
                .inject(Fault::busy().on(On::Send));
            until_logged("no further attempt", || {
                assert!(producer.prepare(&message()).timeout(SOON).send().is_err());
            });
            wait();
        },
    ),
];

fn all() -> impl Iterator<Item = &'static Event> {
    EVENTS.iter().chain(consumers::EVENTS)
}

/// Those of the table that no test brings about, and why.
const NOT_PROVOKED: &[&str] = &[
    // It would be a bug of the library.
    "a bug of the library that panicked",
    // The compressors take any body.
    "a body that cannot be compressed",
    // It needs a web server.
    "other name servers",
    // It needs a reply behind its request's deadline.
    "a late reply",
    // It needs half an hour.
    "a route that is forgotten",
    // The system's resolver decides.
    "a host name that was resolved",
    // It would be a bug of the library.
    "a queue that stands still by a bug of the library",
    // It needs a message that is damaged in a broker's store.
    "a message that cannot be read",
    // It takes a minute.
    "members that stay in doubt",
    // It takes five seconds.
    "a lock that was not given in time",
    // Without the feature.
    #[cfg(not(feature = "tls"))]
    "TLS that accepts any certificate",
];

/// The rows of the table: level, target, event.
fn documented() -> BTreeSet<(String, String, String)> {
    let guide = include_str!("../../../src/lib.rs");
    let (_, section) = guide.split_once("//! # Logging").expect("the section");
    let (section, _) = section.split_once("//! # ").expect("the next one");
    let rows = section.lines().filter_map(|line| {
        let mut cells = line
            .strip_prefix("//! | ")?
            .strip_suffix(" |")?
            .split(" | ");
        let (level, target, events) = (cells.next()?, cells.next()?, cells.next()?);
        let target = target.strip_prefix('`')?.strip_suffix('`')?;
        Some((level, target, events))
    });
    rows.flat_map(|(level, target, events)| {
        let events = events.split("; ");
        events.map(move |event| (level.to_owned(), target.to_owned(), event.to_owned()))
    })
    .collect()
}

#[test]
fn every_event_of_the_guide_is_tested_here_and_no_other() {
    let tested = all().map(|(level, target, event, ..)| {
        let level = level.as_str().to_lowercase();
        (level, (*target).to_owned(), (*event).to_owned())
    });
    let tested: BTreeSet<_> = tested.collect();
    let mut documented = documented();
    assert!(documented.len() > 20, "{documented:?}");
    documented.retain(|(_, _, event)| !NOT_PROVOKED.contains(&&**event));
    assert_eq!(documented, tested);
}

#[test]
fn every_event_has_its_level_and_its_target() {
    const TARGETS: [&str; 5] = ["producer", "consumer", "client", "transport", "embedded"];
    let targets = TARGETS.map(|target| format!("rocketmq_blocking::{target}"));
    in_a_process_of_its_own!();
    logged::start();
    for (level, target, event, text, provoke) in all() {
        logged::clear();
        let target = format!("rocketmq_blocking::{target}");
        provoke(&|| {
            eventually(event, || {
                let lines = logged::lines();
                let found = |l: &logged::Line| {
                    l.target == target && l.level == *level && l.text.contains(text)
                };
                lines.iter().any(found)
            });
        });
        for line in logged::lines() {
            assert!(targets.contains(&line.target), "{event}: {line:?}");
        }
    }
}
