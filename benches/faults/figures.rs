//! The scenarios, each with its sender.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rocketmq_blocking::embedded::{Fault, On};

use crate::bench::flood::{BODY, BUDGET, SECONDS, THREADS, resident};
use crate::bench::measure::{asked, print, seed, spread};
use crate::bench::random::Random;
use crate::bench::script::{Script, Signal, Step};
use crate::bench::sender::{Late, Sender, Setup};
use crate::bench::stalls::{Stall, end, stalls, wave};
use crate::bench::*;

/// G1 and G2 on the embedded cluster: how many callbacks were lost, and came twice, and how many
/// confirmed messages are missing.
pub fn callbacks_of(sender: &mut dyn Sender) -> [usize; 3] {
    const WINDOW: usize = 5000;
    let sends = asked("FIGURE_SENDS", 200_000);
    let mut bad = [0; 3];
    check(2, |bench| {
        bench.add_topic("Figures");
        let setup = Setup {
            retries: 4,
            route_interval: ms(100),
            ..Setup::default()
        };
        sender.start(bench, setup);
        let (mut faults, start) = (0, Instant::now());
        let mut random = Random(seed() | 1);
        let called = sender.keyed(sends, WINDOW, &mut || {
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
        });
        let took = start.elapsed();
        sender.stop(PATIENCE);
        let mut copies: HashMap<usize, usize> = HashMap::new();
        for message in bench.cluster.messages("Figures") {
            let key = message.unique_key().expect("a key");
            let i = usize::from_str_radix(key, 16).expect("our own key");
            *copies.entry(i).or_default() += 1;
        }
        let confirmed = (0..sends).filter(|i| called.confirmed[*i]);
        let (stored, missing): (Vec<_>, Vec<_>) = confirmed.partition(|i| copies.contains_key(i));
        let (ok, missing) = (stored.len() + missing.len(), missing.len());
        let (lost, doubled, failed) = (called.lost, called.doubled, sends - ok);
        let more: usize = copies.values().map(|n| n - 1).sum();
        let seen = format!(
            "{sends} sends, {faults} faults in {took:.0?}: {lost} lost, {doubled} doubled; \
             {ok} confirmed ({missing} of them missing), {failed} failed, {more} more copies"
        );
        print(&format!("{}callbacks", sender.name()), &seen);
        bad = [lost, doubled, missing];
    });
    bad
}

/// G5: the time from the end of a connection to the errors of all its waiters.
pub fn ends_of(sender: &mut dyn Sender) {
    let rounds = asked("FIGURE_ROUNDS", 200);
    for (name, end) in [("FIN", Step::Fin), ("RST", Step::Reset)] {
        for (in_flight, rounds) in [(1, rounds), (1000, rounds / 10), (60_000, 5)] {
            check(1, |bench| {
                let mut times = Vec::new();
                bench.add_topic("Figures");
                // The answers to this many would not fit into the buffers.
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
                    // No heartbeat's timeout shall end the connection before.
                    let setup = Setup {
                        api_timeout: LONG,
                        ..Setup::default()
                    };
                    sender.start(bench, setup);
                    // Without the ledger, whose own work would be measured too.
                    sender.begin(Mode::Async, in_flight, 1);
                    all.wait();
                    go.raise();
                    let start = over.wait();
                    let (last, failed) = sender.over();
                    assert_eq!(failed, in_flight, "no send is answered");
                    times.push(last.saturating_duration_since(start));
                    sender.stop(PATIENCE);
                }
                silence.remove();
                let who = sender.name();
                let name = format!("{who}{name} with {in_flight} in flight, to the last error");
                print(&name, &spread(&mut times));
            });
        }
    }
}

/// G6: a broker is back, and senders are there.
pub fn back_of(sender: &mut dyn Sender) {
    let rounds = asked("FIGURE_ROUNDS", 200) / 10;
    check(1, |bench| {
        bench.add_topic("Figures");
        let setup = Setup {
            retries: u32::MAX,
            ..Setup::default()
        };
        sender.start(bench, setup);
        sender.begin(Mode::Sync, 1, 1);
        assert_eq!(sender.over().1, 0, "nothing is in its way");
        let mut times = Vec::new();
        for round in 0..rounds as u64 {
            bench.broker().refuse();
            bench.broker().cut();
            let mut start = Instant::now();
            let first = sender.first_of(8, &mut || {
                // Long enough for the longest pauses; not in step with them.
                thread::sleep(ms(1500 + round * 37 % 500));
                bench.broker().serve();
                start = Instant::now();
            });
            times.push(first.saturating_duration_since(start));
        }
        sender.stop(PATIENCE);
        let name = format!("{}broker back to the first success", sender.name());
        print(&name, &spread(&mut times));
    });
}

/// G8: leftover threads and files after this many producers.
pub fn cycles_of(sender: &mut dyn Sender) -> [usize; 2] {
    let cycles = asked("FIGURE_CYCLES", 1000);
    let mut left = [0; 2];
    check(1, |bench| {
        bench.add_topic("Figures");
        let cycle = |sender: &mut dyn Sender| {
            sender.cycle(bench);
            eventually("its connections end", || {
                let proxies = bench.brokers.iter().chain(&bench.name_servers);
                proxies.map(|proxy| proxy.live()).sum::<usize>() == 0
            });
            bench.cluster.clear_requests();
        };
        (0..100).for_each(|_| cycle(sender));
        let before = sender.left();
        let start = Instant::now();
        (0..cycles).for_each(|_| cycle(sender));
        let took = start.elapsed();
        let more = || {
            let now = sender.left();
            let more = [
                now.threads.saturating_sub(before.threads),
                now.files.saturating_sub(before.files),
            ];
            (more, now.bytes.saturating_sub(before.bytes) >> 10)
        };
        // The system forgets a joined thread a little later.
        let end = Instant::now() + PATIENCE;
        while more().0 != [0, 0] && Instant::now() < end {
            thread::sleep(ms(10));
        }
        let ([threads, files], grown) = more();
        let stored = bench.cluster.messages("Figures").len();
        let seen = format!(
            "{cycles} in {took:.0?}: {threads} threads, {files} files, {grown} KiB more \
             (the embedded broker keeps {stored} messages, for ours in the same process)"
        );
        print(&format!("{}start, send, stop", sender.name()), &seen);
        left = [threads, files];
    });
    left
}

/// G7: the end, idle and with everything stalled.
pub fn shutdowns_of(sender: &mut dyn Sender) {
    const GIVEN: Duration = Duration::from_millis(500);
    let rounds = asked("FIGURE_ROUNDS", 200);
    check(3, |bench| {
        bench.add_topic("Figures");
        let mut idle = Vec::new();
        for _ in 0..rounds {
            sender.start(bench, Setup::default());
            sender.begin(Mode::Sync, 1, 1);
            assert_eq!(sender.over().1, 0, "nothing is in its way");
            idle.push(sender.stop(PATIENCE));
        }
        print(
            &format!("{}shutdown, idle", sender.name()),
            &spread(&mut idle),
        );
        let mut stalled = Vec::new();
        for _ in 0..rounds / 10 {
            let over = Signal::new();
            for broker in &bench.brokers {
                let silent = Step::Wait(over.clone());
                broker.always(Script::replies([Step::UntilSend, silent]));
            }
            sender.start(bench, Setup::default());
            sender.begin(Mode::Async, 3000, 1);
            stalled.push(sender.stop(GIVEN));
            over.raise();
        }
        let name = "shutdown within 500 ms, all brokers silent, 3000 in flight: in all";
        let name = format!("{}{name}", sender.name());
        print(&name, &spread(&mut stalled));
        for broker in &bench.brokers {
            broker.always(Script::default());
        }
    });
}

/// G4: how late sends end that run into their deadlines.
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

/// The cost of the bodies alone, without a client: the same number of threads creates them, the
/// same number of bytes is kept as the client admits, and one thread frees them all when the first
/// has expired, as the client does with a broker that does not read. It runs in this process, and
/// so with the heaps of its environment.
pub fn bodies_alone() {
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
