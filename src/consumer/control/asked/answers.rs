//! Questions that brokers ask a consumer on behalf of an operator.

use std::time::Instant;

use super::seeks::seek;
use crate::client::Client;
use crate::consumer::config::Sharing;
use crate::consumer::consume::Mode;
use crate::consumer::control::inbox::{Question, What};
use crate::consumer::control::owned::{Owned, Queues};
use crate::consumer::control::tools::Tools;
use crate::consumer::observe::{Event, MoveReason};
use crate::consumer::questions;
use crate::consumer::queue::QueueLock;
use crate::protocol::Command;
use crate::protocol::code::response;
use crate::protocol::consumer::asked::{ConsumerOffsets, QueueInfo, RunningInfo};
use crate::transport::epoch_millis;

/// Answers a broker's question.
pub(super) fn answer(
    question: Question,
    queues: &mut Queues,
    tools: &mut Tools,
    client: &Client,
    now: Instant,
) {
    let Question { request, what } = question;
    let body = match what {
        What::Reset(offsets) => {
            for (queue, offset) in offsets {
                let shown = tools.topics.for_users(&queue);
                tools.past.forget(&queue);
                let (Some(owned), Ok(to)) = (queues.of(&queue), u64::try_from(offset)) else {
                    continue;
                };
                let from = owned.assigned.lock().window.low_water();
                if seek(&shown, to, queues, tools, now).is_ok() {
                    tools.events.tell(Event::OffsetMoved {
                        queue: shown,
                        from,
                        to: Some(to),
                        why: MoveReason::Reset,
                    });
                }
            }
            return request.done();
        }
        What::Offsets(topic) => offsets(&topic, queues).encode(),
        What::RunningInfo => running_info(queues, tools, client, now).encode(),
    };
    let answer = Command::response_to(request.command(), response::SUCCESS);
    request.reply(&answer.with_body(body));
}

/// The offsets of a topic's queues; those of all topics for an empty name.
fn offsets(topic: &str, queues: &Queues) -> ConsumerOffsets {
    let of_topic = queues.iter().filter(|owned| {
        let is_of_topic = topic.is_empty() || owned.queue().topic() == topic;
        is_of_topic && owned.is_active()
    });
    let offset = |owned: &Owned| {
        let low_water = owned.assigned.lock().window.low_water();
        let offset = low_water.try_into().unwrap_or(i64::MAX);
        (owned.queue().clone(), offset)
    };
    ConsumerOffsets {
        message_queue_table: of_topic.map(offset).collect(),
    }
}

fn running_info(queues: &Queues, tools: &Tools, client: &Client, now: Instant) -> RunningInfo {
    let config = &tools.config;
    let name_servers = client.describe().name_servers.into_iter();
    let name_servers: Vec<_> = name_servers.map(|server| server.address).collect();
    let is_ordered = config.mode == Mode::Ordered;
    let kind = match config.is_pull {
        true => "CONSUME_ACTIVELY",
        false => "CONSUME_PASSIVELY",
    };
    let model = match config.sharing {
        Sharing::Everyone => "BROADCASTING",
        _ => "CLUSTERING",
    };
    let of_both = [
        ("messageModel", model.to_owned()),
        ("PROP_NAMESERVER_ADDR", name_servers.join(";")),
        ("PROP_CONSUME_TYPE", kind.to_owned()),
    ];
    // Java's lite pull consumers do not have these either.
    let of_push = [
        ("PROP_CONSUMEORDERLY", is_ordered.to_string()),
        ("PROP_THREADPOOL_CORE_SIZE", config.threads.to_string()),
    ];
    let of_push = of_push.into_iter().filter(|_| !config.is_pull);
    let properties = of_both.into_iter().chain(of_push);
    let topics = tools.topics.iter();
    let popping = tools.popping.as_ref();
    let popped = popping.map_or_else(Vec::new, |popping| popping.describe(now));
    RunningInfo {
        mq_pop_table: questions::popped(&popped, &tools.topics),
        mq_table: queues
            .iter()
            .map(|owned| (owned.queue().clone(), queue_info(owned, now)))
            .collect(),
        status_table: topics
            .filter_map(|(name, topic)| {
                let history = tools.histories.get(name)?;
                Some((name.to_string(), history.status(&topic.counts, now)))
            })
            .collect(),
        ..questions::running_info(
            &tools.wire.group,
            &tools.topics,
            tools.started_ms,
            properties,
        )
    }
}

fn queue_info(owned: &Owned, now: Instant) -> QueueInfo {
    let window = &owned.assigned.lock().window;
    let offset = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
    let ago = |at: Option<Instant>| {
        at.map_or(0, |at| {
            let millis = now.saturating_duration_since(at).as_millis();
            epoch_millis() - i64::try_from(millis).unwrap_or(0)
        })
    };
    let low_water = offset(window.low_water());
    let is_empty = window.is_empty();
    let lock = owned.lock.as_ref();
    QueueInfo {
        cached_msg_count: window.len().try_into().unwrap_or(i32::MAX),
        cached_msg_min_offset: if is_empty { 0 } else { low_water },
        cached_msg_max_offset: match is_empty {
            true => 0,
            false => offset(window.end().saturating_sub(1)),
        },
        cached_msg_size_in_mi_b: (window.bytes() >> 20).try_into().unwrap_or(i32::MAX),
        commit_offset: low_water,
        droped: owned.is_given_up(),
        last_pull_timestamp: ago(owned.fetch.last_answer),
        last_consume_timestamp: ago(window.last_taken()),
        last_lock_timestamp: ago(lock.and_then(QueueLock::confirmed)),
        locked: lock.is_some_and(|lock| lock.is_held(now)),
        ..QueueInfo::default()
    }
}
