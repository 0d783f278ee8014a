//! No thread of a producer outlives it. Counted in a separate process, since the threads of other
//! tests have the same names.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs;
use std::thread;

use crossbeam_channel::bounded;
use rocketmq_blocking::embedded::{Accept, Cluster, Fault, On};
use rocketmq_blocking::producer::FaultStrategy;
use rocketmq_blocking::{
    Client, ClientOptions, MessageView, Producer, TransactionProducer, TransactionState,
};

use crate::support::*;

#[test]
fn no_thread_and_no_socket_outlives_a_producer() {
    apart::check(apart::this_binary(), "start_and_stop::threads::alone");
}

/// Names of this process' threads that belong to producers.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    let name = |task: std::io::Result<fs::DirEntry>| {
        let name = fs::read_to_string(task.ok()?.path().join("comm")).ok()?;
        name.starts_with("rmq-").then(|| name.trim().to_owned())
    };
    tasks.filter_map(name).collect()
}

fn sockets() -> usize {
    let files = fs::read_dir("/proc/self/fd").expect("Linux");
    let is_socket = |file: std::io::Result<fs::DirEntry>| {
        let target = fs::read_link(file.ok()?.path()).ok()?;
        target
            .to_string_lossy()
            .starts_with("socket:")
            .then_some(())
    };
    files.filter_map(is_socket).count()
}

#[test]
fn the_threads_have_the_names_that_the_guide_gives_them() {
    apart::check(apart::this_binary(), "start_and_stop::threads::named");
}

#[test]
#[ignore = "runs alone, in a child process"]
fn named() {
    let guide = include_str!("../../../src/lib.rs");
    let cluster = cluster();
    let checks = |_: &MessageView| TransactionState::Commit;
    let strategy = FaultStrategy::v4().detector(ms(50), PATIENCE);
    let producer = TransactionProducer::builder("group", checks)
        .name_server(cluster.name_server())
        .options(ClientOptions::new().callback_threads(3))
        .check_threads(2)
        .latency_fault(strategy)
        .trace()
        .start()
        .unwrap();
    for mode in MODES {
        assert!(mode.send(producer.producer(), &message("x")).is_ok());
    }
    let expected = [
        ("rmq-callback", 3),
        ("rmq-check", 2),
        ("rmq-detector", 1),
        ("rmq-heartbeat", 1),
        ("rmq-reader", 2),
        ("rmq-retry", 2),
        ("rmq-routes", 1),
        ("rmq-timer", 1),
        ("rmq-trace", 1),
        ("rmq-writer", 1),
    ];
    for (name, _) in expected {
        assert!(guide.contains(&format!("`{name}`")), "{name}");
    }
    let all = || {
        let mut count = BTreeMap::new();
        threads()
            .into_iter()
            .for_each(|name| *count.entry(name).or_default() += 1);
        count
    };
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    let expected: BTreeMap<String, usize> = expected.into();
    // The name server's connection and the broker's, which has asynchronous sends. A thread writes its
    // name itself, when it first runs.
    eventually(&format!("{expected:?}, not {:?}", all()), || {
        all() == expected
    });
}

/// Runs a scenario from the start to the end of its producer.
#[track_caller]
fn check(scenario: impl Fn(&Cluster)) {
    let cluster = brokers(2);
    let before = sockets();
    scenario(&cluster);
    // The system forgets a joined thread a little later.
    eventually("all threads have ended", || threads().is_empty());
    for broker in cluster.brokers() {
        assert!(broker.wait_for_connections(0, PATIENCE));
    }
    eventually("all sockets are closed", || sockets() == before);
}

#[test]
#[ignore = "runs alone, in a child process"]
fn alone() {
    check(|cluster| drop(producer(cluster)));
    check(|cluster| {
        let producer = producer(cluster);
        // A thread writes its name itself, when it first runs.
        eventually("its threads are found", || !threads().is_empty());
        for mode in MODES {
            assert!(mode.send(&producer, &message("x")).is_ok());
        }
        producer.send_oneway(&message("x")).unwrap();
        assert!(producer.shutdown_within(PATIENCE).is_clean());
    });
    check(|cluster| {
        let producer = builder(cluster).send_timeout(PATIENCE * 3).start().unwrap();
        cluster.brokers()[0].inject(Fault::silence().on(On::Send));
        cluster.brokers()[1].set_accept(Accept::NeverRead);
        for _ in 0..100 {
            producer.send_async(message("x"), |_| {});
        }
        let _ = producer.shutdown_within(ms(100));
        for broker in cluster.brokers() {
            // A socket that is never read does not notice the end of its peer.
            broker.disconnect_all();
            broker.kill();
            broker.restart().unwrap();
        }
    });
    check(|cluster| {
        let client =
            Client::start(ClientOptions::new().name_server(cluster.name_server())).unwrap();
        let shared = |group: &str| Producer::builder(group).client(&client).start().unwrap();
        let (a, b) = (shared("a"), shared("b"));
        assert!(a.send(&message("x")).is_ok() && b.send(&message("x")).is_ok());
        drop(client);
        drop(a);
        assert!(b.send(&message("x")).is_ok());
    });
    check(|cluster| {
        let producer = producer(cluster);
        let (done, ended) = bounded(1);
        let last = producer.clone();
        producer.send_async(message("x"), move |_| {
            drop(last);
            done.send(()).unwrap();
        });
        drop(producer);
        ended.recv_timeout(PATIENCE).unwrap();
    });
    // Closed before its producers, whose own threads end too.
    check(|cluster| {
        let client = ClientOptions::new().name_server(cluster.name_server());
        let client = Client::start(client).unwrap();
        let strategy = FaultStrategy::v4().detector(PATIENCE, PATIENCE);
        let setup = Producer::builder("a").client(&client).trace();
        let producer = setup.latency_fault(strategy).start().unwrap();
        assert!(producer.send(&message("x")).is_ok());
        let report = client.shutdown_within(PATIENCE);
        assert!(report.is_clean(), "{report}");
    });
    // A producer of a thread's own ends with the thread, when others of its values have gone.
    check(|cluster| {
        thread_local! {
            static OWN: OnceCell<Producer> = const { OnceCell::new() };
        }
        let send = || {
            OWN.with(|own| {
                let producer = own.get_or_init(|| producer(cluster));
                for mode in MODES {
                    assert!(mode.send(producer, &message("x")).is_ok());
                }
            });
        };
        thread::scope(|scope| scope.spawn(send).join().unwrap());
    });
    check(broken_connections);
    check(|cluster| {
        for _ in 0..20 {
            assert!(producer(cluster).send(&message("x")).is_ok());
        }
    });
}

/// Connections that break in the middle of a write: whichever thread notices it, all their threads
/// end.
fn broken_connections(cluster: &Cluster) {
    let setup = builder(cluster).retries(0).compress_over(usize::MAX);
    let setup = setup.max_message_size(15 << 20).send_timeout(PATIENCE);
    let producer = setup.start().unwrap();
    let broker = &cluster.brokers()[0];
    cluster.set_route("T", Some(route(&[("broker-a", 1, broker.address())])));
    let large = message(vec![7; 12 << 20]);
    for _ in 0..15 {
        broker.clear_faults();
        eventually("connected", || producer.send_oneway(&message("x")).is_ok());
        producer.flush(PATIENCE).unwrap();
        let stalled = broker.inject(Fault::stop_reading().on(On::Send).once());
        producer.send_oneway(&message("x")).unwrap();
        assert!(stalled.wait_hits(1, PATIENCE));
        thread::scope(|scope| {
            // It is written by the thread of its sender, and gets stuck soon.
            let writing = scope.spawn(|| producer.send(&large));
            thread::sleep(ms(10));
            while !writing.is_finished() {
                broker.disconnect_all();
                thread::sleep(ms(1));
            }
        });
        // The broker may accept it only now.
        eventually("the connection is gone", || {
            broker.disconnect_all();
            broker.connections() == 0
        });
    }
    let report = producer.shutdown_within(PATIENCE);
    assert!(report.stuck_threads.is_empty(), "{report}");
}
