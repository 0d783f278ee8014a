//! Pulls: messages of a queue from an offset on, at once, or as soon as there is one (a long poll).

use std::sync::Arc;
use std::time::Duration;

use super::check::check_pull;
use super::filter::Filter;
use super::read::{self, Read};
use super::wait::{self, Waiting};
use crate::embedded::broker::BrokerState;
use crate::embedded::groups::QueueKey;
use crate::embedded::server::{Answer, Call, bad_request};
use crate::protocol::Command;
use crate::protocol::consumer::pull::{PullAnswer, PullRequest, PullStatus, flag};

/// Serves a pull (11, and 361 of lite pull consumers).
pub(in crate::embedded) fn pull(broker: &Arc<BrokerState>, call: Call<'_>) -> Answer {
    let request = Arc::clone(call.request);
    let pull = match PullRequest::decode(&request.ext) {
        Ok(pull) => pull,
        Err(error) => return Answer::Now(bad_request(&request, &error)),
    };
    let filter = match check_pull(broker, request.code, &pull, call.peer.address) {
        Ok(filter) => filter,
        Err(refused) => return Answer::Now(refused.answer(broker, &request)),
    };
    let read = reset_or_read(broker, &pull, &filter);
    if pull.sys_flag & flag::COMMIT_OFFSET != 0 {
        let now = broker.clock.now();
        broker.offsets.commit(&key(&pull), pull.commit_offset, now);
        broker.changes.note();
    }
    let may_wait = pull.sys_flag & flag::SUSPEND != 0;
    if read.status != PullStatus::NoNewMessage || !may_wait {
        return Answer::Now(answer(broker, &request, &read));
    }
    let time = Duration::from_millis(u64::try_from(pull.suspend_millis).unwrap_or(0));
    let consumer = call.peer.address;
    let waiting = Waiting {
        group: pull.consumer_group.to_string(),
        queues: vec![(pull.topic.to_string(), pull.queue_id, pull.queue_offset)],
        filter,
    };
    // When the wait ends, by a message, the timeout, or messages that do not match, the pull is served again,
    // and is always answered.
    let again = {
        let request = Arc::clone(&request);
        move |broker: &BrokerState, _: bool| {
            let pull = match PullRequest::decode(&request.ext) {
                Ok(pull) => pull,
                Err(error) => return Some(bad_request(&request, &error)),
            };
            Some(match check_pull(broker, request.code, &pull, consumer) {
                Ok(filter) => answer(broker, &request, &reset_or_read(broker, &pull, &filter)),
                Err(refused) => refused.answer(broker, &request),
            })
        }
    };
    wait::wait(broker, call, waiting, time, again);
    Answer::Later
}

fn key(pull: &PullRequest<'_>) -> QueueKey {
    QueueKey::new(&pull.consumer_group, &pull.topic, pull.queue_id)
}

/// The messages available now, unless a reset by an administrator is pending.
fn reset_or_read(broker: &BrokerState, pull: &PullRequest<'_>, filter: &Filter) -> Read {
    let queue = broker.queue(&pull.topic, pull.queue_id);
    if let Some(offset) = broker.offsets.take_reset(&key(pull)) {
        let (min, max) = broker.store.bounds(queue);
        return Read {
            status: PullStatus::OffsetMoved,
            name: "OFFSET_RESET",
            next: offset,
            min,
            max,
            messages: Vec::new(),
        };
    }
    let most = usize::try_from(pull.max_messages).unwrap_or(0);
    read::read(broker, queue, pull.queue_offset, most, filter)
}

fn answer(broker: &BrokerState, request: &Command, read: &Read) -> Command {
    let flags = broker.settings.release.is_5().then_some(0);
    let fields = PullAnswer {
        suggested_broker_id: broker.knobs.suggested_broker(),
        next_offset: read.next,
        min_offset: read.min,
        max_offset: read.max,
        offset_delta: None,
        topic_sys_flag: flags,
        group_sys_flag: flags,
        forbidden_type: None,
    };
    Command::response_to(request, read.status.code())
        .with_fields(&fields)
        .with_remark(read.name)
        .with_body(read::body(&read.messages))
}
