//! G4: how late a send ends that runs into its deadline, for each kind of stall, beside how late a
//! plain timed wait ends on the same machine at the same time.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rocketmq_blocking::embedded::{Fault, On};

use crate::bench::*;
use crate::figures::{asked, print, spread};
use crate::script::{Script, Signal, Step};
use crate::sender::{HUGE, Late, Ours, Sender, Setup};

/// Longer than a silence that says nothing of a broker.
const TIMEOUT: Duration = Duration::from_millis(400);

/// Sends of one wave, half of them synchronous, and plain waits beside them.
const SENDS: usize = 24;
const WAITS: usize = 8;

/// More than all the buffers on the way hold, with so many of them.
const LARGE: usize = 500_000;

/// A kind of stall, by the number of its case.
struct Stall {
    name: &'static str,
    bytes: usize,
    /// Holds until the signal is raised.
    begin: fn(&Bench, &Signal),
    tls: bool,
    /// What goes before, with so many bytes. A synchronous one is to succeed.
    before: Option<(Mode, usize)>,
}

const PLAIN: Stall = Stall {
    name: "",
    bytes: 1,
    begin: |_, _| (),
    tls: false,
    before: None,
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
            before: Some((Mode::Async, HUGE)),
            ..PLAIN
        },
        Stall {
            name: "29, half-open",
            begin: |bench, over| {
                let one = [Step::UntilSend, Step::Frame, Step::Wait(over.clone())];
                let script = Script::replies(one.clone()).and_requests(one);
                bench.broker().always(script);
            },
            before: Some((Mode::Sync, 1)),
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
            tls: true,
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
    fn meet(&self, bench: &Bench, sender: &mut dyn Sender, over: &Signal) {
        (self.begin)(bench, over);
        let setup = Setup {
            tls: self.tls,
            ..Setup::default()
        };
        sender.start(bench, setup);
        if let Some((mode, bytes)) = self.before {
            sender.begin(mode, 1, bytes);
            assert!(mode == Mode::Async || sender.over().1 == 0);
        }
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
            let (mut sender, mut seen) = (Ours::default(), Vec::new());
            let in_time = (0..WAVES).any(|_| {
                let (over, mut waits) = (Signal::new(), Vec::new());
                stall.meet(bench, &mut sender, &over);
                let sends = wave(&mut sender, &[mode], stall.bytes, &mut waits);
                end(bench, &mut sender, &over);
                let last = sends.iter().filter_map(|send| send.late).max();
                let machine = waits.iter().max().copied().unwrap_or_default();
                seen.push((last, machine));
                last.is_some_and(|last| last <= ms(50) + machine)
            });
            assert!(in_time, "{}, {mode:?}: {seen:?}", stall.name);
        });
    }
}

#[test]
fn synchronous_sends_end_within_50_ms_of_their_time_in_every_stall() {
    check_prompt(Mode::Sync);
}

#[test]
fn asynchronous_sends_end_within_50_ms_of_their_time_in_every_stall() {
    check_prompt(Mode::Async);
}

#[test]
#[ignore = "figures: see src/docs/faults.md"]
fn figures() {
    overshoot_of(&mut Ours::default(), &MODES);
}

pub fn overshoot_of(sender: &mut dyn Sender, modes: &[Mode]) {
    let waves = asked("FIGURE_WAVES", 20);
    let only = std::env::var("FIGURE_STALL").unwrap_or_default();
    let asked_for = |stall: &Stall| stall.name.starts_with(&only);
    for stall in stalls().into_iter().filter(asked_for) {
        check_with(1, 2, |bench| {
            bench.add_topic("Figures");
            let (mut sends, mut waits) = (Vec::new(), Vec::new());
            for _ in 0..waves {
                let over = Signal::new();
                stall.meet(bench, sender, &over);
                sends.extend(wave(sender, modes, stall.bytes, &mut waits));
                end(bench, sender, &over);
            }
            let name = format!("{}overshoot {}", sender.name(), stall.name);
            print(&name, &told(&sends, &mut waits));
        });
    }
}

/// What was held back goes by, and is not stored.
fn end(bench: &Bench, sender: &mut dyn Sender, over: &Signal) {
    let lost = bench.cluster.brokers()[0].inject(Fault::silence().on(On::Send));
    // First, so that a shutdown that says goodbye to its brokers is not what is measured.
    over.raise();
    sender.stop(ms(100));
    let proxies = || bench.brokers.iter().chain(&bench.name_servers);
    eventually("all connections end", || {
        proxies().map(|proxy| proxy.live()).sum::<usize>() == 0
    });
    lost.remove();
}

/// Many at once: how much later than its deadline each of them ends, and beside them how much later
/// plain waits do.
fn wave(
    sender: &mut dyn Sender,
    modes: &[Mode],
    bytes: usize,
    waits: &mut Vec<Duration>,
) -> Vec<Late> {
    let (wait, waited) = mpsc::channel();
    let sends = thread::scope(|scope| {
        for _ in 0..WAITS {
            let wait = wait.clone();
            scope.spawn(move || {
                let (lock, never) = (Mutex::new(()), Condvar::new());
                let due = Instant::now() + TIMEOUT;
                while !never.wait_until(&mut lock.lock(), due).timed_out() {}
                let _ = wait.send(Instant::now().saturating_duration_since(due));
            });
        }
        sender.wave(modes, SENDS, bytes, TIMEOUT)
    });
    drop(wait);
    waits.extend(waited);
    sends
}

fn told(sends: &[Late], waits: &mut [Duration]) -> String {
    let mut times: Vec<Duration> = sends.iter().filter_map(|send| send.late).collect();
    let early = sends.len() - times.len();
    let seen = match times.is_empty() {
        true => "none".to_owned(),
        false => spread(&mut times),
    };
    let mut errors: BTreeMap<&str, usize> = BTreeMap::new();
    for send in sends.iter().filter(|send| send.late.is_some()) {
        *errors.entry(&send.error).or_default() += 1;
    }
    let waits = spread(waits);
    format!("{seen} ({early} early), by {errors:?}; plain waits {waits}")
}
