//! The end: idempotent, bounded, and from anywhere; every send is answered.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded, unbounded};
use rocketmq_blocking::embedded::{Accept, Cluster, Fault, Gate, On};
use rocketmq_blocking::{Client, ClientOptions, ErrorKind, Producer, SendFate};

use crate::support::*;

fn patient(cluster: &Cluster) -> Producer {
    builder(cluster).send_timeout(PATIENCE * 3).start().unwrap()
}

#[test]
fn after_a_shutdown_every_call_is_refused() {
    let cluster = cluster();
    let producer = producer(&cluster);
    assert!(producer.send(&message("x")).is_ok());
    let clone = producer.clone();
    let report = producer.shutdown_within(PATIENCE);
    assert!(report.is_clean(), "{report}");
    // All that it said has arrived when its connections have ended.
    assert!(cluster.broker("broker-a").wait_for_connections(0, PATIENCE));
    assert!(cluster.name_servers()[0].wait_for_connections(0, PATIENCE));
    assert_eq!(cluster.requests(&On::Unregister).len(), 1);
    assert!(cluster.broker("broker-a").producers().is_empty());
    cluster.clear_requests();
    for mode in MODES {
        let error = error(mode.send(&clone, &message("x")));
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::Closed, SendFate::NotSent)
        );
    }
    assert_eq!(
        clone.send_oneway(&message("x")).unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert_eq!(
        error(clone.submit(message("x")).wait()).kind(),
        ErrorKind::Closed
    );
    assert!(clone.flush(ms(0)).is_ok());
    assert!(
        clone.shutdown_within(ms(0)).is_clean(),
        "it was done by the first"
    );
    drop((producer, clone));
    assert!(cluster.requests(&On::Any).is_empty());
}

/// The client unregisters each of its groups, as a producer does at its shutdown.
#[test]
fn a_shared_client_unregisters_the_remaining_producers() {
    let cluster = cluster();
    let client = Client::start(ClientOptions::new().name_server(cluster.name_server())).unwrap();
    let producers = ["one", "two", "three"]
        .map(|group| Producer::builder(group).client(&client).start().unwrap());
    let [one, two, _] = &producers;
    assert!(one.send(&message("x")).is_ok());
    assert!(two.shutdown_within(PATIENCE).is_clean());
    assert!(client.shutdown_within(PATIENCE).is_clean());
    // All that it said has arrived when its connections have ended.
    assert!(cluster.broker("broker-a").wait_for_connections(0, PATIENCE));
    let mut gone: Vec<_> = cluster
        .requests(&On::Unregister)
        .iter()
        .map(|request| {
            request
                .command()
                .ext
                .get("producerGroup")
                .map(str::to_owned)
        })
        .collect();
    gone.sort();
    assert_eq!(
        gone,
        ["one", "three", "two"].map(|group| Some(group.to_owned()))
    );
    drop(producers);
    assert_eq!(cluster.requests(&On::Unregister).len(), 3, "once each");
}

#[test]
fn eight_threads_may_shut_down_at_once_and_all_return_when_it_is_over() {
    for shared in [false, true] {
        let cluster = cluster();
        let client =
            Client::start(ClientOptions::new().name_server(cluster.name_server())).unwrap();
        let producer = match shared {
            true => Producer::builder("group").client(&client).start().unwrap(),
            false => producer(&cluster),
        };
        assert!(producer.send(&message("x")).is_ok());
        let ready = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    ready.wait();
                    let report = match shared {
                        true => client.shutdown_within(PATIENCE),
                        false => producer.shutdown_within(PATIENCE),
                    };
                    assert!(report.is_clean(), "{report}");
                    // Its threads have ended, so that its sockets are closed.
                    let broker = cluster.broker("broker-a");
                    assert!(broker.wait_for_connections(0, PATIENCE));
                });
            }
        });
    }
}

#[test]
fn a_second_shutdown_waits_for_the_first() {
    for shared in [false, true] {
        let cluster = cluster();
        let client = ClientOptions::new().name_server(cluster.name_server());
        let client = Client::start(client).unwrap();
        let producer = match shared {
            true => Producer::builder("group").client(&client).start().unwrap(),
            false => producer(&cluster),
        };
        let (release, gate) = bounded::<()>(0);
        let (started, starts) = bounded(1);
        producer.send_async(message("x"), move |_| {
            started.send(()).unwrap();
            assert!(gate.recv().is_err());
        });
        starts.recv_timeout(PATIENCE).unwrap();
        let shutdown = || match shared {
            true => client.shutdown_within(PATIENCE),
            false => producer.shutdown_within(PATIENCE),
        };
        thread::scope(|scope| {
            let first = scope.spawn(shutdown);
            eventually("the end has begun", || {
                producer.send_oneway(&message("y")).is_err()
            });
            let second = scope.spawn(shutdown);
            thread::sleep(ms(30));
            assert!(!first.is_finished() && !second.is_finished());
            drop(release);
            assert!(first.join().unwrap().is_clean());
            assert!(second.join().unwrap().is_clean());
        });
    }
}

#[test]
fn sends_in_flight_are_answered_before_the_end() {
    let cluster = cluster();
    let gate = Gate::new();
    let held = cluster
        .broker("broker-a")
        .inject(Fault::hold(&gate).on(On::Send));
    let producer = patient(&cluster);
    let pending: Vec<_> = (0..50)
        .map(|_| send_async(&producer, message("x")))
        .collect();
    assert!(held.wait_hits(50, PATIENCE));
    thread::scope(|scope| {
        let closing = scope.spawn(|| producer.shutdown_within(PATIENCE));
        eventually("new sends are refused", || {
            producer
                .send_oneway(&message("y"))
                .is_err_and(|e| e.kind() == ErrorKind::Closed)
        });
        assert!(!closing.is_finished());
        gate.open();
        assert!(closing.join().unwrap().is_clean());
    });
    // The callbacks have run.
    for results in &pending {
        assert!(results.try_recv().unwrap().is_ok());
    }
}

#[test]
fn a_stalled_broker_does_not_hold_up_the_end() {
    for accept in [Accept::Serve, Accept::NeverRead] {
        let cluster = cluster();
        let broker = cluster.broker("broker-a");
        broker.set_accept(accept);
        broker.inject(Fault::silence());
        let setup = builder(&cluster).send_timeout(PATIENCE * 3);
        let setup = setup
            .compress_over(usize::MAX)
            .options(ClientOptions::new().max_in_flight_bytes(10 << 20));
        let producer = setup.start().unwrap();
        let body = match accept {
            Accept::NeverRead => vec![7; 2 << 20],
            _ => vec![7],
        };
        let pending: Vec<_> = (0..5)
            .map(|_| send_async(&producer, message(body.clone())))
            .collect();
        thread::scope(|scope| {
            // One more that waits for capacity, or for its answer.
            let sync = scope.spawn(|| error(producer.send(&message(body.clone()))));
            assert!(broker.wait_for_connections(1, PATIENCE));
            let start = Instant::now();
            let report = producer.shutdown_within(ms(400));
            let took = start.elapsed();
            assert!(took < ms(400) + STALL, "{took:?}");
            assert!(report.unanswered >= 5, "{report}");
            let pending = pending.iter().map(|results| error(only(results)));
            for error in pending.chain([sync.join().unwrap()]) {
                // A goodbye that is late shows that the broker is silent.
                let is_late = took >= ms(600) && error.kind() == ErrorKind::Disconnected;
                assert!(is_late || error.kind() == ErrorKind::Closed, "{error}");
            }
        });
        // A socket that is never read does not notice the end of its peer.
        if accept == Accept::Serve {
            assert!(broker.wait_for_connections(0, PATIENCE));
        }
    }
}

#[test]
fn a_shutdown_from_inside_a_callback_works() {
    let cluster = cluster();
    let producer = builder(&cluster)
        .options(ClientOptions::new().callback_threads(2))
        .start()
        .unwrap();
    let (done, reports) = bounded(1);
    let inner = producer.clone();
    producer.send_async(message("x"), move |_| {
        done.send(inner.shutdown_within(PATIENCE)).unwrap();
    });
    let report = reports.recv_timeout(PATIENCE).unwrap();
    assert!(report.is_clean(), "{report}");
    assert!(cluster.broker("broker-a").wait_for_connections(0, PATIENCE));
}

/// None of them may wait for the thread of another.
#[test]
fn shutdowns_from_several_callbacks_and_outside_do_not_wait_for_each_other() {
    for shared in [false, true] {
        let cluster = cluster();
        let client = ClientOptions::new()
            .name_server(cluster.name_server())
            .callback_threads(3);
        let client = Client::start(client).unwrap();
        let producer = match shared {
            true => Producer::builder("group").client(&client).start().unwrap(),
            false => builder(&cluster)
                .options(ClientOptions::new().callback_threads(3))
                .start()
                .unwrap(),
        };
        let ready = Arc::new(Barrier::new(4));
        let (done, ends) = bounded(3);
        for _ in 0..3 {
            let (inner, client, ready) = (producer.clone(), client.clone(), ready.clone());
            let done = done.clone();
            producer.send_async(message("x"), move |_| {
                ready.wait();
                // One that waited for another would do so for all of this time.
                if shared {
                    let _ = client.shutdown_within(PATIENCE);
                }
                let _ = inner.shutdown_within(PATIENCE);
                done.send(()).unwrap();
            });
        }
        ready.wait();
        let start = Instant::now();
        let report = match shared {
            true => client.shutdown_within(PATIENCE),
            false => producer.shutdown_within(PATIENCE),
        };
        for _ in 0..3 {
            ends.recv_timeout(PATIENCE).unwrap();
        }
        let took = start.elapsed();
        assert!(took < PATIENCE / 2, "{took:?} {report}");
    }
}

#[test]
fn a_callback_stuck_in_user_code_is_reported_and_left() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let (release, gate) = bounded::<()>(0);
    let (started, starts) = bounded(1);
    producer.send_async(message("x"), move |_| {
        started.send(()).unwrap();
        assert!(gate.recv().is_err());
    });
    starts.recv_timeout(PATIENCE).unwrap();
    let start = Instant::now();
    let report = producer.shutdown_within(ms(3000));
    assert!(start.elapsed() < ms(3000) + STALL);
    assert_eq!(report.stuck_threads, ["rmq-callback"]);
    assert_eq!(
        report.unanswered, 0,
        "a callback that has started is answered"
    );
    assert!(report.to_string().contains("rmq-callback"), "{report}");
    drop(release);
}

#[test]
fn dropping_the_last_handle_answers_everything() {
    let cluster = cluster();
    let gate = Gate::new();
    let held = cluster
        .broker("broker-a")
        .inject(Fault::hold(&gate).on(On::Send));
    let producer = patient(&cluster);
    let pending: Vec<_> = (0..20)
        .map(|_| send_async(&producer, message("x")))
        .collect();
    let handle = producer.submit(message("y"));
    assert!(held.wait_hits(21, PATIENCE));
    let start = Instant::now();
    drop(producer);
    assert!(start.elapsed() < Duration::from_secs(3) + STALL);
    for results in &pending {
        assert_eq!(error(only(results)).kind(), ErrorKind::Closed);
    }
    assert_eq!(error(handle.wait()).fate(), SendFate::MaybeStored);
    assert!(cluster.broker("broker-a").wait_for_connections(0, PATIENCE));
}

/// Very many, by the drop of the last handle: each is answered once.
#[test]
fn ten_thousand_in_flight_are_answered_once_when_the_last_handle_is_dropped() {
    const SENDS: usize = 10_000;
    let cluster = cluster();
    let broker = cluster.broker("broker-a");
    let silent = broker.inject(Fault::silence().on(On::Send));
    let producer = patient(&cluster);
    let (done, results) = unbounded();
    for i in 0..SENDS {
        let done = done.clone();
        let told = move |result: rocketmq_blocking::Result<_>| {
            let error: rocketmq_blocking::Error = result.map(drop).unwrap_err();
            done.send((i, error.kind(), error.fate())).unwrap();
        };
        producer.send_async(message("x"), told);
    }
    drop(done);
    assert!(silent.wait_hits(SENDS, PATIENCE));
    drop(producer);
    // The channel ends with the last callback, which may come behind a drop that had to hurry.
    let mut told = Vec::new();
    let end = loop {
        match results.recv_timeout(PATIENCE) {
            Ok(one) => told.push(one),
            Err(end) => break end,
        }
    };
    assert_eq!(end, RecvTimeoutError::Disconnected);
    told.sort_by_key(|(i, ..)| *i);
    let once = |i| (i, ErrorKind::Closed, SendFate::MaybeStored);
    assert!(told == (0..SENDS).map(once).collect::<Vec<_>>());
    assert!(broker.wait_for_connections(0, PATIENCE));
}

/// The best of a few shows the cost on an idle machine.
#[test]
fn a_shutdown_ends_within_its_time() {
    let cluster = cluster();
    cluster.broker("broker-a").inject(Fault::silence());
    let took = || {
        let producer = patient(&cluster);
        let lost = send_async(&producer, message("x"));
        let start = Instant::now();
        let report = producer.shutdown_within(ms(200));
        let took = start.elapsed();
        assert_eq!(report.unanswered, 1);
        let error = error(only(&lost));
        // If it is late, its goodbye may show that the broker is silent.
        let is_closed = error.kind() == ErrorKind::Closed;
        assert!(is_closed || took > ms(250), "{error}");
        took
    };
    let best = (0..10).map(|_| took()).find(|took| *took <= ms(250));
    assert!(best.is_some(), "none of ten within 50 ms of its time");
}

#[test]
fn a_callback_may_drop_the_last_handle() {
    let cluster = cluster();
    let gate = Gate::new();
    let held = cluster
        .broker("broker-a")
        .inject(Fault::hold(&gate).on(On::Send));
    let producer = producer(&cluster);
    let (done, ended) = bounded(1);
    let last = producer.clone();
    producer.send_async(message("x"), move |result| {
        assert!(result.is_ok());
        drop(last);
        done.send(()).unwrap();
    });
    assert!(held.wait_hits(1, PATIENCE));
    drop(producer);
    gate.open();
    ended.recv_timeout(PATIENCE).unwrap();
    assert!(cluster.broker("broker-a").wait_for_connections(0, PATIENCE));
    assert!(cluster.broker("broker-a").producers().is_empty());
}

/// The shutdown comes between the choice of the queue and the dial: a new connection would never be
/// closed.
#[test]
fn a_send_in_flight_opens_no_connection_after_the_end() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let closing = producer.clone();
    let message = message("x");
    let send = producer.prepare(&message).select(move |_| {
        let _ = closing.shutdown_within(ms(20));
        0
    });
    let error = error(send.send());
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert_eq!(error.fate(), SendFate::NotSent);
    drop(producer);
    assert!(sends(&cluster).is_empty());
    assert_eq!(cluster.broker("broker-a").connections(), 0);
}

/// The capacity belongs to the client, which lives on: nothing else would wake them.
#[test]
fn the_end_of_one_producer_wakes_its_waiters_in_a_shared_client() {
    let cluster = cluster();
    let broker = cluster.broker("broker-a");
    let silent = broker.inject(Fault::silence().on(On::Send));
    let client = ClientOptions::new().name_server(cluster.name_server());
    let client = Client::start(client.max_in_flight_messages(1)).unwrap();
    let with = |group: &str| {
        let setup = Producer::builder(group).client(&client);
        setup.send_timeout(PATIENCE * 3).start().unwrap()
    };
    let (other, ending) = (with("other"), with("ending"));
    let held = send_async(&other, message("x"));
    assert!(silent.wait_hits(1, PATIENCE));
    thread::scope(|scope| {
        let waits = scope.spawn(|| ending.send_oneway(&message("x")).unwrap_err());
        // Until it is queued, the shutdown would find no waiter.
        thread::sleep(ms(20));
        let _ = ending.shutdown_within(ms(1000));
        eventually("it is woken", || waits.is_finished());
        assert_eq!(waits.join().unwrap().kind(), ErrorKind::Closed);
    });
    assert!(held.try_recv().is_err(), "the other one goes on");
    let _ = client.shutdown_within(ms(100));
}

#[test]
fn a_shutdown_wakes_all_waiters() {
    // For capacity, between attempts, and for a route.
    for case in 0..3 {
        let cluster = cluster();
        let broker = cluster.broker("broker-a");
        let setup = builder(&cluster)
            .send_timeout(PATIENCE * 3)
            .retries(u32::MAX);
        let producer = setup
            .options(ClientOptions::new().max_in_flight_messages(1))
            .start()
            .unwrap();
        match case {
            0 => drop(broker.inject(Fault::silence().on(On::Send))),
            1 => drop(broker.inject(Fault::answer(2, "busy").on(On::Send))),
            _ => drop(cluster.name_servers()[0].inject(Fault::silence())),
        }
        thread::scope(|scope| {
            let waiting = match case {
                0 => {
                    let held = send_async(&producer, message("x"));
                    drop(held);
                    scope.spawn(|| producer.send_oneway(&message("x")).unwrap_err())
                }
                _ => scope.spawn(|| error(producer.send(&message("x")))),
            };
            eventually("the servers were asked", || match case {
                2 => !cluster.requests(&On::Route).is_empty(),
                _ => !sends(&cluster).is_empty(),
            });
            let start = Instant::now();
            let _ = producer.shutdown_within(ms(300));
            let error = waiting.join().unwrap();
            assert!(start.elapsed() < ms(300) + STALL, "{case}: {error}");
            if case != 1 {
                assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            }
        });
    }
}
