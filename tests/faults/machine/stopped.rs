//! The process is stopped for a while, and continues (for producers case 35). In a separate process.

use std::io::{BufRead, BufReader, Lines};
use std::ops::Range;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use crossbeam_channel::unbounded;
use rocketmq_blocking::embedded::{Fault, Gate, On};
use rocketmq_blocking::{MessageView, PushConsumer, Retry, StartFrom};

use crate::bench::measure::asked;
use crate::bench::script::{Script, Signal, Step};
use crate::bench::*;
use crate::support::{PATIENCE, apart, cluster, message, producer};

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
    check_stopped_for(ms(3000));
}

/// Longer than whatever a client does once in a while.
#[test]
#[ignore = "slow: part of the fault slice"]
fn case_35_a_client_that_was_stopped_for_ten_seconds_settles_everything_once() {
    check_stopped_for(ms(10_000));
}

/// A test of this file in a process of its own, and what it prints.
struct Stoppable {
    child: Killed,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Stoppable {
    fn start(test: &str, variables: &[(&str, &str)]) -> Stoppable {
        let mut child = apart::this_binary();
        let test = format!("machine::stopped::{test}");
        child.args(["--exact", &test, "--ignored", "--nocapture"]);
        child.arg("--test-threads=1").stdout(Stdio::piped());
        child.envs(variables.iter().copied());
        let mut child = Killed(child.spawn().expect("a child"));
        let output = child.0.stdout.take().expect("a pipe");
        Stoppable {
            child,
            lines: BufReader::new(output).lines(),
        }
    }

    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        let said = self.lines.any(|line| line.expect("text").contains(text));
        assert!(said, "the child has ended");
    }

    /// It stands still for a while.
    fn stop_for(&self, pause: Duration) {
        self.signal("-STOP");
        // It is the stop itself that lasts so long.
        thread::sleep(pause);
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        // The shell's built-in: not every machine has a program of this name.
        let mut kill = Command::new("sh");
        let id = self.child.0.id();
        let sent = kill.args(["-c", &format!("kill {name} {id}")]).status();
        assert!(sent.expect("a shell").success());
    }

    /// Its other lines; the test in it has passed.
    #[track_caller]
    fn end(mut self) -> Vec<String> {
        let rest: Vec<String> = self.lines.map_while(|line| line.ok()).collect();
        assert!(self.child.0.wait().expect("its end").success(), "{rest:?}");
        assert!(
            rest.iter().any(|line| line.contains("1 passed")),
            "{rest:?}"
        );
        rest
    }
}

#[track_caller]
fn check_stopped_for(pause: Duration) {
    let millis = pause.as_millis().to_string();
    let mut child = Stoppable::start("alone", &[(PAUSE, &*millis)]);
    child.wait_for(READY);
    child.stop_for(pause);
    child.end();
}

/// A consumer is stopped, and messages come meanwhile.
#[test]
fn a_consumer_that_was_stopped_for_a_while_handles_each_message_once() {
    check_consumer_stopped_for(ms(3000), "concurrent");
}

/// Longer than an ordered consumer may go on without its locks renewed.
#[test]
#[ignore = "slow: part of the fault slice"]
fn an_ordered_consumer_that_was_stopped_for_long_asks_for_its_locks_before_it_goes_on() {
    check_consumer_stopped_for(ms(35_000), "ordered");
}

#[track_caller]
fn check_consumer_stopped_for(pause: Duration, kind: &str) {
    let cluster = cluster();
    let producer = producer(&cluster);
    let send = |numbers: Range<usize>| {
        for number in numbers {
            let sent = producer.send(&message(number.to_string()));
            assert!(sent.is_ok(), "{sent:?}");
        }
    };
    let name_server = cluster.name_server();
    let variables = [(NAME_SERVER, &*name_server), (KIND, kind)];
    let mut child = Stoppable::start("alone_with_a_consumer", &variables);
    child.wait_for(READY);
    send(0..20);
    child.wait_for(HALF);
    let gate = Gate::new();
    let broker = cluster.broker("broker-a");
    let locks = broker.inject(Fault::hold(&gate).on(On::Lock));
    child.signal("-STOP");
    send(20..40);
    child.stop_for(pause);
    let mut not_before = 0;
    if kind == "ordered" {
        assert!(locks.wait_hits(1, PATIENCE), "it asks for its locks");
        not_before = epoch_millis();
    }
    gate.open();
    let lines = child.end();
    let handled = lines.iter().filter_map(|line| {
        let (number, at) = line.strip_prefix(HANDLED)?.trim().split_once(" at ")?;
        let at: u128 = at.parse().expect("a time");
        assert!(at >= not_before, "{line}: before the locks were confirmed");
        number.parse().ok()
    });
    let mut handled: Vec<usize> = handled.collect();
    handled.sort();
    assert_eq!(handled, Vec::from_iter(20..40));
    assert_eq!(cluster.group("g").lag("T"), 0);
}

fn epoch_millis() -> u128 {
    let since = UNIX_EPOCH.elapsed();
    since.expect("a clock behind 1970").as_millis()
}

/// For the child: where its cluster is, and what it is to be.
const NAME_SERVER: &str = "ROCKETMQ_TEST_NAME_SERVER";
const KIND: &str = "ROCKETMQ_TEST_KIND";

/// The child's lines about what it handled.
const HALF: &str = "half of the messages are handled";
const HANDLED: &str = "handled";

#[test]
#[ignore = "runs in a child process, which is stopped"]
fn alone_with_a_consumer() {
    let variable = |name| std::env::var(name).expect("set by the parent");
    let (seen, handled) = unbounded();
    let note = move |message: &MessageView| -> Result<(), Retry> {
        seen.send(format!("{} at {}", message.text()?, epoch_millis()))?;
        Ok(())
    };
    let builder = PushConsumer::builder("g")
        .name_server(variable(NAME_SERVER))
        .subscribe("T", "*")
        .start_from(StartFrom::First);
    let consumer = match &*variable(KIND) {
        "ordered" => builder.start_ordered(move |message| note(message)),
        _ => builder.start(note),
    };
    let consumer = consumer.expect("a consumer");
    println!("\n{READY}");
    // Only a failing test waits longer than the stop and this.
    let next = || handled.recv_timeout(PATIENCE * 3).expect("a message");
    (0..20).for_each(|_| drop(next()));
    println!("{HALF}");
    (0..20).for_each(|_| println!("{HANDLED} {}", next()));
    assert!(consumer.shutdown_within(PATIENCE).is_clean());
    for again in handled.try_iter() {
        println!("{HANDLED} {again}");
    }
}

/// For the child: how long it is stopped.
const PAUSE: &str = "ROCKETMQ_TEST_PAUSE";

/// How long a handle waits beyond its send's time.
const GRACE: Duration = Duration::from_secs(1);

#[test]
#[ignore = "runs in a child process, which is stopped"]
fn alone() {
    let pause = ms(asked(PAUSE, 3000) as u64);
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
        let ready = Instant::now();
        println!("{READY}");
        for sent in &short {
            assert!(sent.outcome().is_err());
        }
        for sent in &handles {
            // Handles give up some time after the deadline, and then know of no attempt: not because of
            // time in which nothing could be done.
            let error = sent.outcome().unwrap_err();
            if error.attempts().is_empty() {
                let waited = sent.ended() - ready;
                assert!(waited >= pause + GRACE, "{error:?} after {waited:?}");
                // The machine was too late. What the ledger wants of an error is not in this one.
                bench.distrust();
            } else {
                assert_eq!(error.attempts().len(), 1, "{error:?}");
            }
        }
        // Too late for those. The others have an answer now, or had their connection ended.
        held.raise();
        for sent in &long {
            let _ = sent.outcome();
        }
        bench.check_heals(&producer);
    });
}
