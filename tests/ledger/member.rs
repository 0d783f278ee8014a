//! A member of the group: this binary once more, for one test, which consumes until it is told to stop.
//! It writes each record as one line, which a kill cannot cut.

use std::error::Error as StdError;
use std::io::{self, BufRead, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use rocketmq_blocking::consumer::Event;
use rocketmq_blocking::hook::{RpcHook, RpcRequest, RpcResponse};
use rocketmq_blocking::{ClientOptions, Error, MessageView, PushConsumer, Retry, StartFrom};
use serde::{Deserialize, Serialize};

use super::record::{Enter, Outcome, Place, Queue, Record, What, now};
use crate::support::apart::this_binary;

/// The settings of a member, in JSON.
const SETTINGS: &str = "ROCKETMQ_TEST_MEMBER";

/// Set in a module's own path, so that the test is found in every binary.
const TEST: &str = "ledger::member::consumes_as_the_settings_say_until_its_input_ends";

/// How long a member has for its end.
const END_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Another one after a restart.
    pub name: String,
    pub instance: String,
    pub name_server: String,
    pub group: String,
    pub topic: String,
    pub is_ordered: bool,
    pub window: usize,
    pub threads: usize,
    /// How long a handler works.
    pub work: Duration,
    /// Every so many messages one is refused the first time.
    pub refused: u64,
    /// The names of the brokers by their addresses.
    pub brokers: Vec<(String, String)>,
}

/// A running member.
pub struct Member {
    pub name: String,
    pub child: Child,
    /// It ends with this.
    pub input: Option<ChildStdin>,
}

impl Settings {
    pub fn start(&self) -> Member {
        let mut command: Command = this_binary();
        command.env(SETTINGS, serde_json::to_string(self).expect("JSON"));
        command.args([
            "--exact",
            TEST,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        Member {
            name: self.name.clone(),
            input: child.stdin.take(),
            child,
        }
    }

    fn refuses(&self, message: &MessageView, key: u64) -> bool {
        message.reconsume_times() == 0 && key % self.refused == self.refused - 1
    }

    /// The handler.
    fn handle(&self, message: &MessageView) -> Result<(), Retry> {
        let queue = message.queue().expect("consumed");
        let enter = Enter {
            member: self.name.clone(),
            place: Place {
                queue: Queue::of(queue),
                offset: message.queue_offset(),
            },
            key: message.text()?.parse()?,
            attempt: message.reconsume_times(),
            repeated: message.possibly_repeated(),
        };
        write(What::Enter(enter.clone()));
        if !self.work.is_zero() {
            std::thread::sleep(self.work);
        }
        let (outcome, result) = match self.refuses(message, enter.key) {
            true => (Outcome::Later, Err(self.retry())),
            false => (Outcome::Done, Ok(())),
        };
        write(What::Outcome { enter, outcome });
        result
    }

    fn retry(&self) -> Retry {
        match self.is_ordered {
            // In place, at once.
            true => Retry::later(),
            false => Retry::level(1),
        }
    }

    fn event(&self, event: &Event) {
        let member = self.name.clone();
        write(match event {
            Event::Assigned { queues } => {
                let queues = queues.iter().map(Queue::of).collect();
                What::Assigned { member, queues }
            }
            Event::Lost { queue, .. } => {
                let queue = Queue::of(queue);
                What::Lost { member, queue }
            }
            other => {
                let text = other.to_string();
                What::Event { member, text }
            }
        });
    }
}

/// Writes down confirmed commits, by the time at which they were sent.
struct Commits(Settings);

const UPDATE_CONSUMER_OFFSET: i32 = 15;
const SENT: &str = "ledgerSentAt";

impl RpcHook for Commits {
    fn before(&self, request: &mut RpcRequest) -> Result<(), Box<dyn StdError + Send + Sync>> {
        if request.code() == UPDATE_CONSUMER_OFFSET {
            request.set_field(SENT, &now().to_string());
        }
        Ok(())
    }

    fn after(&self, request: &RpcRequest, outcome: Result<RpcResponse<'_>, &Error>) {
        let confirmed = outcome.is_ok_and(|answer| answer.code().number() == 0);
        if request.code() != UPDATE_CONSUMER_OFFSET || !confirmed {
            return;
        }
        let field = |name| request.field(name).expect("a field of a commit");
        let by_address = self
            .0
            .brokers
            .iter()
            .find(|(address, _)| address == request.address());
        write(What::Commit {
            member: self.0.name.clone(),
            queue: Queue {
                topic: field("topic").to_owned(),
                broker: by_address.expect("a broker of the run").1.clone(),
                id: field("queueId").parse().expect("a number"),
            },
            offset: field("commitOffset").parse().expect("a number"),
            sent: field(SENT).parse().expect("a number"),
        });
    }
}

fn write(what: What) {
    let record = Record { at: now(), what };
    let mut line = serde_json::to_vec(&record).expect("JSON");
    line.push(b'\n');
    // If nobody reads it any more, the run is over.
    drop(io::stdout().lock().write_all(&line));
}

/// The member itself: nothing without settings.
#[test]
#[ignore = "a part of other tests"]
fn consumes_as_the_settings_say_until_its_input_ends() {
    let Ok(settings) = std::env::var(SETTINGS) else {
        return;
    };
    let settings: Settings = serde_json::from_str(&settings).expect("settings");
    // Behind what the test harness has printed.
    println!();
    let (listener, handler) = (settings.clone(), settings.clone());
    let builder = PushConsumer::builder(&settings.group)
        .name_server(&settings.name_server)
        .instance_name(&settings.instance)
        .options(ClientOptions::new().rpc_hook(Commits(settings.clone())))
        .subscribe(&*settings.topic, "*")
        .start_from(StartFrom::First)
        .consume_threads(settings.threads)
        .window(settings.window)
        .suspend(Duration::from_millis(10))
        .start_timeout(END_WITHIN)
        .events(move |event| listener.event(event));
    let started = match settings.is_ordered {
        true => builder.start_ordered(move |message| handler.handle(message)),
        false => builder.start(move |message| handler.handle(message)),
    };
    let consumer = started.expect("a consumer");
    let member = settings.name;
    write(What::Joined {
        member: member.clone(),
    });
    let mut line = String::new();
    while io::stdin()
        .lock()
        .read_line(&mut line)
        .is_ok_and(|len| len > 0)
    {}
    let report = consumer.shutdown_within(END_WITHIN);
    let left_over = (!report.is_clean()).then(|| format!("{report}; {}", consumer.stats()));
    write(What::Left { member, left_over });
}
