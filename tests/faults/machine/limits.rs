//! Group G: memory while a broker does not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::{ErrorKind, Message, Result, SendFate, SendReceipt};

use crate::bench::flood::{BODY, BUDGET, Deaf, SECONDS, THREADS, resident};
use crate::bench::measure::asked;
use crate::bench::*;
use crate::support::apart;

/// In a separate process, since the whole process is measured.
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
        // By default glibc keeps freed memory in eight heaps per processor, which would hide the
        // client's use.
        child.env("MALLOC_ARENA_MAX", "1");
        child.env(BODY, body.to_string());
        println!(
            "bodies of {body}: {}",
            apart::check(child, "machine::limits::alone")
        );
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
                // The patient ones fill the capacity, and the others wait for it in vain.
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
        assert!(outcomes.busy.load(Relaxed) > 0, "callers get Busy");
        assert!(grown << 20 <= BUDGET * 5 / 4 + (16 << 20), "{grown} MiB");
    });
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
