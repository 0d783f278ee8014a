//! Sends that go on while something happens to a broker.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rocketmq_blocking::{Message, Producer, SendHandle, SendReceipt};

use crate::servers::stored::Place;
use crate::servers::{Server, eventually};

const SYNC_THREADS: usize = 4;
const WINDOW: usize = 64;

/// The broker that nothing happens to.
const SAFE: &str = "broker-a";

/// Sends from several threads, synchronously and pipelined, until `during` returns. It gets a
/// function that waits until this many more messages went to the safe broker. All sends must
/// succeed.
pub fn send_during(
    producer: &Producer,
    topic: &str,
    during: impl FnOnce(&dyn Fn(usize)),
) -> Vec<SendReceipt> {
    let (safe, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let sender = Sender {
        producer,
        topic,
        safe: &safe,
        stop: &stop,
    };
    std::thread::scope(|scope| {
        // However this ends, the threads do.
        let _stop = Stop(&stop);
        let mut threads: Vec<_> = (0..SYNC_THREADS)
            .map(|i| scope.spawn(move || sender.sync(i)))
            .collect();
        threads.push(scope.spawn(move || sender.pipelined()));
        during(&|more| {
            let then = safe.load(Ordering::Relaxed);
            eventually("sends go on", || {
                safe.load(Ordering::Relaxed) >= then + more
            });
        });
        stop.store(true, Ordering::Relaxed);
        let receipts = threads.into_iter().map(|thread| thread.join().unwrap());
        receipts.flatten().collect()
    })
}

/// Has these brokers create a topic, each by its first message.
pub fn create_topic(producer: &Producer, topic: &str, brokers: &[&str]) -> Vec<SendReceipt> {
    let send = |i| producer.send(&Message::new(topic, format!("first-{i}")));
    let receipts: Vec<SendReceipt> = (0..16).map(|i| send(i).unwrap()).collect();
    let found: BTreeSet<&str> = receipts.iter().map(|r| r.queue().broker()).collect();
    assert_eq!(found, brokers.iter().copied().collect());
    receipts
}

/// These brokers, the only ones left, have exactly the messages that they acknowledged.
pub fn check_stored(server: &Server, topic: &str, receipts: &[SendReceipt], brokers: &[&str]) {
    let acknowledged: BTreeMap<&str, Place> = receipts
        .iter()
        .filter(|receipt| brokers.contains(&receipt.queue().broker()))
        .map(|receipt| (receipt.message_id(), Place::of(receipt)))
        .collect();
    let stored = server.read_back(topic, acknowledged.len());
    for stored in &stored {
        let id = stored.msg_id.as_str();
        assert_eq!(Some(&stored.place()), acknowledged.get(id), "{id}");
    }
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy)]
struct Sender<'a> {
    producer: &'a Producer,
    topic: &'a str,
    safe: &'a AtomicUsize,
    stop: &'a AtomicBool,
}

impl Sender<'_> {
    fn sync(self, thread: usize) -> Vec<SendReceipt> {
        let mut receipts = Vec::new();
        while !self.stopped() {
            let message = self.message(format!("sync-{thread}-{}", receipts.len()));
            let receipt = self.producer.send(&message).unwrap();
            self.count(&receipt);
            receipts.push(receipt);
        }
        receipts
    }

    fn pipelined(self) -> Vec<SendReceipt> {
        let mut receipts = Vec::new();
        let mut window: VecDeque<SendHandle> = VecDeque::new();
        loop {
            if !self.stopped() && window.len() < WINDOW {
                let n = receipts.len() + window.len();
                let message = self.message(format!("submit-{n}"));
                window.push_back(self.producer.submit(message));
            } else if let Some(oldest) = window.pop_front() {
                let receipt = oldest.wait().unwrap();
                self.count(&receipt);
                receipts.push(receipt);
            } else {
                return receipts;
            }
        }
    }

    fn message(&self, text: String) -> Message {
        Message::new(self.topic, text)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn count(&self, receipt: &SendReceipt) {
        if receipt.queue().broker() == SAFE {
            self.safe.fetch_add(1, Ordering::Relaxed);
        }
    }
}
