//! G4: how late a send ends that runs into its deadline, for each kind of stall, beside how late a
//! plain timed wait ends on the same machine at the same time.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rocketmq_blocking::embedded::{Fault, On};
use rocketmq_blocking::{ErrorKind, Message, Producer, ProducerBuilder};

use crate::bench::*;
use crate::figures::{asked, print, spread};
use crate::script::{Script, Signal, Step};

/// Longer than a silence that says nothing of a broker.
const TIMEOUT: Duration = Duration::from_millis(400);

/// Sends of one wave, half of them synchronous, and plain waits beside them.
const SENDS: usize = 24;
const WAITS: usize = 8;

/// More than all the buffers on the way hold, with so many of them.
const LARGE: usize = 500_000;

const HUGE: usize = 15 << 20;

/// A kind of stall, by the number of its case.
struct Stall {
    name: &'static str,
    bytes: usize,
    /// Holds until the signal is raised.
    begin: fn(&Bench, &Signal),
    setup: fn(ProducerBuilder) -> ProducerBuilder,
    /// What goes before.
    before: fn(&Producer),
}

const PLAIN: Stall = Stall {
    name: "",
    bytes: 1,
    begin: |_, _| (),
    setup: |setup| setup,
    before: |_| (),
};

fn stalls() -> Vec<Stall> {
    let stalls = [
        Stall {
            name: "20, dials get no answer",
            begin: |bench, _| bench.broker().hole(),
            ..PLAIN
        },
        Stall {
            name: "21, no answer",
            begin: |bench, over| {
                let silent = Step::Wait(over.clone());
                let script = Script::replies([Step::UntilSend, silent]);
                bench.broker().always(script);
            },
            ..PLAIN
        },
        Stall {
            name: "25, answers drip",
            begin: |bench, over| {
                let drip = Step::Drip(1, ms(20), over.clone());
                let script = Script::replies([Step::UntilSend, drip]);
                bench.broker().always(script);
            },
            ..PLAIN
        },
        Stall {
            name: "26, nothing is read",
            bytes: LARGE,
            begin: deaf,
            ..PLAIN
        },
        Stall {
            name: "27, reads drip",
            bytes: LARGE,
            begin: |bench, over| {
                let drip = Step::Drip(1024, ms(100), over.clone());
                let script = Script::requests([Step::UntilSend, drip]);
                bench.broker().always(script);
            },
            ..PLAIN
        },
        Stall {
            name: "28, behind a send that is stuck",
            begin: deaf,
            before: |producer| {
                let message = Message::new("Figures", vec![7; HUGE]);
                let prepared = producer.prepare(&message).timeout(LONG);
                prepared.send_async(drop);
            },
            ..PLAIN
        },
        Stall {
            name: "29, half-open",
            begin: |bench, over| {
                let one = [Step::UntilSend, Step::Frame, Step::Wait(over.clone())];
                let script = Script::replies(one.clone()).and_requests(one);
                bench.broker().always(script);
            },
            before: |producer| {
                let message = Message::new("Figures", "x");
                let sent = producer.prepare(&message).timeout(LONG).send();
                assert!(sent.is_ok());
            },
            ..PLAIN
        },
        Stall {
            name: "47, all name servers stall",
            begin: mute,
            ..PLAIN
        },
        #[cfg(feature = "tls")]
        Stall {
            name: "60, the handshake stalls (TLS, name servers)",
            begin: mute,
            setup: |setup| setup.tls(rocketmq_blocking::TlsConfig::new()),
            ..PLAIN
        },
    ];
    stalls.into()
}

fn deaf(bench: &Bench, over: &Signal) {
    let script = Script::requests([Step::UntilSend, Step::Wait(over.clone())]);
    bench.broker().always(script);
}

fn mute(bench: &Bench, over: &Signal) {
    for server in &bench.name_servers {
        // What comes first need not be a frame that could pass.
        server.always(Script::requests([Step::Wait(over.clone()), Step::Fin]));
    }
}

impl Stall {
    /// A producer of its own, for which everything stalls now until the signal is raised.
    fn meet(&self, bench: &Bench, over: &Signal) -> Producer {
        (self.begin)(bench, over);
        let setup = bench.setup("overshoot").retries(0).async_retries(0);
        let setup = setup.max_message_size(HUGE).compress_over(usize::MAX);
        let producer = (self.setup)(setup).start().expect("a producer");
        (self.before)(&producer);
        producer
    }
}

/// What is late on a machine that has other things to do is late at random; what the client adds is
/// there each time. So it is the best of some waves that tells, by the last send of it: one of them
/// may do for all others what takes long.
#[track_caller]
fn check_prompt(mode: Mode) {
    const WAVES: usize = 10;
    for stall in stalls() {
        check_with(1, 2, |bench| {
            bench.add_topic("Figures");
            let mut seen = Vec::new();
            let in_time = (0..WAVES).any(|_| {
                let over = Signal::new();
                let producer = stall.meet(bench, &over);
                let wave = wave(&producer, stall.bytes, [mode; 2]);
                let _ = producer.shutdown_within(ms(100));
                end(bench, &over);
                let last = wave.sends.iter().max().copied();
                let machine = wave.waits.iter().max().copied().unwrap_or_default();
                seen.push((last, machine));
                last.is_some_and(|last| last <= ms(50) + machine)
            });
            assert!(in_time, "{}, {mode:?}: {seen:?}", stall.name);
        });
    }
}

#[test]
fn synchronous_sends_end_within_milliseconds_of_their_time_in_every_stall() {
    check_prompt(Mode::Sync);
}

#[test]
fn asynchronous_sends_end_within_milliseconds_of_their_time_in_every_stall() {
    check_prompt(Mode::Async);
}

#[test]
#[ignore = "figures: see src/docs/faults.md"]
fn figures() {
    let waves = asked("FIGURE_WAVES", 20);
    for stall in stalls() {
        check_with(1, 2, |bench| {
            bench.add_topic("Figures");
            let (mut sends, mut waits, mut early) = (Vec::new(), Vec::new(), 0);
            for _ in 0..waves {
                let over = Signal::new();
                let producer = stall.meet(bench, &over);
                let wave = wave(&producer, stall.bytes, MODES);
                sends.extend(wave.sends);
                waits.extend(wave.waits);
                early += wave.early;
                let _ = producer.shutdown_within(ms(100));
                end(bench, &over);
            }
            let (sends, waits) = (spread(&mut sends), spread(&mut waits));
            let seen = format!("{sends} ({early} early); plain waits {waits}");
            print(&format!("overshoot {}", stall.name), &seen);
        });
    }
}

/// What was held back goes by, and is not stored.
fn end(bench: &Bench, over: &Signal) {
    let lost = bench.cluster.brokers()[0].inject(Fault::silence().on(On::Send));
    over.raise();
    let proxies = || bench.brokers.iter().chain(&bench.name_servers);
    eventually("all connections end", || {
        proxies().map(|proxy| proxy.live()).sum::<usize>() == 0
    });
    lost.remove();
}

/// How much later than its deadline each of many sends ended, and each of the plain waits beside them.
/// Early are those whose connection is given up by another's timeout long before their own.
#[derive(Default)]
struct Wave {
    sends: Vec<Duration>,
    waits: Vec<Duration>,
    early: usize,
}

/// Many at once, of these modes in turn.
fn wave(producer: &Producer, bytes: usize, modes: [Mode; 2]) -> Wave {
    let mut seen = Wave::default();
    let message = Message::new("Figures", vec![7; bytes]);
    let (send, sent) = mpsc::channel();
    let (wait, waited) = mpsc::channel();
    thread::scope(|scope| {
        for i in 0..SENDS {
            let (message, send) = (&message, send.clone());
            scope.spawn(move || {
                let prepared = producer.prepare(message).timeout(TIMEOUT);
                let due = Instant::now() + TIMEOUT;
                let note = move |outcome: Result<_, rocketmq_blocking::Error>| {
                    let now = Instant::now();
                    let kind = outcome.map(|_: rocketmq_blocking::SendReceipt| ());
                    let _ = send.send((due, now, kind.map_err(|error| error.kind())));
                };
                match modes[i % 2] {
                    Mode::Sync => note(prepared.send()),
                    Mode::Async => prepared.send_async(note),
                }
            });
        }
        for _ in 0..WAITS {
            let wait = wait.clone();
            scope.spawn(move || {
                let (lock, never) = (Mutex::new(()), Condvar::new());
                let due = Instant::now() + TIMEOUT;
                while !never.wait_until(&mut lock.lock(), due).timed_out() {}
                let _ = wait.send(Instant::now().saturating_duration_since(due));
            });
        }
    });
    for _ in 0..SENDS {
        let (due, now, outcome) = sent.recv_timeout(PATIENCE).expect("an outcome");
        let kind = outcome.expect_err("nobody is served");
        let soon = due.saturating_duration_since(now) > ms(50);
        match soon || kind != ErrorKind::Timeout {
            true => seen.early += 1,
            false => seen.sends.push(now.saturating_duration_since(due)),
        }
    }
    drop(wait);
    seen.waits.extend(waited);
    seen
}
