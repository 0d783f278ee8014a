//! Random faults, three at a time, while members consume. What happens depends on the seed; how far the members
//! are by then does not.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rocketmq_blocking::consumer::{Doing, ShutdownReport};
use rocketmq_blocking::embedded::{Accept, Broker, Cluster, Fault, Gate, Injected, On};
use rocketmq_blocking::{ClientOptions, Message, PushConsumer, Result};

use super::{Behind, Commits, Seen, consumer};
use crate::bench::measure::asked;
use crate::bench::random::Random;
use crate::bench::*;
use crate::support::patient;

/// How long a storm lasts, and the first of its two seeds.
const SECONDS: &str = "STORM_SECONDS";
const FIRST_SEED: &str = "STORM_SEED";

#[test]
#[ignore = "slow: part of the fault slice"]
fn a_storm_of_faults_for_consumers_loses_no_message_and_ends_cleanly() {
    let seconds = Duration::from_secs(asked(SECONDS, 10) as u64);
    let seed = asked(FIRST_SEED, SEED as usize) as u64;
    check_storm(seed, seconds, true);
    check_storm(seed + 1, seconds, false);
}

/// What can go wrong, at one of the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kill,
    Cut,
    Lose,
    Stall,
    Refuse,
    Drip,
    Busy,
    Join,
    Leave,
}

const KINDS: [Kind; 9] = [
    Kind::Kill,
    Kind::Cut,
    Kind::Lose,
    Kind::Stall,
    Kind::Refuse,
    Kind::Drip,
    Kind::Busy,
    Kind::Join,
    Kind::Leave,
];

/// The requests that may fail.
const REQUESTS: [On; 6] = [
    On::Pull,
    On::Commit,
    On::Lock,
    On::Members,
    On::QueryOffset,
    On::Heartbeat,
];

/// The members, and what is broken now.
struct Storm<'a> {
    behind: &'a Behind,
    seen: Seen,
    random: Random,
    may_kill: bool,
    members: Vec<PushConsumer>,
    /// Those that are starting; they may fail.
    joining: Vec<JoinHandle<Result<PushConsumer>>>,
    leaving: Vec<JoinHandle<ShutdownReport>>,
    gates: Vec<Gate>,
    /// The brokers whose links died.
    lost: Vec<usize>,
    faults: Vec<Injected>,
    commits: Commits,
}

#[track_caller]
fn check_storm(seed: u64, time: Duration, may_kill: bool) {
    let cluster = Cluster::builder().brokers(2).topic("T", 4);
    let behind = Behind::start(cluster.start().expect("free ports"));
    let cluster = &*behind.cluster;
    let mut storm = Storm {
        behind: &behind,
        seen: Seen::default(),
        random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
        may_kill,
        members: Vec::new(),
        joining: Vec::new(),
        leaving: Vec::new(),
        gates: Vec::new(),
        lost: Vec::new(),
        faults: Vec::new(),
        commits: Commits::default(),
    };
    storm.join();
    storm.join();
    storm.end();
    assert_eq!(storm.members.len(), 2);
    let over = AtomicBool::new(false);
    let (mut turns, start) = (0, Instant::now());
    let stored = thread::scope(|scope| {
        let sender = scope.spawn(|| send_until(cluster, &over));
        let ends = Ends(&over);
        while start.elapsed() < time {
            storm.turn();
            turns += 1;
        }
        drop(ends);
        sender.join().expect("a sender")
    });
    let seen = storm.seen.clone();
    let group = cluster.group("g");
    let have_all = || {
        let seen = seen.0.lock();
        stored.iter().all(|number| seen.contains_key(number))
    };
    let quiet = Instant::now();
    while !have_all() || group.lag("T") > 0 || !storm.is_divided() {
        let members = storm.members.iter().map(PushConsumer::describe);
        let members: Vec<String> = members.map(|state| state.to_string()).collect();
        assert!(
            quiet.elapsed() < 3 * PATIENCE,
            "seed {seed}: {} of {} messages, lag {}: {members:#?}",
            seen.count(),
            stored.len(),
            group.lag("T")
        );
        cluster.wait_until(ms(100), || false);
    }
    let healed = quiet.elapsed();
    storm.note_commits();
    for member in storm.members.drain(..) {
        let report = member.shutdown_within(PATIENCE);
        assert!(report.is_clean(), "seed {seed}: {report}");
    }
    let repeated = seen.0.lock().values().filter(|times| **times > 1).count();
    println!(
        "seed {seed}: {turns} turns, {} messages, {repeated} came more than once, quiet after {healed:?}",
        stored.len()
    );
    assert!(turns > 0 && !stored.is_empty());
}

/// Ends the sender, also when the storm fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Sends until the storm is over. Returns what is certainly stored.
fn send_until(cluster: &Cluster, over: &AtomicBool) -> BTreeSet<usize> {
    let options = ClientOptions::new().route_interval(ms(200));
    let producer = patient(cluster)
        .options(options)
        .start()
        .expect("a producer");
    let mut stored = BTreeSet::new();
    for number in 0.. {
        if over.load(Ordering::SeqCst) {
            break;
        }
        if producer
            .send(&Message::new("T", number.to_string()))
            .is_ok()
        {
            stored.insert(number);
        }
        // No more than consumers can take beside it.
        cluster.wait_until(ms(2), || false);
    }
    stored
}

impl Storm<'_> {
    /// Three faults at once, and their end.
    fn turn(&mut self) {
        let mut kinds = BTreeSet::new();
        while kinds.len() < 3 {
            let kind = self.random.below(KINDS.len());
            if self.may_kill || KINDS[kind] != Kind::Kill {
                kinds.insert(kind);
            }
        }
        for kind in kinds {
            let broker = self.random.below(2);
            self.begin(KINDS[kind], broker);
        }
        let pause = ms(50 + self.random.below(400) as u64);
        self.behind.cluster.wait_until(pause, || false);
        self.end();
    }

    fn begin(&mut self, kind: Kind, index: usize) {
        let behind = self.behind;
        let (broker, proxy) = (&behind.cluster.brokers()[index], &behind.brokers[index]);
        match kind {
            Kind::Kill => broker.kill(),
            Kind::Cut => broker.disconnect_all(),
            Kind::Lose => {
                proxy.lose();
                self.lost.push(index);
            }
            Kind::Stall => {
                let gate = Gate::new();
                let stall = Fault::hold(&gate).on(self.request());
                self.inject(broker, stall);
                self.gates.push(gate);
            }
            Kind::Refuse => broker.set_accept(Accept::Close),
            Kind::Drip => {
                let slow = Fault::slow(16, ms(1)).on(self.request());
                self.inject(broker, slow);
            }
            Kind::Busy => {
                let code = [1, 2, 16, 17, 24][self.random.below(5)];
                let refuse = Fault::answer(code, "scripted").on(self.request());
                self.inject(broker, refuse);
            }
            Kind::Join if self.members.len() < 5 => self.join(),
            Kind::Leave if self.members.len() > 1 => {
                let which = self.random.below(self.members.len());
                let member = self.members.swap_remove(which);
                let leave = move || member.shutdown_within(3 * PATIENCE);
                self.leaving.push(thread::spawn(leave));
            }
            Kind::Join | Kind::Leave => {}
        }
    }

    /// Whether each queue is at work, at one member.
    fn is_divided(&self) -> bool {
        let states = self.members.iter().map(PushConsumer::describe);
        let queues: Vec<_> = states.flat_map(|state| state.queues).collect();
        let of_topic = queues.iter().filter(|state| state.queue.topic() == "T");
        let all_work = queues.iter().all(|state| state.doing == Doing::Fetching);
        all_work && of_topic.count() == 8
    }

    fn request(&mut self) -> On {
        REQUESTS[self.random.below(REQUESTS.len())].clone()
    }

    fn inject(&mut self, broker: &Broker, fault: Fault) {
        self.faults.push(broker.inject(fault));
    }

    /// A member that reaches brokers itself, or by the proxies.
    fn join(&mut self) {
        let name_server = match self.random.below(2) {
            0 => self.behind.name_server(),
            _ => self.behind.cluster.name_server(),
        };
        let options = ClientOptions::new()
            .heartbeat_interval(ms(200))
            .api_timeout(ms(1000))
            .route_interval(ms(200));
        let builder = consumer(&name_server)
            .options(options)
            .wait_for_servers(true)
            .consume_threads(2)
            .commit_interval(ms(50));
        let seen = self.seen.clone();
        self.joining.push(thread::spawn(move || {
            builder.start(move |message| {
                seen.note(message);
                Ok(())
            })
        }));
    }

    /// All faults end.
    fn end(&mut self) {
        for fault in self.faults.drain(..) {
            fault.remove();
        }
        for gate in self.gates.drain(..) {
            gate.open();
        }
        // Otherwise the broker lists those behind them, also if they have left, until they have been silent
        // for 120 s.
        for index in self.lost.drain(..) {
            self.behind.brokers[index].cut();
        }
        for broker in self.behind.cluster.brokers() {
            broker.set_accept(Accept::Serve);
            broker.restart().expect("its port");
        }
        for joining in self.joining.drain(..) {
            match joining.join().expect("no panic") {
                Ok(member) => self.members.push(member),
                Err(error) => println!("did not start: {error}"),
            }
        }
        for leaving in self.leaving.drain(..) {
            let report = leaving.join().expect("no panic");
            // A broker that was killed has forgotten the locks: another member may have a queue before this one
            // has committed its last messages. These come again.
            let may_be_left = self.may_kill && report.running.is_empty();
            assert!(may_be_left || report.is_clean(), "{report}");
        }
        self.note_commits();
    }

    /// A killed broker has forgotten some: without kills, offsets never fall.
    fn note_commits(&mut self) {
        match self.may_kill {
            true => self.behind.cluster.clear_requests(),
            false => self.commits.check(&self.behind.cluster),
        }
    }
}
