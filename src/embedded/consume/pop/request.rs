//! Pops: messages of several queues, each hidden from others for a time.

use std::sync::Arc;
use std::time::Duration;

use super::hide::hide;
use super::source::{Source, held, sources, start};
use crate::embedded::broker::{BrokerState, set_property};
use crate::embedded::consume::check::{
    Refused, build, check_filter_type, check_group, check_topic,
};
use crate::embedded::consume::filter::Filter;
use crate::embedded::consume::read;
use crate::embedded::consume::wait::{self, Waiting};
use crate::embedded::groups::{Batch, QueueKey};
use crate::embedded::server::{Answer, Call, bad_request};
use crate::embedded::store::{Parts, StoredMessage};
use crate::protocol::Command;
use crate::protocol::code::response;
use crate::protocol::consumer::pop::{Handle, Mark, PopAnswer, PopRequest};
use crate::protocol::consumer::subscription::ALL;

/// The most messages of one pop.
const MOST_MESSAGES: i32 = 32;
/// Messages popped in order are remembered here, others in one of the first few queues.
const ORDER_REVIVE_QUEUE: i32 = 999;
const REVIVE_QUEUES: u32 = 8;

/// Serves a pop (200050).
pub(in crate::embedded) fn pop(broker: &Arc<BrokerState>, call: Call<'_>) -> Answer {
    let request = Arc::clone(call.request);
    let pop = match PopRequest::decode(&request.ext) {
        Ok(pop) => pop,
        Err(error) => return Answer::Now(bad_request(&request, &error)),
    };
    let (queues, filter) = match check(broker, &pop, &call) {
        Ok(checked) => checked,
        Err(refused) => return Answer::Now(refused.answer(broker, &request)),
    };
    if let Some(found) = pop_now(broker, &request, &pop, queues, &filter) {
        return Answer::Now(found);
    }
    let Some(time) = held(pop.poll_time) else {
        return Answer::Now(nothing(broker, &request, &pop));
    };
    let watched = sources(broker, (&pop).into(), queues)
        .into_iter()
        .map(|source| {
            let offset = broker.offsets.query(&source.key).unwrap_or(0);
            (source.key.topic, source.key.queue_id, offset)
        });
    let waiting = Waiting {
        group: pop.consumer_group.clone(),
        queues: watched.collect(),
        filter: filter.clone(),
    };
    let again = move |broker: &BrokerState, is_last: bool| {
        let found = pop_now(broker, &request, &pop, queues, &filter);
        found.or_else(|| is_last.then(|| nothing(broker, &request, &pop)))
    };
    wait::wait(broker, call, waiting, time, again);
    Answer::Later
}

fn nothing(broker: &BrokerState, request: &Command, pop: &PopRequest) -> Command {
    let answer = Command::response_to(request, response::POLLING_TIMEOUT);
    let answer = answer.with_remark("NO_MESSAGE_IN_QUEUE");
    answer.with_fields(&PopAnswer {
        pop_time: broker.clock.now(),
        invisible_time: pop.invisible_time,
        ..PopAnswer::default()
    })
}

/// The number of the topic's queues, and the filter.
fn check(
    broker: &BrokerState,
    pop: &PopRequest,
    call: &Call<'_>,
) -> Result<(i32, Filter), Refused> {
    let address = broker.address;
    if pop.max_messages > MOST_MESSAGES {
        let remark = format!("the broker[{address}] pop message's num is greater than 32");
        return Err(Refused::new(response::INVALID_PARAMETER, remark));
    }
    let queues = check_topic(broker, &pop.topic)?;
    if pop.queue_id >= queues {
        let remark = format!(
            "queueId[{}] is illegal, topic:[{}] topicConfig.readQueueNums:[{queues}] consumer:[{}]",
            pop.queue_id, pop.topic, call.peer.address
        );
        return Err(Refused::new(response::INVALID_PARAMETER, remark));
    }
    check_group(broker, &pop.consumer_group)?;
    let expression = pop.expression.as_deref().unwrap_or(ALL);
    let unreadable = || {
        let remark = "parse the consumer's subscription failed";
        Refused::new(response::SUBSCRIPTION_PARSE_FAILED, remark)
    };
    let subscription = build(&pop.topic, expression, pop.expression_type.as_deref());
    let subscription = subscription.map_err(|_| unreadable())?;
    check_filter_type(broker, &subscription.expression_type)?;
    let filter = Filter::of(&subscription).map_err(|_| unreadable())?;
    Ok((queues, filter))
}

/// An answer under construction.
struct Popping<'a> {
    broker: &'a BrokerState,
    pop: &'a PopRequest,
    filter: &'a Filter,
    answer: PopAnswer,
    starts: Vec<String>,
    offsets: Vec<String>,
    counts: Vec<String>,
    body: Vec<u8>,
    /// The number of messages that still fit.
    left: usize,
}

/// The messages available now; `None` if there are none.
fn pop_now(
    broker: &BrokerState,
    request: &Command,
    pop: &PopRequest,
    queues: i32,
    filter: &Filter,
) -> Option<Command> {
    // One pop at a time: each message goes to one of them.
    let _turn = broker.popping.lock();
    let mut popping = Popping {
        broker,
        pop,
        filter,
        answer: PopAnswer {
            pop_time: broker.clock.now(),
            invisible_time: pop.invisible_time,
            revive_queue: match pop.order {
                true => ORDER_REVIVE_QUEUE,
                false => (broker.count() % REVIVE_QUEUES) as i32,
            },
            ..PopAnswer::default()
        },
        starts: Vec::new(),
        offsets: Vec::new(),
        counts: Vec::new(),
        body: Vec::new(),
        left: usize::try_from(pop.max_messages).unwrap_or(0),
    };
    for source in sources(broker, pop.into(), queues) {
        popping.take(&source);
    }
    popping.finish(request)
}

impl Popping<'_> {
    fn take(&mut self, source: &Source) {
        let (broker, pop) = (self.broker, self.pop);
        let key = &source.key;
        if pop.order && is_blocked(broker, key, pop.attempt_id.as_deref()) {
            return;
        }
        let queue = broker.queue(&key.topic, key.queue_id);
        let (_, end) = broker.store.bounds(queue);
        let start = start(broker, pop, source);
        if self.left == 0 || start == end {
            self.answer.rest += end - start;
            return;
        }
        let read = read::read(broker, queue, start, self.left, self.filter);
        self.answer.rest += (read.max - read.next).max(0);
        if !pop.order || read.messages.is_empty() {
            let now = broker.clock.now();
            broker.offsets.commit(key, read.next, now);
            broker.changes.note();
        }
        if read.messages.is_empty() {
            return;
        }
        self.left -= read.messages.len();
        let offsets: Vec<i64> = read
            .messages
            .iter()
            .map(StoredMessage::queue_offset)
            .collect();
        if pop.order {
            self.begin_batch(source, &offsets);
        }
        let (mark, id) = (source.mark, key.queue_id);
        let texts: Vec<String> = offsets.iter().map(i64::to_string).collect();
        self.starts.push(format!("{mark} {id} {}", offsets[0]));
        self.offsets
            .push(format!("{mark} {id} {}", texts.join(",")));
        for message in &read.messages {
            let handle = Handle {
                start_offset: offsets[0],
                pop_time: self.answer.pop_time,
                invisible_time: pop.invisible_time,
                revive_queue: self.answer.revive_queue,
                mark,
                broker: broker.name.to_string(),
                queue_id: id,
                queue_offset: message.queue_offset(),
            };
            if !pop.order {
                hide(broker, key, &handle, message);
            }
            match mark {
                Mark::Normal => self.body.extend_from_slice(message.encoded()),
                _ => self.body.extend(renamed(message, &pop.topic, &handle)),
            }
        }
    }

    fn begin_batch(&mut self, source: &Source, offsets: &[i64]) {
        let (broker, pop) = (self.broker, self.pop);
        let (mark, id) = (source.mark, source.key.queue_id);
        let attempt = pop.attempt_id.as_deref();
        broker.pops.with_batch(&source.key, |latest| {
            let (time, invisible) = (self.answer.pop_time, pop.invisible_time);
            let batch = Batch::new(latest.as_ref(), offsets, time, invisible, attempt);
            let least = batch.deliveries().map(|(_, count)| count).min();
            self.counts
                .push(format!("{mark} {id} {}", least.unwrap_or(0)));
            for (offset, count) in batch.deliveries().filter(|(_, count)| *count > 0) {
                self.counts.push(format!("{mark} qo{id}%{offset} {count}"));
            }
            *latest = Some(batch);
        });
        wake_later(broker, &pop.consumer_group, pop.invisible_time);
    }

    fn finish(self, request: &Command) -> Option<Command> {
        if self.starts.is_empty() {
            return None;
        }
        let list = |entries: Vec<String>| Some(entries.join(";")).filter(|list| !list.is_empty());
        let fields = PopAnswer {
            start_offsets: list(self.starts),
            message_offsets: list(self.offsets),
            order_counts: list(self.counts),
            ..self.answer
        };
        let answer = Command::response_to(request, response::SUCCESS);
        let answer = answer.with_fields(&fields).with_remark("FOUND");
        Some(answer.with_body(self.body))
    }
}

/// Whether a batch of the queue is open that another request has popped in order.
pub(super) fn is_blocked(broker: &BrokerState, key: &QueueKey, attempt: Option<&str>) -> bool {
    let now = broker.clock.now();
    broker.pops.with_batch(key, |batch| {
        let batch = batch.as_ref();
        batch.is_some_and(|batch| batch.blocks(attempt, now))
    })
}

/// A message of a retry topic as pops return it: with the requested topic and its handle.
fn renamed(message: &StoredMessage, topic: &str, handle: &Handle) -> Vec<u8> {
    let mut properties = message.raw_properties().to_owned();
    set_property("POP_CK", &handle.to_string(), &mut properties);
    let parts = Parts {
        topic: &topic.into(),
        properties: &properties,
        ..message.parts()
    };
    message.encoded_as(&parts)
}

/// Has waiting pops in order check again when the batch before them is visible again.
pub(super) fn wake_later(broker: &BrokerState, group: &str, invisible: i64) {
    let time = Duration::from_millis(invisible.max(0).unsigned_abs());
    let (waiting, group) = (broker.parked.clone(), group.to_owned());
    broker
        .clock
        .after(time, move || waiting.wake(&group))
        .detach();
}
