//! One send: its destination, its attempts on the wire, their answers, and its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::history::History;
use super::hook_calls;
use super::hooks::{SendContext, SendMode, SendOutcome};
use super::prepared_message::{PreparedMessage, SendCall, Start};
use super::queue::{QueueChoice, Report};
use crate::client::PublishInfo;
use crate::error::{Error, ErrorKind, Result, SendFate};
use crate::message::{MessageQueue, SendReceipt, SendStatus};
use crate::protocol::Command;
use crate::protocol::code::request;
use crate::protocol::send::{self as wire, SendHeader, SendResponse};
use crate::transport::{CONNECTIONS_PER_CALL, Connection, Deadline, Outcome, Permit, Request, To};

mod next_attempt;
mod refusal;

/// The shortest time for an attempt before the send goes to another broker, even if its share is shorter.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(500);

/// One send, from its first attempt to its end.
pub(crate) struct SendFlow {
    pub(super) engine: Arc<Engine>,
    pub(super) message: PreparedMessage,
    /// The destination of the current attempt.
    pub(super) destination: Destination,
    pub(super) deadline: Deadline,
    /// An attempt's even share of the whole time.
    share: Duration,
    /// The queue was given or chosen by the caller: it never changes.
    fixed_queue: bool,
    most_attempts: u32,
    /// Attempts that were begun, the current one included.
    made: u32,
    /// The current attempt has begun and not ended.
    is_open: bool,
    /// The earlier attempts, if any.
    history: Option<Box<History>>,
    /// A queue did not exist any more: from then on only a route newer than this counts.
    outdated: Option<Instant>,
    went_away: bool,
    mode: SendMode,
    /// The hooks' context of the current attempt; taken when the hooks get its end.
    shown: Option<Box<SendContext>>,
}

/// The destination of an attempt, and its deadline.
#[derive(Clone)]
pub(super) struct Destination {
    pub(super) queue: MessageQueue,
    /// The broker that the queue is on.
    pub(super) host: Arc<str>,
    pub(super) address: Arc<str>,
    /// Another broker has queues of this topic too.
    pub(super) has_other_broker: bool,
    pub(super) deadline: Deadline,
}

/// The next step after an attempt.
pub(super) enum Step {
    Done(Result<SendReceipt>),
    /// Another attempt, after a pause and possibly a route look-up.
    Again {
        pause: Duration,
        refresh: bool,
    },
    /// The same attempt over a new connection, after a pause.
    Resend {
        pause: Duration,
    },
}

/// Sends, and waits for the receipt.
pub(crate) fn send(engine: &Arc<Engine>, call: SendCall<'_>) -> Result<SendReceipt> {
    engine
        .counters
        .count(call.size, || send_uncounted(engine, call))
}

/// The same, for a call whose statistics are counted elsewhere.
pub(crate) fn send_uncounted(engine: &Arc<Engine>, call: SendCall<'_>) -> Result<SendReceipt> {
    check_open_to_send(engine, call.start.at)?;
    let mut message = PreparedMessage::new(engine, &call, String::new())?;
    let _permit = message.take_capacity(&engine.account, 0, call.deadline)?;
    SendFlow::new(engine, message, call.choice, call.deadline, SendMode::Sync)?.run()
}

/// Sends without an answer: `Ok` once the connection has accepted it.
pub(crate) fn send_oneway(engine: &Arc<Engine>, call: SendCall<'_>) -> Result<()> {
    engine.counters.count(call.size, || {
        check_open_to_send(engine, call.start.at)?;
        let mut message = PreparedMessage::new(engine, &call, String::new())?;
        let permit = message.take_capacity(&engine.account, 1, call.deadline)?;
        let (choice, deadline) = (call.choice, call.deadline);
        SendFlow::new(engine, message, choice, deadline, SendMode::Oneway)?.run_oneway(permit)
    })
}

/// Whether sends are still taken. A fork of this process may be noticed a moment late.
pub(crate) fn check_open_to_send(engine: &Engine, now: Instant) -> Result<()> {
    let forked = engine.core.remoting.process.is_forked_at(now);
    match forked || engine.account.is_closed() {
        true => engine.check_open(),
        false => Ok(()),
    }
}

/// The next queue in turn, if possible not on the broker of the last attempt.
fn next_queue<'a>(engine: &Engine, info: &'a PublishInfo, last: Option<&str>) -> &'a MessageQueue {
    match &engine.faults {
        None => info.next_queue(last),
        Some(faults) => faults.next_queue(info, last),
    }
}

/// Where a topic can be written, and whether a name server had to be asked.
fn publish_info(
    engine: &Engine,
    topic_on_wire: &Arc<str>,
    deadline: Deadline,
) -> Result<(Arc<PublishInfo>, bool)> {
    let routes = &engine.core.routes;
    let (info, asked) = match routes.table.publish(topic_on_wire) {
        Some(info) => (info, false),
        None => {
            let default = &engine.config.default_topic;
            (routes.publish_info(topic_on_wire, default, deadline)?, true)
        }
    };
    if info.queues.is_empty() {
        engine.core.refresh_soon(topic_on_wire);
        info.check_writable()
            .map_err(|error| error.on_topic(topic_on_wire))?;
    }
    Ok((info, asked))
}

impl Destination {
    pub(super) fn new(
        engine: &Engine,
        info: &PublishInfo,
        queue: MessageQueue,
        deadline: Deadline,
    ) -> Result<Destination> {
        let target = info.target(&queue)?;
        Ok(Destination {
            host: target.host,
            address: match engine.core.config.rpc.vip_channel {
                false => target.master.clone(),
                true => engine.core.config.rpc.send_address(target.master),
            },
            has_other_broker: target.has_other_broker,
            queue,
            deadline,
        })
    }
}

impl SendFlow {
    /// A send with a destination for its first attempt: all checks before sending have passed.
    pub(crate) fn new(
        engine: &Arc<Engine>,
        mut message: PreparedMessage,
        choice: Option<QueueChoice>,
        deadline: Deadline,
        mode: SendMode,
    ) -> Result<SendFlow> {
        let fixed_queue = choice.is_some();
        let by_caller = matches!(choice, Some(QueueChoice::Select(_)));
        let first = || {
            let (info, asked) = publish_info(engine, &message.topic_on_wire, deadline)?;
            let queue = match choice {
                None => next_queue(engine, &info, None).clone(),
                Some(choice) => choice.queue(&info, &message.topic)?,
            };
            // Of the steps before, only a name server or a selector can be slow.
            let start = (asked || by_caller).then(Start::now);
            let destination = Destination::new(engine, &info, queue, deadline)?;
            Result::Ok((destination, start))
        };
        let (destination, start) = first().map_err(|error: Error| {
            if error.kind() == ErrorKind::NoBroker {
                // By now the broker that the known route lacks may exist.
                engine.core.refresh_soon(&message.topic_on_wire);
            }
            message.failed(error)
        })?;
        message.begun = start.unwrap_or(message.begun);
        let retries = match mode {
            _ if fixed_queue => 0,
            SendMode::Sync => engine.config.retries,
            SendMode::Async => engine.config.async_retries,
            SendMode::Oneway => 0,
        };
        let most_attempts = retries.saturating_add(1);
        let mut flow = SendFlow {
            share: deadline.remaining(message.begun.at) / most_attempts,
            engine: engine.clone(),
            message,
            destination,
            deadline,
            fixed_queue,
            most_attempts,
            made: 0,
            is_open: false,
            history: None,
            outdated: None,
            went_away: false,
            mode,
            shown: None,
        };
        flow.begin()?;
        Ok(flow)
    }

    /// The pause between attempts, limited by the deadline.
    pub(super) fn within_deadline(&self, pause: Duration) -> Duration {
        pause.min(self.deadline.remaining(Instant::now()))
    }

    /// Attempts until the end, on this thread.
    pub(crate) fn run(mut self) -> Result<SendReceipt> {
        loop {
            let answer = exchange(&self.engine, &self.message, &self.destination);
            let now = Instant::now();
            let step = match answer {
                Ok(answer) => self.settle(Ok(&answer), now),
                Err(error) => self.settle(Err(error), now),
            };
            match step {
                Step::Done(result) => return result,
                Step::Resend { pause } => {
                    self.engine.pause(pause);
                    self.resume(pause);
                }
                Step::Again { pause, refresh } => {
                    self.engine.pause(self.within_deadline(pause));
                    if let Some(end) = self.choose_again(refresh) {
                        return end;
                    }
                }
            }
        }
    }

    /// Makes the only attempt of a oneway send: `Ok` once the connection has accepted it.
    pub(super) fn run_oneway(mut self, permit: Permit) -> Result<()> {
        let Destination {
            address, deadline, ..
        } = &self.destination;
        let remoting = &self.engine.core.remoting;
        let accepted = with_request(&self.engine, &self.message, &self.destination, |request| {
            remoting.invoke_oneway(address, request, Some(permit), *deadline)
        });
        let (counters, broker) = (&self.engine.counters, &self.destination.host);
        match &accepted {
            Ok(()) => counters.accepted(broker),
            Err(error) => {
                counters.not_stored(broker, error, Duration::ZERO);
                self.learn_from(error);
            }
        }
        let accepted = accepted.map_err(|error| self.message.failed(error));
        self.tell_hooks(match &accepted {
            Ok(()) => SendOutcome::Accepted,
            Err(error) => SendOutcome::Failed(error),
        });
        accepted
    }

    /// Judges the attempt that ended at this time. Never blocks: without hooks it may run on a
    /// reader thread.
    pub(super) fn settle(&mut self, answer: Result<&Command>, at: Instant) -> Step {
        let read = answer
            .and_then(|answer| receipt(answer, &mut self.message, &self.destination, self.made));
        let took = at.saturating_duration_since(self.message.begun.at);
        match read {
            Ok(receipt) => self.stored(receipt, took),
            Err(error) => self.failed(error, at, took),
        }
    }

    /// Starts the attempt at the current destination.
    fn begin(&mut self) -> Result<()> {
        self.made += 1;
        self.went_away = false;
        if self.made > 1 {
            self.history().go_on();
        }
        if self.made < self.most_attempts {
            // While another broker could still be tried, this attempt must not use up the whole time.
            let share = self
                .destination
                .has_other_broker
                .then(|| self.share.max(SHORTEST_ATTEMPT));
            for cap in [share, self.engine.config.attempt_timeout]
                .into_iter()
                .flatten()
            {
                let begun = self.message.begun.at;
                self.destination.deadline = self.destination.deadline.capped(begun, cap);
            }
        }
        if self.message.payload.is_some() {
            let (message, queue) = (&self.message, &self.destination.queue);
            let address = &self.destination.address;
            match hook_calls::show(&self.engine, message, queue, address, self.mode) {
                Ok(shown) => self.shown = shown,
                Err(refused) => {
                    self.made -= 1;
                    return Err(refused);
                }
            }
        }
        if self.made > 1 {
            self.engine.counters.retry();
        }
        self.is_open = true;
        Ok(())
    }

    fn stored(&mut self, receipt: SendReceipt, took: Duration) -> Step {
        self.is_open = false;
        self.engine.counters.answered(&self.destination.host, took);
        self.tell_hooks(SendOutcome::Stored(&receipt));
        if self.engine.faults.is_some() {
            let broker = self.destination.queue.shared_broker();
            self.engine.report(broker, Report::Stored(took));
        }
        match receipt.status {
            SendStatus::Ok => Step::Done(Ok(receipt)),
            _ => self.stored_in_part(receipt, took),
        }
    }

    /// Repeats an attempt after a pause, which does not count in the broker's latency.
    pub(super) fn resume(&mut self, pause: Duration) {
        if !pause.is_zero() {
            self.message.begun = Start::now();
        }
    }

    /// Whether hooks see the end of the attempt, which must then not be settled on a reader thread.
    pub(super) fn has_hooks(&self) -> bool {
        self.shown.is_some()
    }

    /// Passes the end of the attempt to the hooks that saw its beginning.
    fn tell_hooks(&mut self, outcome: SendOutcome<'_>) {
        if let Some(context) = self.shown.take() {
            self.engine.config.hooks.after(&context, &outcome);
        }
    }
}

/// One attempt and its answer. If the request was not sent because the connection that the broker knows
/// has just ended, it is sent over the next one.
pub(super) fn exchange(
    engine: &Engine,
    message: &PreparedMessage,
    destination: &Destination,
) -> Outcome {
    let mut connections = CONNECTIONS_PER_CALL;
    loop {
        connections -= 1;
        let registered = ensure_registered(engine, message, destination);
        let to = To::over(registered.as_ref(), &destination.address);
        let answer = with_request(engine, message, destination, |request| {
            let remoting = &engine.core.remoting;
            remoting.invoke_once(to, request, destination.deadline)
        });
        let is_over = registered.is_some_and(|connection| !connection.is_usable());
        match &answer {
            Err(error) if connections > 0 && is_over && error.fate() == SendFate::NotSent => {}
            _ => return answer,
        }
    }
}

/// The connection for an attempt whose reply the broker pushes to this client.
pub(super) fn ensure_registered(
    engine: &Engine,
    message: &PreparedMessage,
    destination: &Destination,
) -> Option<Arc<Connection>> {
    let (address, deadline) = (&destination.address, destination.deadline);
    if !message.wants_reply {
        return None;
    }
    let group = &engine.config.group_on_wire;
    engine.core.ensure_registered(group, address, deadline)
}

/// Builds the request of an attempt from borrowed parts.
pub(super) fn with_request<T>(
    engine: &Engine,
    message: &PreparedMessage,
    destination: &Destination,
    run: impl FnOnce(&Request<'_>) -> T,
) -> T {
    let config = &engine.config;
    let header = SendHeader {
        producer_group: &config.group_on_wire,
        topic: &message.topic_on_wire,
        default_topic: &config.default_topic.name,
        default_topic_queue_nums: config.default_topic.queues,
        queue_id: destination.queue.id(),
        sys_flag: message.sys_flag,
        born_timestamp: message.begun.epoch_millis,
        flag: message.flag,
        properties: &message.properties,
        reconsume_times: message.reconsume_times,
        unit_mode: engine.core.config.rpc.unit_mode,
        max_reconsume_times: message.max_reconsume_times,
        batch: message.batch,
        broker_name: Some(&destination.host),
    };
    let (code, long_names) = match (message.batch, config.short_headers) {
        (true, _) => (request::SEND_BATCH_MESSAGE, false),
        _ if message.reply && config.short_headers => (request::SEND_REPLY_MESSAGE_V2, false),
        _ if message.reply => (request::SEND_REPLY_MESSAGE, true),
        (false, true) => (request::SEND_MESSAGE_V2, false),
        (false, false) => (request::SEND_MESSAGE, true),
    };
    let request = Request::send(code, &header, long_names);
    run(&request.with_body(&message.body))
}

/// The receipt in an answer.
///
/// # Errors
/// The error that the answer is.
pub(super) fn receipt(
    answer: &Command,
    message: &mut PreparedMessage,
    destination: &Destination,
    attempts: u32,
) -> Result<SendReceipt> {
    let Some(status) = wire::status(answer.code) else {
        return Err(refusal::error(answer, message).at(&destination.address));
    };
    let response = SendResponse::decode(&answer.ext)
        .map_err(|error| Error::from(error).maybe_stored().at(&destination.address))?;
    let message_id = match (&response.batch_unique_key, status) {
        (Some(key), _) if message.batch => (**key).into(),
        // The end: it is not needed again.
        (_, SendStatus::Ok) => std::mem::take(&mut message.message_id),
        _ => message.message_id.clone(),
    };
    Ok(SendReceipt {
        status,
        extras: wire::extras(
            &message_id,
            response.transaction_id.as_deref(),
            response.region.as_deref(),
            response.recall_handle.as_deref(),
        ),
        message_id,
        offset_message_id: response.message_id.into(),
        // Below zero: the broker chooses.
        queue: match destination.queue.id() {
            0.. => destination.queue.clone(),
            _ => destination.queue.with_id(response.queue_id),
        },
        queue_offset: response.queue_offset,
        trace_on: response.trace_on,
        attempts,
    })
}
