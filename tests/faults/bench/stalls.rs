//! Stalls of every kind, and waves of sends that run into their deadlines in them, beside plain timed
//! waits on the same machine at the same time.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rocketmq_blocking::embedded::{Fault, On};

use super::script::{Script, Signal, Step};
use super::sender::{HUGE, Late, Sender, Setup};
use super::*;

/// Longer than a harmless silence of a broker.
const TIMEOUT: Duration = Duration::from_millis(400);

/// Sends of one wave, half of them synchronous, and plain waits beside them.
const SENDS: usize = 24;
const WAITS: usize = 8;

/// This many exceed all the buffers on the way.
const LARGE: usize = 500_000;

/// A kind of stall, by the number of its case.
pub struct Stall {
    pub name: &'static str,
    pub bytes: usize,
    /// Holds until the signal is raised.
    begin: fn(&Bench, &Signal),
    tls: bool,
    /// A send before the stall, with a body of this size. A synchronous one must succeed.
    before: Option<(Mode, usize)>,
}

const PLAIN: Stall = Stall {
    name: "",
    bytes: 1,
    begin: |_, _| (),
    tls: false,
    before: None,
};

pub fn stalls() -> Vec<Stall> {
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
        // The first bytes need not be a frame that could pass.
        server.always(Script::requests([Step::Wait(over.clone()), Step::Fin]));
    }
}

impl Stall {
    /// A new producer, for which everything stalls until the signal is raised.
    pub fn meet(&self, bench: &Bench, sender: &mut dyn Sender, over: &Signal) {
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

/// Held bytes are dropped, and not stored.
pub fn end(bench: &Bench, sender: &mut dyn Sender, over: &Signal) {
    let lost = bench.cluster.brokers()[0].inject(Fault::silence().on(On::Send));
    // First, so that the shutdown's unregistering is not measured.
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
pub fn wave(
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
