//! Cases 32 and 54: the system gives no thread, and the caller has very many.

use std::cell::RefCell;
use std::fs;
use std::process::Command;
use std::thread::{self, JoinHandle};

use rocketmq_blocking::{ErrorKind, Producer, SendFate};

use super::files::check_refused;
use crate::bench::script::Signal;
use crate::bench::watch;
use crate::bench::*;
use crate::support::{apart, skipped};

/// The address space of a thread's stack in the child process: so large that there is plenty for
/// everything else without it.
const STACK: usize = 256 << 20;

#[test]
fn case_32_without_threads_sends_fail_or_do_without_and_with_them_they_work_again() {
    if !set_limit("unlimited") {
        skipped("case 32: no program prlimit, or it may not set the limit");
        return;
    }
    let mut child = apart::this_binary();
    child.env("RUST_MIN_STACK", STACK.to_string());
    apart::check(child, "machine::threads::alone");
}

#[test]
#[ignore = "runs alone, in a child process"]
fn alone() {
    check(1, |bench| {
        // One has a connection and no writer thread yet, the other only the route: not even an
        // ended thread, whose stack could be reused.
        let connected = bench.patient();
        assert!(bench.send(&connected, LONG).is_ok());
        let apart = bench.patient();
        check_refused(bench, &apart);
        let hogs = RefCell::new(Hogs::start());
        hogs.borrow_mut().take();
        let refused = Producer::builder("refused").name_server(bench.name_server());
        let start = refused.start().expect_err("it needs threads");
        assert_eq!(start.kind(), ErrorKind::Io, "{start}");
        for mode in MODES {
            eventually("the system's answer is reported", || {
                hogs.borrow_mut().take();
                let error = error(bench.send_in(mode, &apart, SHORT));
                let kinds = [ErrorKind::Io, ErrorKind::Connect];
                // On a busy machine there may be no time for it.
                let is_late = error.kind() == ErrorKind::Timeout;
                assert!(is_late || kinds.contains(&error.kind()), "{error}");
                assert_eq!(error.fate(), SendFate::NotSent, "{error}");
                error.to_string().contains("os error 11")
            });
            // Callers write themselves.
            assert!(bench.send_in(mode, &connected, LONG).is_ok());
        }
        hogs.into_inner().end();
        bench.check_heals(&apart);
    });
}

/// Takes all available threads, from when the address space was limited.
struct Hogs {
    threads: Vec<JoinHandle<()>>,
    over: Signal,
}

impl Hogs {
    fn start() -> Hogs {
        let status = fs::read_to_string("/proc/self/status").expect("Linux");
        let size = status.lines().find_map(|l| l.strip_prefix("VmSize:"));
        let size = size.and_then(|size| size.split_whitespace().next());
        let size: usize = size.and_then(|kib| kib.parse().ok()).expect("a size");
        assert!(set_limit(&(size * 1024 + STACK / 2).to_string()));
        Hogs {
            threads: Vec::new(),
            over: Signal::new(),
        }
    }

    /// Stacks of threads that have just ended are used again.
    fn take(&mut self) {
        let wait = |over: Signal| move || while over.wait_for(PATIENCE).is_none() {};
        while let Ok(thread) = thread::Builder::new().spawn(wait(self.over.clone())) {
            self.threads.push(thread);
        }
    }

    fn end(self) {
        assert!(set_limit("unlimited"));
        self.over.raise();
        for thread in self.threads {
            thread.join().expect("it only waited");
        }
    }
}

/// The soft limit, which any process may raise again.
fn set_limit(address_space: &str) -> bool {
    let id = std::process::id().to_string();
    let mut set = Command::new("prlimit");
    set.args(["--pid", &id, &format!("--as={address_space}:")]);
    set.status().is_ok_and(|status| status.success())
}

#[test]
fn case_54_four_thousand_threads_send_on_one_producer() {
    check(1, |bench| {
        const THREADS: usize = 4000;
        let producer = bench.producer(|setup| setup);
        thread::scope(|scope| {
            for i in 0..THREADS {
                let (bench, producer) = (&bench, &producer);
                let send = move || assert!(bench.send_in(MODES[i % 2], producer, LONG).is_ok());
                let stack = thread::Builder::new().stack_size(128 << 10);
                stack.spawn_scoped(scope, send).expect("a thread");
            }
        });
        assert_eq!(bench.counts().stored, THREADS);
        assert_eq!(bench.broker().accepted(), 1);
    });
}

/// So many producers, one after the other, while two more go on.
#[track_caller]
fn check_producers(count: usize) {
    check(1, |bench| {
        let others = [bench.producer(|setup| setup), bench.producer(|setup| setup)];
        for other in &others {
            assert!(bench.send(other, LONG).is_ok());
        }
        let mut before = None;
        for i in 0..count {
            let group = format!("in-turn-{i}");
            let setup = Producer::builder(group).name_server(bench.name_server());
            let producer = setup.start().expect("a producer");
            assert!(bench.send_in(MODES[i % 2], &producer, LONG).is_ok());
            match i % 3 {
                0 => drop(producer),
                _ => assert!(producer.shutdown_within(PATIENCE).is_clean()),
            }
            eventually("its connections end", || {
                bench.broker().live() == others.len()
            });
            // The first one may have started what stays.
            if before.is_none() {
                before = Some(settled(bench));
            }
        }
        // Not while other tests run. Threads that were just ending are gone now: fewer are no
        // leftovers.
        let Some((threads, files)) = before.expect("at least one") else {
            return;
        };
        let what = format!("nothing is left of them beyond {threads} threads, {files} files");
        eventually(&what, || {
            settled(bench).is_some_and(|now| now.0 <= threads && now.1 <= files)
        });
    });
}

/// Threads and files of a bench whose proxies have dropped ended connections.
fn settled(bench: &Bench) -> Option<(usize, usize)> {
    for proxy in bench.brokers.iter().chain(&bench.name_servers) {
        let _ = proxy.live();
    }
    watch::resources()
}

#[test]
fn case_54_producers_in_turn_leave_nothing_behind() {
    check_producers(100);
}

#[test]
#[ignore = "slow: part of the fault slice"]
fn case_54_a_thousand_producers_in_turn_leave_nothing_behind() {
    check_producers(1000);
}
