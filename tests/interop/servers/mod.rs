//! The servers that `tests/rocketmq/run.sh` started, and programs that run next to them.

pub mod heard;
pub mod kinds;
pub mod ledger;
pub mod mortal;
pub mod peer;
pub mod stored;
pub mod topic;
pub mod traffic;
pub mod wire;

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rocketmq_blocking::producer::ProducerBuilder;
use rocketmq_blocking::{Admin, ClientOptions, Error, MessageQueue, Producer, Result, SendReceipt};

use serde_json::Value;
use stored::Stored;

/// Only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A name server and its brokers, `broker-a`, `broker-b`, ..
pub struct Server {
    pub name_server: String,
    pub brokers: Vec<Process>,
    pub version: Version,
}

/// A name server or a broker.
pub struct Process {
    pub address: String,
    pub pid: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V4,
    V5,
}

impl Server {
    /// # Panics
    /// There are no servers: a requested test must not pass without them.
    pub fn from_env() -> Server {
        let _ = env_logger::builder().is_test(true).try_init();
        let pids = env("ROCKETMQ_BROKER_PIDS");
        let addresses = env("ROCKETMQ_BROKER_ADDRS");
        let brokers = addresses.split(' ').zip(pids.split(' '));
        Server {
            name_server: env("ROCKETMQ_NAME_SERVER"),
            brokers: brokers
                .map(|(address, pid)| Process {
                    address: address.to_owned(),
                    pid: pid.to_owned(),
                })
                .collect(),
            version: Version::from_env(),
        }
    }

    pub fn name_server_process(&self) -> Process {
        Process {
            address: self.name_server.clone(),
            pid: env("ROCKETMQ_NAME_SERVER_PID"),
        }
    }

    /// With timeouts that a busy machine does not reach.
    pub fn producer(&self, group: &str) -> ProducerBuilder {
        Producer::builder(group)
            .name_server(&self.name_server)
            .send_timeout(Duration::from_secs(15))
            .options(ClientOptions::new().api_timeout(Duration::from_secs(15)))
    }

    pub fn broker(&self, name: &str) -> &Process {
        let nth = usize::from(name.as_bytes()[name.len() - 1] - b'a');
        self.brokers.get(nth).expect("ROCKETMQ_BROKERS")
    }

    /// Everything that the Java client finds in a topic, once there are `count` messages.
    pub fn read_back(&self, topic: &str, count: usize) -> Vec<Stored> {
        let args = [&self.name_server, topic, &count.to_string()];
        let lines = java(&[], "ReadBack.java", &args);
        let stored: Vec<Stored> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        assert_eq!(stored.len(), count, "messages in {topic}");
        stored
    }
}

impl Process {
    /// Like a crash.
    pub fn kill(&self) {
        self.signal("KILL");
    }

    /// Has it shut down in its own time.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// One that has ended in the meantime is as good.
    pub fn signal(&self, signal: &str) {
        let script = "kill -s \"$1\" \"$2\" || ! kill -0 \"$2\"";
        let status = Command::new("bash")
            .args(["-c", script, "-", signal, &self.pid])
            .status()
            .unwrap();
        assert!(status.success(), "cannot signal {}", self.address);
    }
}

impl Version {
    pub fn from_env() -> Version {
        match env("ROCKETMQ_VERSION").as_bytes()[0] {
            b'4' => Version::V4,
            _ => Version::V5,
        }
    }
}

/// Starts one of the programs of `tests/rocketmq` with the jars of the version under test.
pub fn java_process(program: &str, args: &[&str]) -> Child {
    start_java(&[], program, args)
}

fn start_java(flags: &[&str], program: &str, args: &[&str]) -> Child {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rocketmq");
    Command::new("java")
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m"])
        .args(flags)
        .args(["-cp", &env("ROCKETMQ_CLASSPATH")])
        .arg(here.join(program))
        .args(args)
        .current_dir(env("ROCKETMQ_HOME_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// The output of a program that ended successfully.
#[track_caller]
pub fn printed(program: Child) -> String {
    let output = program.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

/// Runs such a program, and returns its output.
#[track_caller]
pub fn java(flags: &[&str], program: &str, args: &[&str]) -> String {
    printed(start_java(flags, program, args))
}

/// All messages of a topic as the Java client reads them.
#[track_caller]
pub fn read_back(topic: &str, count: usize) -> Vec<Value> {
    let args = [&*env("ROCKETMQ_NAME_SERVER"), topic, &count.to_string()];
    let lines = java(&[], "ReadBack.java", &args);
    let lines = lines.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

/// Waits for a condition that another process brings about.
#[track_caller]
pub fn found<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    eventually(what, || {
        found = look();
        found.is_some()
    });
    found.expect("it was there")
}

/// Waits until something becomes true that another process does in its own time.
#[track_caller]
pub fn eventually(what: &str, check: impl FnMut() -> bool) {
    within(PATIENCE, what, check);
}

/// The same for what takes long on a server.
#[track_caller]
pub fn within(most: Duration, what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + most;
    while !check() {
        assert!(Instant::now() < end, "not within {most:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The error of a start that brokers refuse. Brokers 4.x tell the name server of a new topic a moment late, and a check
/// that is not answered in two seconds has passed: what has started ends, and is started again.
#[track_caller]
pub fn refused<C>(mut start: impl FnMut() -> Result<C>) -> Error {
    found("the start is refused", || start().err())
}

/// Waits until consumers can read what was stored. Brokers index messages a moment after they have confirmed them, and
/// what consumers and operators hear of as the end of a queue is that of the index.
#[track_caller]
pub fn wait_until_readable<'a>(admin: &Admin, sent: impl IntoIterator<Item = &'a SendReceipt>) {
    let mut ends: HashMap<&MessageQueue, i64> = HashMap::new();
    for receipt in sent {
        let end = ends.entry(receipt.queue()).or_default();
        *end = (receipt.queue_offset() + 1).max(*end);
    }
    for (queue, end) in ends {
        eventually("what was sent can be read", || {
            admin.max_offset(queue).is_ok_and(|now| now >= end)
        });
    }
}

/// A body that can be compressed, and that no other label gives.
pub fn text(len: usize, label: &str) -> Vec<u8> {
    let line = format!("{label}: the quick brown fox jumps over the lazy dog. ");
    line.bytes().cycle().take(len).collect()
}

/// A body that cannot be compressed (xorshift).
pub fn random(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(len).collect()
}

pub fn env(name: &str) -> String {
    let why = "is not set: run this by tests/rocketmq/all.sh VERSION";
    std::env::var(name).unwrap_or_else(|_| panic!("{name} {why}"))
}

/// Ends the senders of a scope with it, also when it panics.
pub struct Over<'a>(pub &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
