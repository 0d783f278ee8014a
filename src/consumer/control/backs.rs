//! Messages whose handlers failed: a broker puts a copy into the retry or dead letter topic. They stay
//! in their window until the copy is confirmed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inbox::{Asked, Event, GivenBack, Inbox};
use super::tools::Tools;
use super::wire::Wire;
use crate::client::Client;
use crate::consumer::LOG;
use crate::consumer::config::ConsumerConfig;
use crate::consumer::consume::{Fallback, Mode, fallback};
use crate::error::{Error, Result};
use crate::logging;
use crate::message::name::{ORIGIN_MESSAGE_ID, RETRY_PREFIX, RETRY_TOPIC};
use crate::message::{Message, SendReceipt};
use crate::protocol::code::response;
use crate::protocol::consumer::back::SendBack;
use crate::send::{Content, Engine, Recipient, SendCall, SendConfig, SendListener, send_async};
use crate::transport::Outcome;

/// How long the send of a copy may take, with its retries.
const COPY_WITHIN: Duration = Duration::from_secs(5);

/// The group in whose name copies are sent, as Java's consumers do.
const INNER_GROUP: &str = "CLIENT_INNER_PRODUCER";

/// The levels at which the brokers' own delays begin.
const FIRST_LEVEL: u32 = 3;

/// The messages whose copies are not confirmed.
#[derive(Default)]
pub(super) struct Backs {
    open: HashMap<u64, Back>,
    /// Those that wait for the next request, by its time.
    agenda: BTreeSet<(Instant, u64)>,
    last: u64,
    /// Sends copies; created for the first one.
    engine: Option<Arc<Engine>>,
}

struct Back {
    given: GivenBack,
    failures: u32,
}

impl Backs {
    /// When the next request is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// A handler failed, and its message goes back.
    pub(super) fn begin(&mut self, given: GivenBack, tools: &Tools, now: Instant) -> Option<u64> {
        self.last += 1;
        let failures = 0;
        self.open.insert(self.last, Back { given, failures });
        self.ask(self.last, tools, now)
    }

    /// Repeats the requests that are due. Returns the queues that changed.
    pub(super) fn step(&mut self, tools: &Tools, now: Instant) -> Vec<u64> {
        let mut changed = Vec::new();
        while let Some((at, id)) = self.agenda.first().copied().filter(|(at, _)| *at <= now) {
            self.agenda.remove(&(at, id));
            changed.extend(self.ask(id, tools, now));
        }
        changed
    }

    /// A broker answered the request for a copy. Returns the queue that changed.
    pub(super) fn answered(
        &mut self,
        id: u64,
        outcome: Outcome,
        tools: &Tools,
        client: &Client,
        now: Instant,
    ) -> Option<u64> {
        let result = outcome.and_then(|answer| match answer.code {
            response::SUCCESS => Ok(()),
            code => Err(Error::response(code, answer.remark.as_deref())),
        });
        self.judge(id, result, tools, client, now)
    }

    /// Asks the broker that stores the message. Returns the queue that changed, if it did.
    fn ask(&mut self, id: u64, tools: &Tools, now: Instant) -> Option<u64> {
        let back = self.open.get(&id)?;
        let header = header(&back.given, &tools.wire, &tools.config);
        if tools
            .wire
            .send_back(&back.given, &header, now, Asked::Back(id))
        {
            return None;
        }
        let queue = &back.given.queue.queue;
        // No broker has an address: a later route may have one.
        tools.wire.core.refresh_soon(&queue.topic().into());
        self.agenda.insert((now + Duration::from_secs(1), id));
        None
    }

    /// A copy was stored, in either way, or the request failed.
    pub(super) fn judge(
        &mut self,
        id: u64,
        result: Result<()>,
        tools: &Tools,
        client: &Client,
        now: Instant,
    ) -> Option<u64> {
        let counters = &tools.counters;
        let back = self.open.get_mut(&id)?;
        let queue = back.given.queue.clone();
        let Err(error) = result else {
            let back = self.open.remove(&id)?;
            let count = match back.given.level < 0 {
                true => &counters.dead_lettered,
                false => &counters.sent_back,
            };
            count.add(1);
            let _ = queue.finish(back.given.ticket);
            return Some(queue.number);
        };
        counters.send_back_failures.add(1);
        back.failures += 1;
        logging::debug!(target: LOG, "{}: a message cannot be given back: {error}", queue.shown);
        match fallback(tools.config.mode, back.failures, tools.holds_locks) {
            Fallback::AskAgain { pause } => {
                self.agenda.insert((now + pause, id));
                None
            }
            Fallback::SendCopy => {
                let copy = copy(&back.given, tools);
                let listener = Copied {
                    inbox: tools.inbox.clone(),
                    id,
                };
                let engine = self.engine(client);
                send(engine, copy, listener, client);
                None
            }
            Fallback::RunAgain { pause } => {
                let back = self.open.remove(&id)?;
                counters.run_again.add(1);
                let _ = queue.put_back(back.given.ticket, now + pause);
                Some(queue.number)
            }
        }
    }

    fn engine(&mut self, client: &Client) -> Arc<Engine> {
        let new = || {
            let mut config = SendConfig::new(INNER_GROUP.to_owned());
            let named = config.use_names(client.inner().config.rpc.names());
            debug_assert!(named.is_ok(), "the inner group is a legal name");
            Arc::new(Engine::new(config, client.clone()))
        };
        self.engine.get_or_insert_with(new).clone()
    }

    pub(super) fn close(&self) {
        if let Some(engine) = &self.engine {
            engine.close();
        }
    }
}

fn header(given: &GivenBack, wire: &Wire, config: &ConsumerConfig) -> SendBack {
    let message = &given.message;
    let topic = wire
        .core
        .config
        .rpc
        .names()
        .on_wire(&message.topic().into());
    SendBack {
        offset: message.commit_log_offset(),
        group: wire.group.to_string(),
        delay_level: given.level,
        origin_message_id: Some(message.message_id().into_owned()),
        origin_topic: Some(topic.to_string()),
        unit_mode: false,
        max_reconsume_times: Some(most(config)),
        broker_name: Some(given.queue.queue.broker().to_owned()),
    }
}

/// After this many failures a message is a dead letter.
fn most(config: &ConsumerConfig) -> i32 {
    let default = match config.mode {
        Mode::Ordered => u32::MAX,
        _ => 16,
    };
    let most = config.max_reconsume.unwrap_or(default);
    i32::try_from(most).unwrap_or(i32::MAX)
}

/// The copy of a message for the group's retry topic.
fn copy(given: &GivenBack, tools: &Tools) -> Message {
    let message = &given.message;
    let names = tools.topics.names();
    let group = names.for_users(&tools.wire.group);
    let times = u32::try_from(message.reconsume_times()).unwrap_or(0);
    let level = match given.level {
        // The level that brokers choose for level 0.
        0 => FIRST_LEVEL + times,
        level => u32::try_from(level).unwrap_or(1),
    };
    let most = u32::try_from(most(&tools.config)).unwrap_or(u32::MAX);
    let (tried, most) = match given.level < 0 {
        // Above the limit: the broker makes it a dead letter.
        true => (times.max(1), 0),
        false => (times + 1, most),
    };
    let original = names.on_wire(&message.topic().into());
    let origin = match message.property(ORIGIN_MESSAGE_ID) {
        Some(id) => id.to_owned(),
        None => message.message_id().into_owned(),
    };
    Message::copy_of(message, format!("{RETRY_PREFIX}{group}"))
        .system_property(RETRY_TOPIC, &*original)
        .system_property(ORIGIN_MESSAGE_ID, origin)
        .reconsume_times(tried)
        .max_reconsume_times(most)
        .delay_level(level)
}

/// Sends on a worker: the route may have to be looked up first.
fn send(engine: Arc<Engine>, copy: Message, listener: Copied, client: &Client) {
    let job = move || {
        let content = Content::Message(&copy);
        let call = SendCall::new(content, None, COPY_WITHIN);
        send_async(&engine, call, Recipient::Listener(Box::new(listener)));
    };
    client.inner().workers.retries.submit(Box::new(job));
}

/// Passes the result of a copy's send to the control thread.
struct Copied {
    inbox: Inbox,
    id: u64,
}

impl SendListener for Copied {
    fn ended(self: Box<Self>, result: Result<SendReceipt>) {
        let result = result.map(drop);
        self.inbox.put(Event::Copied(self.id, result));
    }
}
