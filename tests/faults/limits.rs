//! Group G: what is held in memory while a broker takes nothing.

use std::fs;
use std::mem;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rocketmq_blocking::{ErrorKind, Message, Result, SendFate, SendReceipt};

use crate::apart;
use crate::bench::*;
use crate::figures::asked;
use crate::script::Signal;

/// The default limit of bytes in flight.
const BUDGET: usize = 64 << 20;

/// For how many seconds, and with bodies of how many bytes, if not otherwise asked for.
pub const SECONDS: &str = "STALL_SECONDS";
pub const BODY: &str = "STALL_BODY";

pub const THREADS: usize = 64;

/// In a process of its own, since it is the whole process that is measured.
#[test]
#[ignore = "slow: part of the fault slice"]
fn case_59_a_flood_at_a_stalled_broker_is_busy_within_its_memory() {
    // The longer ones are written from where they are, the others are copied behind their headers.
    let bodies = match asked(BODY, 0) {
        0 => vec![64 << 10, 16 << 10],
        one => vec![one],
    };
    for body in bodies {
        let mut child = apart::this_binary();
        // By itself, glibc keeps what was freed in eight heaps for each processor, which tells
        // nothing about who holds what.
        child.env("MALLOC_ARENA_MAX", "1");
        child.env(BODY, body.to_string());
        println!("bodies of {body}: {}", apart::check(child, "limits::alone"));
    }
}

#[test]
#[ignore = "runs alone, in a child process"]
fn alone() {
    let (seconds, body) = (asked(SECONDS, 10) as u64, asked(BODY, 64 << 10));
    check(1, |bench| {
        let _stalled = Deaf::start(bench);
        let producer = bench.producer(|setup| setup.compress_over(usize::MAX).async_retries(0));
        let outcomes = Arc::new(Outcomes::default());
        let before = resident();
        let start = Instant::now();
        let end = start + Duration::from_secs(seconds);
        let (mut first_half, mut most) = (before, before);
        thread::scope(|scope| {
            for i in 0..THREADS {
                // The patient ones fill what room there is, and the others wait for it in vain.
                let timeout = ms([3000, 100][i % 2]);
                let (producer, outcomes) = (&producer, &outcomes);
                scope.spawn(move || {
                    while Instant::now() < end {
                        let message = Message::new("Flood", vec![b'x'; body]);
                        let outcomes = outcomes.clone();
                        let prepared = producer.prepare(&message).timeout(timeout);
                        prepared.send_async(move |outcome| outcomes.note(outcome));
                    }
                });
            }
            while Instant::now() < end {
                most = most.max(resident());
                if start.elapsed() < (end - start) / 2 {
                    first_half = most;
                }
                thread::sleep(ms(20));
            }
        });
        producer
            .flush(PATIENCE)
            .expect("all end by their deadlines");
        let [first_half, grown] = [first_half, most].map(|most| (most - before) >> 20);
        println!("{seconds} s: {outcomes:?}, {grown} MiB more, {first_half} in the first half");
        assert!(outcomes.busy.load(Relaxed) > 0, "callers hear of it");
        assert!(grown << 20 <= BUDGET * 5 / 4 + (16 << 20), "{grown} MiB");
    });
}

/// What the bodies alone cost, without any client: as many threads make them, as many bytes of them are
/// kept as the client lets in, and one thread frees them all when the first is over, as the client does
/// with a broker that reads nothing. In the process itself, and so with the heaps that its environment
/// asks for.
#[test]
#[ignore = "figures: see src/docs/faults.md"]
fn figures_bodies_alone() {
    let (seconds, body) = (asked(SECONDS, 10) as u64, asked(BODY, 64 << 10));
    let before = resident();
    let end = Instant::now() + Duration::from_secs(seconds);
    let (kept, room) = (Mutex::new(Vec::new()), Condvar::new());
    let mut most = before;
    thread::scope(|scope| {
        for i in 0..THREADS {
            let timeout = ms([3000, 100][i % 2]);
            let (kept, room) = (&kept, &room);
            scope.spawn(move || {
                while Instant::now() < end {
                    let made = vec![b'x'; body];
                    let due = Instant::now() + timeout;
                    let mut kept = kept.lock();
                    while kept.len() * body >= BUDGET && Instant::now() < due {
                        room.wait_until(&mut kept, due);
                    }
                    if kept.len() * body < BUDGET {
                        kept.push((due, made));
                    }
                }
            });
        }
        while Instant::now() < end {
            most = most.max(resident());
            let now = Instant::now();
            let mut all = kept.lock();
            // The first that is over ends the connection, and so all others.
            let over = match all.iter().any(|(due, _)| *due <= now) {
                true => mem::take(&mut *all),
                false => Vec::new(),
            };
            drop(all);
            drop(over);
            room.notify_all();
            thread::sleep(ms(20));
        }
    });
    println!("{seconds} s: {} MiB more", (most - before) >> 20);
}

/// A broker of the topic `Flood` that takes connections, one at a time, and never reads. No proxy, whose
/// own memory would be measured too.
pub struct Deaf {
    address: SocketAddr,
    over: Signal,
    thread: Option<JoinHandle<()>>,
}

impl Deaf {
    pub fn start(bench: &Bench) -> Deaf {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let broker = ("broker-a".to_owned(), address.to_string());
        let known = route([broker].into_iter());
        bench.cluster.set_route("Flood", Some(known));
        let over = Signal::new();
        let end = over.clone();
        let hold = move || {
            let mut last = None;
            for socket in listener.incoming() {
                if end.wait_for(Duration::ZERO).is_some() {
                    break;
                }
                // The one before is one that the client has given up.
                drop(last.replace(socket));
            }
        };
        Deaf {
            address,
            over,
            thread: Some(thread::spawn(hold)),
        }
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        self.over.raise();
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Debug, Default)]
struct Outcomes {
    stored: AtomicUsize,
    busy: AtomicUsize,
    timed_out: AtomicUsize,
    other: AtomicUsize,
}

impl Outcomes {
    fn note(&self, outcome: Result<SendReceipt>) {
        let count = match outcome.map_err(|error| (error.kind(), error.fate())) {
            Ok(_) => &self.stored,
            Err((ErrorKind::Busy, SendFate::NotSent)) => &self.busy,
            Err((ErrorKind::Timeout, _)) => &self.timed_out,
            Err(_) => &self.other,
        };
        count.fetch_add(1, Relaxed);
    }
}

/// Bytes of memory that the process has.
pub fn resident() -> usize {
    const PAGE: usize = 4096;
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = pages.split(' ').nth(1).and_then(|text| text.parse().ok());
    pages.map_or(0, |pages: usize| pages * PAGE)
}
