//! Case 35: the process is stopped for a while, and continues. In a separate process.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::bench::script::{Script, Signal, Step};
use crate::bench::*;
use crate::support::apart;

/// The child's line when it may be stopped.
const READY: &str = "ready to be stopped";

/// Ends with the test, whatever becomes of it.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Longer than the timeout of half of the child's sends.
#[test]
fn case_35_a_client_that_was_stopped_for_a_while_settles_everything_once() {
    check_stopped_for(ms(1000));
}

/// Longer than whatever a client does once in a while.
#[test]
#[ignore = "slow: part of the fault slice"]
fn case_35_a_client_that_was_stopped_for_ten_seconds_settles_everything_once() {
    check_stopped_for(ms(10_000));
}

#[track_caller]
fn check_stopped_for(pause: Duration) {
    let mut child = apart::this_binary();
    child.args([
        "--exact",
        "machine::stopped::alone",
        "--ignored",
        "--nocapture",
    ]);
    child.arg("--test-threads=1").stdout(Stdio::piped());
    let mut child = Killed(child.spawn().expect("a child"));
    let id = child.0.id().to_string();
    let signal = |name: &str| {
        // The shell's built-in: not every machine has a program of this name.
        let mut kill = Command::new("sh");
        let sent = kill.args(["-c", &format!("kill {name} {id}")]).status();
        assert!(sent.expect("a shell").success());
    };
    let mut lines = BufReader::new(child.0.stdout.take().expect("a pipe")).lines();
    let ready = lines.any(|line| line.expect("text").contains(READY));
    assert!(ready, "the child has ended");
    signal("-STOP");
    // It is the stop itself that lasts so long.
    thread::sleep(pause);
    signal("-CONT");
    let rest: Vec<String> = lines.map_while(|line| line.ok()).collect();
    assert!(child.0.wait().expect("its end").success(), "{rest:?}");
    assert!(
        rest.iter().any(|line| line.contains("1 passed")),
        "{rest:?}"
    );
}

#[test]
#[ignore = "runs in a child process, which is stopped"]
fn alone() {
    check(1, |bench| {
        let (both, held) = (Signal::new(), Signal::new());
        let replies = [
            Step::UntilSend,
            Step::Raise(both.clone()),
            Step::Wait(held.clone()),
        ];
        bench.broker().next(Script::replies(replies));
        let producer = bench.patient();
        let short: Vec<_> = (0..50).map(|_| bench.submit(&producer, SHORT)).collect();
        let long: Vec<_> = (0..50).map(|_| bench.submit(&producer, LONG)).collect();
        let handles = (0..8).map(|_| bench.submit_and_wait(&producer, SHORT));
        let handles: Vec<_> = handles.collect();
        both.wait();
        println!("{READY}");
        for sent in &short {
            assert!(sent.outcome().is_err());
        }
        for sent in &handles {
            // Handles give up some time after the deadline, and then know of no attempt: not because of
            // time in which nothing could be done.
            let error = sent.outcome().unwrap_err();
            assert_eq!(error.attempts().len(), 1, "{error:?}");
        }
        // Too late for those. The others have an answer now, or had their connection ended.
        held.raise();
        for sent in &long {
            let _ = sent.outcome();
        }
        bench.check_heals(&producer);
    });
}
