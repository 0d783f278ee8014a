//! What is printed: a line for each event, for people or as JSON, and the summary.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::process;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::{Condvar, Mutex};
use rocketmq_blocking::consumer::Event;
use rocketmq_blocking::{MessageQueue, MessageView, ResponseCode};
use serde::Serialize;

use crate::args::Args;
use crate::base64;
use crate::work::Outcome;

/// Runs that take longer have a progress line.
const LONG: Duration = Duration::from_secs(2);

/// The longest body that people get to see as a whole.
const LONGEST_SHOWN: usize = 200;

/// Takes what happens, from any thread.
pub struct Report {
    json: bool,
    /// When the program started.
    start: Instant,
    /// What people read first.
    heading: String,
    client_id: OnceLock<String>,
    started: Mutex<bool>,
    on_started: Condvar,
    /// What was last assigned.
    assigned: Mutex<Option<Vec<String>>>,
    shows_progress: bool,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    bar: Option<ProgressBar>,
    /// Handled messages when it was last drawn, and when that was.
    before: Option<(Instant, u64)>,
}

impl Report {
    pub fn new(args: &Args, start: Instant) -> Report {
        let json = args.json;
        // On one terminal, a progress line and a stream of JSON lines would overwrite each other.
        let shows_progress = io::stderr().is_terminal() && !(json && io::stdout().is_terminal());
        Report {
            json,
            start,
            heading: format!("consuming {} as {}", args.topics.join(", "), args.group),
            client_id: OnceLock::new(),
            started: Mutex::default(),
            on_started: Condvar::new(),
            assigned: Mutex::default(),
            shows_progress,
            progress: Mutex::default(),
        }
    }

    /// The consumer will be known to brokers by this id.
    pub fn set_client(&self, id: &str) {
        let _ = self.client_id.set(id.to_owned());
    }

    /// The consumer runs, and gets what is sent from now on. Whatever handlers and events have to say
    /// waits for this line.
    pub fn started(&self) {
        let client_id = self.client_id.get().map_or("", String::as_str);
        let t_ms = self.t_ms();
        self.print(
            format_args!("{} (client {client_id})", self.heading),
            &Line::Started { client_id, t_ms },
        );
        *self.started.lock() = true;
        self.on_started.notify_all();
    }

    fn wait_for_start(&self) {
        let mut started = self.started.lock();
        self.on_started
            .wait_while(&mut started, |started| !*started);
    }

    pub fn is_started(&self) -> bool {
        *self.started.lock()
    }

    /// Something happened to the consumer.
    pub fn event(&self, event: &Event) {
        let kind = match event {
            Event::Assigned { queues } => return self.assigned(queues),
            // What follows says more.
            Event::Revoking { .. } => return,
            Event::Lost { .. } => "lost",
            Event::OffsetMoved { .. } => "offset_moved",
            Event::Stuck { .. } => "stuck",
            Event::Corrupt { .. } => "corrupt",
            Event::Refused { code, .. } => {
                self.wait_for_start();
                let code = code.map(|code| code.number());
                return self.trouble("refused", code, &event.to_string());
            }
            Event::NotSaved { .. } => "not_saved",
            Event::DuplicateClient { .. } => "duplicate_client",
            Event::SubscriptionMismatch { .. } => "subscription_mismatch",
            Event::Doubtful { .. } => "doubtful",
            _ => "other",
        };
        self.wait_for_start();
        self.trouble(kind, None, &event.to_string());
    }

    /// These are all queues of this member. That of the group's retries, which is there by itself, is
    /// not shown.
    fn assigned(&self, queues: &[MessageQueue]) {
        self.wait_for_start();
        let queues = queues.iter();
        let asked_for = queues.filter(|queue| !queue.is_retry());
        let mut queues: Vec<String> = asked_for.map(ToString::to_string).collect();
        queues.sort();
        let before = self.assigned.lock().replace(queues.clone());
        if before.as_ref() == Some(&queues) {
            return;
        }
        let (count, list) = (queues.len(), queues.join(" "));
        let t_ms = self.t_ms();
        self.print(
            format_args!("{count} queues: {list}"),
            &Line::Assigned { t_ms, queues },
        );
    }

    /// A handler has decided about a message, on this thread.
    pub fn message(&self, message: &MessageView, outcome: Outcome) {
        self.wait_for_start();
        let line = MessageLine::new(message, outcome, self.t_ms());
        self.print(Shown { message, outcome }, &Line::Message(&line));
    }

    pub fn lag(&self, lag: &Lag) {
        self.print(lag, &Line::Lag(lag));
    }

    /// The program cannot go on.
    pub fn error(&self, error: &(dyn Error + 'static)) {
        let (kind, code) = match error.downcast_ref::<rocketmq_blocking::Error>() {
            Some(error) => (error.kind().as_str(), error.response_code()),
            None => ("io", None),
        };
        self.trouble(kind, code.map(ResponseCode::number), &error.to_string());
    }

    /// Something that a person should know went wrong.
    pub fn trouble(&self, kind: &str, code: Option<i32>, message: &str) {
        match self.json {
            true => self.print(
                "",
                &Line::Error {
                    kind,
                    code,
                    message,
                },
            ),
            false => self.above_progress(|| eprintln!("consume: {message}")),
        }
    }

    /// Something that is worth knowing; for people only.
    pub fn note(&self, text: &str) {
        if !self.json {
            self.above_progress(|| eprintln!("consume: {text}"));
        }
    }

    /// The last line.
    pub fn finish(&self, handled: u64, refused: u64, clean: bool) {
        if let Some(bar) = self.progress.lock().bar.take() {
            bar.finish_and_clear();
        }
        let took = self.start.elapsed();
        // People see why nothing was consumed, or the lag that they asked for.
        if self.json || self.is_started() {
            let ending = if clean { "" } else { ", not clean" };
            self.print(
                format_args!("handled {handled}, refused {refused} in {took:.1?}{ending}"),
                &Line::Summary {
                    handled,
                    refused,
                    seconds: (took.as_secs_f64() * 1e6).round() / 1e6,
                    clean,
                },
            );
        }
    }

    /// How often [`Report::progress`] is to be called.
    pub fn progress_interval(&self) -> Option<Duration> {
        self.shows_progress.then_some(Duration::from_millis(500))
    }

    /// Draws the progress line, once this is a long run.
    pub fn progress(&self, handled: u64, refused: u64, lag: Option<u64>) {
        let now = Instant::now();
        let mut progress = self.progress.lock();
        let before = progress.before.replace((now, handled));
        if now - self.start < LONG {
            return;
        }
        let rate = before.map_or(0.0, |(time, count)| {
            let seconds = (now - time).as_secs_f64().max(0.001);
            (handled - count) as f64 / seconds
        });
        let lag = lag.map_or_else(String::new, |lag| format!(", lag {lag}"));
        let bar = progress.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
            ProgressBar::no_length().with_style(style.expect("a valid template"))
        });
        bar.set_message(format!(
            "handled {handled}, refused {refused}, {rate:.0}/s{lag}"
        ));
        bar.tick();
    }

    fn t_ms(&self) -> u128 {
        self.start.elapsed().as_millis()
    }

    fn print(&self, for_people: impl fmt::Display, line: &Line) {
        match self.json {
            true => {
                let json = serde_json::to_string(line).expect("text and numbers");
                self.above_progress(|| print(&json));
            }
            false => self.above_progress(|| print(&for_people)),
        }
    }

    /// Prints where the progress line does not overwrite it.
    fn above_progress(&self, print: impl FnOnce()) {
        if !self.shows_progress {
            return print();
        }
        match &self.progress.lock().bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

/// Prints a line at once. If nobody reads them any more (as with `| head`), there is no use in going
/// on: what is not committed comes again.
fn print(line: &impl fmt::Display) {
    let mut out = io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        process::exit(1);
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line<'a> {
    Started {
        client_id: &'a str,
        t_ms: u128,
    },
    Assigned {
        t_ms: u128,
        queues: Vec<String>,
    },
    Message(&'a MessageLine<'a>),
    Lag(&'a Lag<'a>),
    Error {
        kind: &'a str,
        code: Option<i32>,
        message: &'a str,
    },
    Summary {
        handled: u64,
        refused: u64,
        seconds: f64,
        clean: bool,
    },
}

#[derive(Serialize)]
struct MessageLine<'a> {
    t_ms: u128,
    thread: String,
    topic: &'a str,
    broker: &'a str,
    queue_id: i32,
    queue_offset: i64,
    msg_id: String,
    offset_msg_id: String,
    tag: Option<&'a str>,
    keys: Option<&'a str>,
    body_base64: String,
    properties: BTreeMap<&'a str, &'a str>,
    sys_flag: i32,
    reconsume_times: i32,
    born_ms: i64,
    stored_ms: i64,
    outcome: &'static str,
}

impl<'a> MessageLine<'a> {
    fn new(message: &'a MessageView, outcome: Outcome, t_ms: u128) -> MessageLine<'a> {
        MessageLine {
            t_ms,
            thread: thread::current().name().unwrap_or_default().to_owned(),
            topic: message.topic(),
            broker: broker(message),
            queue_id: message.queue_id(),
            queue_offset: message.queue_offset(),
            msg_id: message.message_id().into_owned(),
            offset_msg_id: message.offset_message_id(),
            tag: message.tag(),
            keys: keys(message),
            body_base64: base64::encode(message.body()),
            properties: message.properties().collect(),
            sys_flag: message.sys_flag(),
            reconsume_times: message.reconsume_times(),
            born_ms: message.born_timestamp(),
            stored_ms: message.store_timestamp(),
            outcome: outcome.as_str(),
        }
    }
}

fn broker(message: &MessageView) -> &str {
    message.queue().map_or("", MessageQueue::broker)
}

fn keys(message: &MessageView) -> Option<&str> {
    message.property("KEYS")
}

/// A message as people get to see it.
struct Shown<'a> {
    message: &'a MessageView,
    outcome: Outcome,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message;
        let (topic, broker) = (message.topic(), broker(message));
        let (queue, offset) = (message.queue_id(), message.queue_offset());
        write!(f, "{topic}@{broker}:{queue} offset {offset}")?;
        if let Some(tag) = message.tag() {
            write!(f, ", tag {tag}")?;
        }
        if let Some(keys) = keys(message) {
            write!(f, ", keys {keys}")?;
        }
        if message.reconsume_times() > 0 {
            write!(f, ", again ({})", message.reconsume_times())?;
        }
        let text = String::from_utf8_lossy(message.body());
        let shown: String = text.chars().take(LONGEST_SHOWN).collect();
        let cut = if shown.len() < text.len() { ".." } else { "" };
        // A body must not be able to do things to a terminal.
        write!(f, ": {}{cut}", shown.escape_debug())?;
        match self.outcome {
            Outcome::Ok => Ok(()),
            Outcome::Later => f.write_str(" -> later"),
            Outcome::Dead => f.write_str(" -> dead letter"),
        }
    }
}

/// How far a group is in a queue.
#[derive(Serialize)]
pub struct Lag<'a> {
    pub topic: &'a str,
    pub broker: &'a str,
    pub queue_id: i32,
    /// The offset of the next message to consume, if the group has one.
    pub committed: Option<i64>,
    /// The offset of the next message to be stored.
    pub newest: i64,
    pub lag: i64,
}

impl fmt::Display for Lag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, broker, queue) = (self.topic, self.broker, self.queue_id);
        write!(f, "{topic}@{broker}:{queue} ")?;
        match self.committed {
            Some(offset) => write!(f, "committed {offset}")?,
            None => f.write_str("nothing committed")?,
        }
        write!(f, ", newest {}, lag {}", self.newest, self.lag)
    }
}
