//! Two brokers are killed and started again, over and over, one at a time. Nothing that was
//! acknowledged may be missing. (A killed process loses no page cache: this is about the client.)
//!
//! `KILLS` says how often (default 3), `KILLS_SEED` decides when, and each of eight threads sends once in
//! `KILLS_PACE` milliseconds (default 1), since all of it is read back by a test, not by a benchmark.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rocketmq_blocking::{ClientOptions, Message, Producer, Result, SendHandle, SendReceipt};

use crate::servers::ledger::Ledger;
use crate::servers::mortal::Mortal;
use crate::servers::wire;
use crate::servers::{Over, PATIENCE, Server, eventually, within};

const SENDERS: usize = 8;

/// The durations of the outages, in turn.
const DOWN: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(5)];

fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn acknowledged_messages_survive_killed_brokers() {
    let (kills, seed) = (asked("KILLS", 3), asked("KILLS_SEED", 1));
    let pace = Duration::from_millis(asked("KILLS_PACE", 1));
    let server = Server::from_env();
    let topic = "BrokersAreKilled";
    let names = ["broker-a", "broker-b"];
    let mut brokers = names.map(|name| Mortal::new(server.broker(name)));
    for name in names {
        wire::create_topic(&server.broker(name).address, topic, 4, 6);
    }
    // A name server forgets a dead broker at once, and names one that is back at the next query.
    let setup = server
        .producer("kills")
        .options(ClientOptions::new().route_interval(Duration::from_millis(500)));
    let ledger = Arc::new(Ledger::default());
    let producer = setup.send_message_hook(ledger.doubts()).start().unwrap();
    // Another producer, whose queries do not refresh the first one's routes.
    let watcher = server.producer("kills-watcher").start().unwrap();
    let both_known = || {
        let queues = watcher.admin().publish_queues(topic);
        queues.is_ok_and(|queues| queues.len() == 8)
    };
    eventually("the topic is on both brokers", both_known);
    let run = Run {
        producer: &producer,
        topic,
        pace,
        ledger,
        stored: Default::default(),
        over: AtomicBool::new(false),
    };
    let mut back = Vec::new();
    std::thread::scope(|scope| {
        let _over = Over(&run.over);
        for i in 0..SENDERS {
            let run = &run;
            scope.spawn(move || run.send(i));
        }
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        for i in 0..kills as usize {
            let (at, broker) = (i % 2, &mut brokers[i % 2]);
            run.wait_for(at, 500);
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // The seed chooses the moment; sends continue.
            std::thread::sleep(Duration::from_millis(random % 300));
            broker.kill();
            run.wait_for(1 - at, 500);
            std::thread::sleep(DOWN[i % DOWN.len()]);
            let before = run.stored[at].load(Ordering::Relaxed);
            broker.start();
            // It listens for some seconds before it registers.
            within(4 * PATIENCE, "the name server knows it again", both_known);
            let known = Instant::now();
            while run.stored[at].load(Ordering::Relaxed) == before {
                assert!(known.elapsed() < PATIENCE, "it is not used again");
                std::thread::sleep(Duration::from_millis(1));
            }
            back.push(known.elapsed());
        }
        run.wait_for(0, 500);
    });
    let found = run.ledger.check(&server, &producer, topic);
    let (fastest, slowest) = (back.iter().min(), back.iter().max());
    println!(
        "{kills} kills, seed {seed}: {found:?}; in use {fastest:?} to {slowest:?} after the name server knew it"
    );
    // One in time is the client's doing, one that is not may be the machine's.
    let in_time = fastest.is_some_and(|took| *took <= Duration::from_secs(5));
    assert!(in_time, "{back:?}");
    assert_eq!(found.missing, 0, "{found:?}");
    assert_eq!(
        found.not_sent + found.maybe_stored,
        0,
        "one was up all the time: {found:?}"
    );
    assert!(producer.shutdown_within(PATIENCE).is_clean());
    assert!(watcher.shutdown_within(PATIENCE).is_clean());
}

struct Run<'a> {
    producer: &'a Producer,
    topic: &'a str,
    pace: Duration,
    ledger: Arc<Ledger>,
    /// The counts by broker.
    stored: [AtomicUsize; 2],
    over: AtomicBool,
}

impl Run<'_> {
    /// Half of the threads wait for each answer, the others for that to the message before.
    fn send(&self, thread: usize) {
        let mut before: Option<(String, SendHandle)> = None;
        for i in 0.. {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let text = format!("{thread}-{i}");
            let message = Message::new(self.topic, text.clone());
            if thread % 2 == 0 {
                self.note(&text, self.producer.send(&message));
            } else {
                let handle = self.producer.submit(message);
                if let Some((text, handle)) = before.replace((text, handle)) {
                    self.note(&text, handle.wait());
                }
            }
            std::thread::sleep(self.pace);
        }
        if let Some((text, handle)) = before {
            self.note(&text, handle.wait());
        }
    }

    fn note(&self, text: &str, outcome: Result<SendReceipt>) {
        if let Ok(receipt) = &outcome {
            let at = usize::from(receipt.queue().broker() == "broker-b");
            self.stored[at].fetch_add(1, Ordering::Relaxed);
        }
        self.ledger.note(text, outcome);
    }

    /// Until this many more messages went to this broker.
    #[track_caller]
    fn wait_for(&self, broker: usize, more: usize) {
        let stored = &self.stored[broker];
        let then = stored.load(Ordering::Relaxed);
        eventually("sends go on", || {
            stored.load(Ordering::Relaxed) >= then + more
        });
    }
}
