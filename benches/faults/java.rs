//! The figures with the Java client as the sender, to compare with ours: the same scenarios,
//! against the same proxies. `JavaFigures.java` describes its commands and answers.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::bench::flood::{BODY, Deaf, SECONDS, THREADS};
use crate::bench::measure::{asked, print};
use crate::bench::sender::{Called, Late, Left, Sender, Setup};
use crate::bench::*;
use crate::figures;

/// Longer than any answer takes.
const MOST: Duration = Duration::from_secs(180);

pub fn overshoot() {
    // Also separately: a synchronous send that times out ends the connection, and the asynchronous
    // ones with it. Otherwise those wait for the client's scan, once per second.
    let mut java = Java::start();
    for modes in [&MODES[..], &[Mode::Sync], &[Mode::Async]] {
        println!("{modes:?}");
        figures::overshoot_of(&mut java, modes);
    }
}

/// Within its heap limit it keeps accepting messages until memory is exhausted.
pub fn flood() {
    let (seconds, body) = (asked(SECONDS, 10), asked(BODY, 64 << 10));
    check(1, |bench| {
        // It ends in here: a process without memory need not do so in order.
        let mut java = Java::start();
        let _stalled = Deaf::start(bench);
        java.start(bench, Setup::default());
        let before = java.left().bytes;
        java.say(&format!("flood {seconds} {THREADS} {body}"));
        let end = Duration::from_secs(seconds as u64) + PATIENCE;
        let over = match java.lines.recv_timeout(end) {
            Ok((_, line)) => line,
            Err(_) => "no answer".to_owned(),
        };
        let most = java.status("VmHWM:") << 10;
        let grown = most.saturating_sub(before) >> 20;
        let seen = format!("{seconds} s: {over}, {grown} MiB more, at a heap of at most {HEAP}");
        print(&format!("{}flood, bodies of {body}", java.name()), &seen);
    });
}

const HEAP: &str = "-Xmx1g";

/// The driver of the Java client, in a process of its own.
pub struct Java {
    child: Child,
    input: ChildStdin,
    lines: Receiver<(Instant, String)>,
    reader: Option<JoinHandle<()>>,
}

impl Java {
    pub fn start() -> Java {
        let path = std::env::var("ROCKETMQ_CLASSPATH").expect(
            "ROCKETMQ_CLASSPATH: tests/rocketmq/run.sh 5.4.0 -- env shows it, and sets it for a command",
        );
        let mut command = Command::new("java");
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/faults/JavaFigures.java");
        command.args([HEAP, "-cp", &path, program]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("java on PATH");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (say, lines) = mpsc::channel();
        // The time of what Java does is that of its line: the pipe and this thread are measured too, as
        // are a callback's way to a test's thread with ours.
        let read = move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = say.send((Instant::now(), line));
            }
        };
        let mut java = Java {
            child,
            input,
            lines,
            reader: Some(thread::spawn(read)),
        };
        java.warm_up();
        java
    }

    /// Class loading and compilation at the first sends are not part of any figure.
    fn warm_up(&mut self) {
        check(1, |bench| {
            bench.add_topic("Figures");
            for _ in 0..3 {
                self.start(bench, Setup::default());
                self.begin(Mode::Sync, 1000, 1);
                self.begin(Mode::Async, 1000, 1);
                self.over();
                self.stop(PATIENCE);
            }
        });
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("a process that listens");
    }

    /// The next line that begins with this word: its time, and its other words. Lines about the
    /// ends of earlier sends are skipped.
    #[track_caller]
    fn hear(&mut self, word: &str) -> (Instant, Vec<String>) {
        let (at, line) = loop {
            let (at, line) = self.lines.recv_timeout(MOST).expect("an answer");
            if word == "over" || !line.starts_with("over ") {
                break (at, line);
            }
        };
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(words[0], word, "{line}");
        (at, words[1..].to_vec())
    }

    /// A line of the system's data about the process.
    fn status(&self, name: &str) -> usize {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(path).expect("Linux");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.map_or(0, |number| number.parse().expect("a number"))
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        self.end();
    }
}

impl Sender for Java {
    fn name(&self) -> &'static str {
        "Java client: "
    }

    fn start(&mut self, bench: &Bench, setup: Setup) {
        // Its attempts have no deadline and no pauses: a caller must repeat the sends.
        let retries = if setup.retries == u32::MAX {
            0
        } else {
            setup.retries
        };
        let (server, tls) = (bench.name_server(), setup.tls);
        let [interval, api] = [setup.route_interval, setup.api_timeout].map(|t| t.as_millis());
        self.say(&format!("start {server} {retries} {interval} {api} {tls}"));
        self.hear("ready");
    }

    fn begin(&mut self, mode: Mode, count: usize, bytes: usize) {
        let (mode, timeout) = (word(mode), LONG.as_millis());
        self.say(&format!("send {mode} {count} {bytes} {timeout}"));
        let (_, refused) = self.hear("accepted");
        if refused != ["0"] {
            println!(
                "{count} sends: {} calls were refused, and made again",
                refused[0]
            );
        }
    }

    fn over(&mut self) -> (Instant, usize) {
        let (at, counts) = self.hear("over");
        (at, counts[1].parse().expect("a number"))
    }

    fn wave(&mut self, modes: &[Mode], count: usize, bytes: usize, timeout: Duration) -> Vec<Late> {
        let modes = modes.iter().map(|mode| word(*mode)).collect::<Vec<_>>();
        let timeout = timeout.as_millis();
        self.say(&format!(
            "wave {} {count} {bytes} {timeout}",
            modes.join(",")
        ));
        let late = |_| {
            let (_, words) = self.hear("late");
            // By its own clock.
            let nanos: i64 = words[0].parse().expect("a number");
            let other = !words[1].contains("Timeout") && nanos < 0;
            let early = other || nanos < -(Late::EARLY.as_nanos() as i64);
            Late {
                late: (!early).then(|| Duration::from_nanos(nanos.max(0) as u64)),
                error: words[1].clone(),
            }
        };
        (0..count).map(late).collect()
    }

    fn first_of(&mut self, threads: usize, meanwhile: &mut dyn FnMut()) -> Instant {
        self.say(&format!("again {threads} {}", LONG.as_millis()));
        meanwhile();
        let (first, _) = self.hear("first");
        self.hear("over");
        first
    }

    fn keyed(&mut self, count: usize, window: usize, meanwhile: &mut dyn FnMut()) -> Called {
        self.say(&format!("keys {count} {window}"));
        let mut called = Called {
            confirmed: vec![true; count],
            ..Called::default()
        };
        loop {
            let line = match self.lines.try_recv() {
                Ok((_, line)) => line,
                Err(TryRecvError::Empty) => {
                    meanwhile();
                    continue;
                }
                Err(TryRecvError::Disconnected) => panic!("the Java process has ended"),
            };
            let words: Vec<&str> = line.split(' ').collect();
            let number = |i: usize| words[i].parse::<usize>().expect("a number");
            match words[0] {
                "unconfirmed" => called.confirmed[number(1)] = false,
                word => {
                    assert_eq!(word, "called", "{line}");
                    (called.lost, called.doubled) = (number(1), number(2));
                    return called;
                }
            }
        }
    }

    fn left(&self) -> Left {
        let files = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        Left {
            threads: self.status("Threads:"),
            files: files.expect("Linux").count(),
            bytes: self.status("VmRSS:") << 10,
        }
    }

    /// Java has no limit for it.
    fn stop(&mut self, _: Duration) -> Duration {
        self.say("stop");
        let (_, words) = self.hear("stopped");
        let open = &words[1];
        if open != "0" {
            println!("{open} sends have had no outcome when the shutdown was over");
        }
        Duration::from_nanos(words[0].parse().expect("a number"))
    }
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Sync => "sync",
        Mode::Async => "async",
    }
}
