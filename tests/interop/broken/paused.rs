//! One of the brokers, broker-b, is stopped for longer than sends have, and goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rocketmq_blocking::error::Wait;
use rocketmq_blocking::{ErrorKind, Message, MessageQueue, SendFate};

use crate::servers::ledger::Ledger;
use crate::servers::wire;
use crate::servers::{PATIENCE, Process, Server, eventually};

const TIMEOUT: Duration = Duration::from_secs(3);
const STOPPED_FOR: Duration = Duration::from_secs(5);

/// Goes on, however the test ends.
struct Stopped<'a>(&'a Process);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.signal("CONT");
    }
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_stopped_broker_costs_the_time_of_its_sends_and_explains_every_copy() {
    let server = Server::from_env();
    let topic = "BrokerStops";
    for broker in &server.brokers {
        wire::create_topic(&broker.address, topic, 2, 6);
    }
    let setup = || server.producer("paused").send_timeout(TIMEOUT);
    // Those of one have nowhere else to go, and the other's have retries.
    let bound = setup().retries(0).async_retries(0).start().unwrap();
    let free = server.producer("paused-free").send_timeout(TIMEOUT);
    let free = free.start().unwrap();
    eventually("the topic is on all brokers", || {
        let queues = free.admin().publish_queues(topic);
        queues.is_ok_and(|queues| queues.len() == 2 * server.brokers.len())
    });
    let queue = MessageQueue::new(topic, "broker-b", 0);
    let ledger = Ledger::default();
    let sync = |text: String, to_b: bool| {
        let message = Message::new(topic, text.clone());
        let producer = if to_b { &bound } else { &free };
        let mut prepared = producer.prepare(&message);
        if to_b {
            prepared = prepared.queue(queue.clone());
        }
        let start = Instant::now();
        let outcome = prepared.send();
        let took = start.elapsed();
        assert!(took < TIMEOUT + Duration::from_secs(10), "{took:?}");
        ledger.note(&text, outcome.clone());
        outcome
    };
    for i in 0..10 {
        assert!(sync(format!("before-{i}"), i % 2 == 0).is_ok());
    }

    let over = AtomicBool::new(false);
    let errors = std::thread::scope(|scope| {
        let (sync, over) = (&sync, &over);
        let stopped = Stopped(server.broker("broker-b"));
        stopped.0.signal("STOP");
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                scope.spawn(move || {
                    let mut errors = Vec::new();
                    for i in 0.. {
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        let outcome = sync(format!("{thread}-{i}"), thread % 2 == 0);
                        errors.extend(outcome.err());
                    }
                    errors
                })
            })
            .collect();
        // The stop itself takes this long.
        std::thread::sleep(STOPPED_FOR);
        drop(stopped);
        eventually("it is used again", || {
            let text = format!("after-{}", ledger.len());
            sync(text, true).is_ok()
        });
        over.store(true, Ordering::Relaxed);
        let errors = threads.into_iter().map(|thread| thread.join().unwrap());
        errors.flatten().collect::<Vec<_>>()
    });
    let timed_out = errors.iter().filter(|error| {
        let doubt = error.fate() == SendFate::MaybeStored;
        error.kind() == ErrorKind::Timeout && error.wait() == Some(Wait::Response) && doubt
    });
    assert!(timed_out.count() > 0, "{errors:?}");
    let found = ledger.check(&server, &free, topic);
    println!("{found:?}");
    assert_eq!(found.missing, 0, "{found:?}");
    assert!(bound.shutdown_within(PATIENCE).is_clean());
    assert!(free.shutdown_within(PATIENCE).is_clean());
}
