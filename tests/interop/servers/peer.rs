//! The Java client as a process beside the test, which does what it is told: `JavaPeer.java`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin};

use crossbeam_channel::{Receiver, unbounded};
use serde::Deserialize;
use serde_json::Value;

use crate::servers::{PATIENCE, eventually, start_java};

/// Java, its producer and its consumers.
pub struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<Value>,
    consumed: Receiver<Consumed>,
}

/// A message that a Java consumer has consumed.
#[derive(Debug, Clone, Deserialize)]
pub struct Consumed {
    pub member: String,
    pub body: String,
    pub queue_offset: i64,
    pub reconsume_times: i32,
}

impl Peer {
    pub fn start(name_server: &str) -> Peer {
        Peer::of("JavaPeer.java", name_server)
    }

    fn of(program: &str, name_server: &str) -> Peer {
        // What the tools write there is thrown away with the servers.
        let folder = "-Djava.io.tmpdir=.";
        let mut child = start_java(&[folder], program, &[name_server]);
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (answer, answers) = unbounded();
        let (hear, consumed) = unbounded();
        std::thread::spawn(move || {
            for line in output.lines() {
                let Ok(line) = line else { return };
                let value: Value = serde_json::from_str(&line).expect("JSON");
                // Whoever does not listen any more is at its end.
                if value["event"] == "message" {
                    drop(hear.send(serde_json::from_value(value).expect("a message")));
                } else {
                    drop(answer.send(value));
                }
            }
        });
        Peer {
            input: child.stdin.take(),
            child,
            answers,
            consumed,
        }
    }

    /// Has it do something, and waits until that is done.
    #[track_caller]
    pub fn ask(&mut self, command: &str) -> Value {
        let input = self.input.as_mut().expect("it runs");
        writeln!(input, "{command}").expect("it runs");
        let answer = self.answers.recv_timeout(2 * PATIENCE).expect(command);
        let (event, _) = command.split_once(' ').expect("words");
        assert_eq!(answer["event"], event, "{command}");
        answer
    }

    /// Starts a member of a group. Returns its client id.
    #[track_caller]
    pub fn member(
        &mut self,
        name: &str,
        kind: &str,
        how: &str,
        group: &str,
        topic: &str,
    ) -> String {
        let started = self.ask(&format!("start {name} {kind} {how} {group} {topic}"));
        started["client_id"].as_str().expect("an id").to_owned()
    }

    /// The queues of its topic that a member has, as `broker:id`.
    #[track_caller]
    pub fn queues(&mut self, name: &str) -> Vec<String> {
        names(&self.ask(&format!("queues {name}"))["queues"])
    }

    /// How Java divides a topic among clients of these ids.
    #[track_caller]
    pub fn divide(&mut self, how: &str, ids: &[String], topic: &str) -> Vec<Vec<String>> {
        let answer = self.ask(&format!("divide {how} {} {topic}", ids.join(",")));
        answer["shares"]
            .as_array()
            .expect("shares")
            .iter()
            .map(names)
            .collect()
    }

    /// What its consumers have consumed since the last look.
    pub fn consumed(&self) -> Vec<Consumed> {
        self.consumed.try_iter().collect()
    }

    /// The next messages that its consumers consume. A member of Java may ask for nothing for up to 30 s after it has
    /// taken a queue.
    #[track_caller]
    pub fn consume(&self, count: usize) -> Vec<Consumed> {
        let next = || self.consumed.recv_timeout(2 * PATIENCE);
        let next = |_| next().expect("a message in time");
        (0..count).map(next).collect()
    }

    /// A crash.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child");
        self.child.wait().expect("its end");
    }

    /// Has its members and itself shut down.
    pub fn end(mut self) {
        drop(self.input.take());
        eventually("Java ends", || {
            self.child.try_wait().is_ok_and(|end| end.is_some())
        });
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The tool `mqadmin`.
pub struct Mqadmin(Peer);

impl Mqadmin {
    pub fn start(name_server: &str) -> Mqadmin {
        Mqadmin(Peer::of("Mqadmin.java", name_server))
    }

    /// What a command prints: the words of each line.
    #[track_caller]
    pub fn run(&mut self, command: &str) -> Vec<Vec<String>> {
        let answer = self.0.ask(command);
        let output = answer["output"].as_str().expect("a text");
        println!("{command}\n{output}");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        output.lines().map(words).collect()
    }
}

/// A list of texts.
pub fn names(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list").iter();
    list.map(|name| name.as_str().expect("a text").to_owned())
        .collect()
}
