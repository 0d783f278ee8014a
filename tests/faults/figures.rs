//! Figures to publish: measured on demand and printed, with what they are compared with in
//! `src/docs/faults.md`. No test fails by how fast a machine is, only by what must never be.
//!
//! `cargo test --release --all-features --test faults figures -- --ignored --nocapture --test-threads=1`

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::embedded::{Fault, On};
use rocketmq_blocking::{Message, Producer};

use crate::bench::*;
use crate::limits::resident;
use crate::script::{Script, Signal, Step};
use crate::storm::Random;
use crate::watch;

/// How large a figure is, by an environment variable.
pub fn asked(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}

pub fn print(figure: &str, seen: &str) {
    let version = env!("CARGO_PKG_VERSION");
    println!("{figure} | {seen} | seed {SEED:#x}, version {version}");
}

/// The median, the 99th percentile and the largest.
pub fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    let (half, most) = (at(50), at(99));
    let last = times.last().expect("at least one");
    format!(
        "p50 {half:.1?}, p99 {most:.1?}, max {last:.1?} of {}",
        times.len()
    )
}

/// G1 and G2 on the embedded cluster.
#[test]
#[ignore = "figures: see src/docs/faults.md"]
fn callbacks() {
    const WINDOW: usize = 5000;
    let sends = asked("FIGURE_SENDS", 200_000);
    check(2, |bench| {
        bench.add_topic("Figures");
        let producer = bench.producer(|setup| setup.route_interval(ms(100)).async_retries(4));
        let called: Arc<[AtomicU8]> = (0..sends).map(|_| AtomicU8::new(0)).collect();
        let confirmed: Arc<[AtomicU8]> = (0..sends).map(|_| AtomicU8::new(0)).collect();
        let done = Arc::new(AtomicUsize::new(0));
        let (mut faults, start) = (0, Instant::now());
        thread::scope(|scope| {
            scope.spawn(|| {
                for i in 0..sends {
                    while i - done.load(SeqCst).min(i) >= WINDOW {
                        thread::yield_now();
                    }
                    let message = Message::new("Figures", "x").unique_key(format!("{i:032X}"));
                    let (called, confirmed) = (called.clone(), confirmed.clone());
                    let done = done.clone();
                    producer.send_async(message, move |outcome| {
                        called[i].fetch_add(1, SeqCst);
                        confirmed[i].fetch_add(u8::from(outcome.is_ok()), SeqCst);
                        done.fetch_add(1, SeqCst);
                    });
                }
            });
            let mut random = Random(SEED | 1);
            while done.load(SeqCst) < sends && start.elapsed() < LONG * 60 {
                thread::sleep(ms(100));
                let broker = &bench.brokers[random.below(2)];
                faults += 1;
                bench.cluster.clear_requests();
                match random.below(3) {
                    0 => broker.cut(),
                    1 => {
                        broker.refuse();
                        broker.cut();
                        broker.serve();
                    }
                    _ => {
                        broker.next(random.script());
                        broker.cut();
                    }
                }
            }
        });
        producer.flush(PATIENCE).expect("all are answered");
        let lost = called.iter().filter(|n| n.load(SeqCst) == 0).count();
        let doubled = called.iter().filter(|n| n.load(SeqCst) > 1).count();
        let mut copies: HashMap<usize, usize> = HashMap::new();
        for message in bench.cluster.messages("Figures") {
            let key = message.unique_key().expect("a key");
            let i = usize::from_str_radix(key, 16).expect("our own key");
            *copies.entry(i).or_default() += 1;
        }
        let confirmed: Vec<usize> = (0..sends)
            .filter(|i| confirmed[*i].load(SeqCst) > 0)
            .collect();
        let missing = confirmed.iter().filter(|i| !copies.contains_key(i));
        let missing = missing.count();
        let more: usize = copies.values().map(|n| n - 1).sum();
        let (ok, failed) = (confirmed.len(), sends - confirmed.len());
        let took = start.elapsed();
        let seen = format!(
            "{sends} sends, {faults} faults in {took:.0?}: {lost} lost, {doubled} doubled; \
             {ok} confirmed ({missing} of them missing), {failed} failed, {more} more copies"
        );
        print("callbacks", &seen);
        assert_eq!((lost, doubled, missing), (0, 0, 0));
    });
}

/// G5: how long it takes from the end of a connection to the errors of all who wait on it.
#[test]
#[ignore = "figures: see src/docs/faults.md"]
fn ends() {
    let rounds = asked("FIGURE_ROUNDS", 200);
    for (name, end) in [("FIN", Step::Fin), ("RST", Step::Reset)] {
        for (in_flight, rounds) in [(1, rounds), (1000, rounds / 10), (60_000, 5)] {
            check(1, |bench| {
                let mut times = Vec::new();
                bench.add_topic("Figures");
                // Answers to so many would not fit into what is between.
                let silence = Fault::silence().on(On::Send);
                let silence = bench.cluster.brokers()[0].inject(silence);
                for _ in 0..rounds {
                    let (all, go, over) = (Signal::new(), Signal::new(), Signal::new());
                    let replies = [
                        Step::Wait(go.clone()),
                        Step::Raise(over.clone()),
                        end.clone(),
                    ];
                    let frame = [Step::UntilSend, Step::Frame];
                    let frames = frame.iter().cycle().take(2 * in_flight);
                    let mut requests: Vec<Step> = frames.cloned().collect();
                    requests.push(Step::Raise(all.clone()));
                    let script = Script::replies(replies).and_requests(requests);
                    bench.broker().next(script);
                    let setup = bench.setup("ends").send_timeout(LONG);
                    let producer = setup.async_retries(0).start().expect("a producer");
                    // Past the ledger, whose own work would be measured too.
                    let (told, last) = (Arc::new(AtomicUsize::new(0)), Signal::new());
                    for _ in 0..in_flight {
                        let (told, last) = (told.clone(), last.clone());
                        let message = Message::new("Figures", "x");
                        producer.send_async(message, move |outcome| {
                            assert!(outcome.is_err());
                            if told.fetch_add(1, SeqCst) + 1 == in_flight {
                                last.raise();
                            }
                        });
                    }
                    all.wait();
                    go.raise();
                    let start = over.wait();
                    times.push(last.wait().saturating_duration_since(start));
                    drop(producer);
                }
                silence.remove();
                let name = format!("{name} with {in_flight} in flight, to the last error");
                print(&name, &spread(&mut times));
            });
        }
    }
}

/// G6: a broker is back, and senders are there.
#[test]
#[ignore = "figures: see src/docs/faults.md"]
fn back() {
    let rounds = asked("FIGURE_ROUNDS", 200) / 10;
    check(1, |bench| {
        let producer = bench.producer(|setup| setup.retries(u32::MAX));
        assert!(bench.send(&producer, LONG).is_ok());
        let mut times = Vec::new();
        for round in 0..rounds as u64 {
            bench.broker().refuse();
            bench.broker().cut();
            let first = thread::scope(|scope| {
                let senders: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            let sent = bench.send(&producer, LONG);
                            sent.map(|_| Instant::now())
                        })
                    })
                    .collect();
                // Long enough for the longest pauses; not in step with them.
                thread::sleep(ms(1500 + round * 37 % 500));
                bench.broker().serve();
                let start = Instant::now();
                let ends = senders.into_iter().map(|s| s.join().expect("no panic"));
                let first = ends.map(|end| end.expect("stored")).min();
                first.expect("one").saturating_duration_since(start)
            });
            times.push(first);
        }
        print("broker back to the first success", &spread(&mut times));
    });
}

/// G8: what is left after so many producers.
#[test]
#[ignore = "figures: see src/docs/faults.md"]
fn cycles() {
    let cycles = asked("FIGURE_CYCLES", 1000);
    check(1, |bench| {
        bench.add_topic("Figures");
        let cycle = |i: usize| {
            let setup = bench.setup(&format!("cycle-{i}"));
            let producer = setup.start().expect("a producer");
            assert!(producer.send(&Message::new("Figures", "x")).is_ok());
            assert!(producer.shutdown_within(PATIENCE).is_clean());
            eventually("its connections end", || {
                let proxies = bench.brokers.iter().chain(&bench.name_servers);
                proxies.map(|proxy| proxy.live()).sum::<usize>() == 0
            });
            bench.cluster.clear_requests();
        };
        (0..100).for_each(cycle);
        let (before, memory) = (watch::resources(), resident());
        let start = Instant::now();
        (100..100 + cycles).for_each(cycle);
        let took = start.elapsed();
        eventually("threads and files are those of the beginning", || {
            watch::resources() == before
        });
        let grown = resident().saturating_sub(memory) >> 10;
        let stored = bench.cluster.messages("Figures").len();
        let seen = format!(
            "{cycles} in {took:.0?}: 0 threads, 0 files, {grown} KiB more \
             (with the {stored} messages that the embedded broker keeps)"
        );
        print("start, send, stop", &seen);
    });
}

/// G7: the end, idle and with everything stalled.
#[test]
#[ignore = "figures: see src/docs/faults.md"]
fn shutdowns() {
    const GIVEN: Duration = Duration::from_millis(500);
    let rounds = asked("FIGURE_ROUNDS", 200);
    check(3, |bench| {
        bench.add_topic("Figures");
        let start = || bench.setup("shutdowns").start().expect("a producer");
        let send = |producer: &Producer, count| {
            let message = Message::new("Figures", "x");
            (0..count).for_each(|_| producer.send_async(message.clone(), drop));
        };
        let end = |producer: Producer, given| {
            let begun = Instant::now();
            let _ = producer.shutdown_within(given);
            begun.elapsed()
        };
        let mut idle = Vec::new();
        for _ in 0..rounds {
            let producer = start();
            assert!(producer.send(&Message::new("Figures", "x")).is_ok());
            idle.push(end(producer, PATIENCE));
        }
        print("shutdown, idle", &spread(&mut idle));
        let mut stalled = Vec::new();
        for _ in 0..rounds / 10 {
            let over = Signal::new();
            for broker in &bench.brokers {
                let silent = Step::Wait(over.clone());
                broker.always(Script::replies([Step::UntilSend, silent]));
            }
            let producer = start();
            send(&producer, 3000);
            let took = end(producer, GIVEN);
            stalled.push(took.saturating_sub(GIVEN));
            over.raise();
        }
        let name = "shutdown within 500 ms, all brokers silent, 3000 in flight: beyond that";
        print(name, &spread(&mut stalled));
        for broker in &bench.brokers {
            broker.always(Script::default());
        }
    });
}
