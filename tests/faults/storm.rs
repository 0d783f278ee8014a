//! Everything at once: many senders, and connections of which nearly every one breaks, drips or
//! falls silent. The ledger checks the invariants.

use std::cell::Cell;
use std::ops::Range;
use std::thread;

use rocketmq_blocking::ClientOptions;

use crate::bench::random::Random;
use crate::bench::*;

/// Storms of all these seeds. One alone may miss some faults; together they do not.
#[track_caller]
fn check_storms(seeds: Range<u64>, sends: usize) {
    let met: usize = seeds.map(|seed| check_storm(seed, sends)).sum();
    assert!(met > 0, "these were no storms");
}

/// The number of sends that met a fault.
#[track_caller]
fn check_storm(seed: u64, sends: usize) -> usize {
    let met = Cell::new(0);
    check_with(2, 2, |bench| {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for proxy in bench.brokers.iter().chain(&bench.name_servers) {
            for _ in 0..sends {
                proxy.next(random.script());
            }
        }
        let producer = bench.producer(|setup| {
            let setup = setup.options(
                ClientOptions::new()
                    .route_interval(ms(20))
                    .heartbeat_interval(ms(30)),
            );
            // Large bodies are noise: in a build without optimizations, packing them takes longer than
            // the deadlines are.
            let setup = setup
                .options(ClientOptions::new().api_timeout(ms(100)))
                .compress_over(usize::MAX);
            match seed % 2 {
                0 => setup,
                _ => setup.send_message_hook(bench.doubts()),
            }
        });
        thread::scope(|scope| {
            for i in 0..8 {
                let (producer, mut random) = (&producer, Random(seed << 8 | i | 1 << 7));
                scope.spawn(move || {
                    for _ in 0..sends {
                        let timeout = ms(20 + random.below(400) as u64);
                        match random.below(8) {
                            0 => drop(bench.send_bytes(Mode::Async, producer, timeout, 200_000)),
                            1..4 => drop(bench.send(producer, timeout)),
                            _ => drop(bench.submit(producer, timeout)),
                        }
                    }
                });
            }
        });
        let counts = bench.counts();
        println!("seed {seed}: {counts:?}");
        assert!(counts.stored > 0, "{counts:?}");
        met.set(counts.retried + counts.not_sent + counts.maybe_stored);
    });
    met.get()
}

#[test]
fn a_storm_of_faults_loses_nothing_and_every_copy_is_explained() {
    check_storms(0..3, 10);
}

#[test]
#[ignore = "slow: part of the fault slice"]
fn many_storms_lose_nothing_and_every_copy_is_explained() {
    check_storms(100..150, 40);
}
