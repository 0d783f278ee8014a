//! Pulls: messages of a queue from an offset on, at once, or as soon as there is one (a long poll).

use std::sync::Arc;
use std::time::Duration;

use super::check::check_pull;
use super::filter::Filter;
use super::read::{self, Read};
use super::wait::{self, Waiting};
use crate::embedded::broker::{BrokerState, Parts};
use crate::embedded::groups::QueueKey;
use crate::embedded::server::{Answer, Call, Peer, bad_request};
use crate::protocol::Command;
use crate::protocol::consumer::pull::{PullAnswer, PullRequest, PullStatus, flag};

/// Serves a pull (11, and 361 of lite pull consumers).
pub(in crate::embedded) fn pull(broker: &Arc<BrokerState>, call: Call<'_>) -> Answer {
    let request = Arc::clone(call.request);
    let pull = match PullRequest::decode(&request.ext) {
        Ok(pull) => pull,
        Err(error) => return Answer::Now(bad_request(&request, &error)),
    };
    let (parts, filter) = match check(broker, &request, &pull, call.peer) {
        Ok(checked) => checked,
        Err(refused) => return Answer::Now(refused),
    };
    let read = reset_or_read(broker, &pull, &parts, &filter);
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
    let peer = call.peer;
    let host = parts.host();
    let offset = pull.queue_offset - host.first;
    let waiting = Waiting {
        group: pull.consumer_group.to_string(),
        queues: vec![(pull.topic.to_string(), host.queue_id, offset)],
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
            Some(match check(broker, &request, &pull, peer) {
                Ok((parts, filter)) => {
                    let read = reset_or_read(broker, &pull, &parts, &filter);
                    answer(broker, &request, &read)
                }
                Err(refused) => refused,
            })
        }
    };
    wait::wait(broker, call, waiting, time, again);
    Answer::Later
}

/// The queue of a pull, and its filter; otherwise the answer.
fn check<'a>(
    broker: &'a BrokerState,
    request: &Command,
    pull: &'a PullRequest<'_>,
    peer: Peer,
) -> Result<(Parts<'a>, Filter), Command> {
    let parts = broker.parts(request, &pull.topic, pull.queue_id)?;
    let own = PullRequest {
        queue_id: parts.host().queue_id,
        ..pull.clone()
    };
    match check_pull(broker, request.code, &own, peer.address) {
        Ok(filter) => Ok((parts, filter)),
        Err(refused) => Err(refused.answer(broker, request)),
    }
}

fn key(pull: &PullRequest<'_>) -> QueueKey {
    QueueKey::new(&pull.consumer_group, &pull.topic, pull.queue_id)
}

/// The messages available now, unless a reset by an administrator is pending.
fn reset_or_read(
    broker: &BrokerState,
    pull: &PullRequest<'_>,
    parts: &Parts<'_>,
    filter: &Filter,
) -> Read {
    if let Some(offset) = broker.offsets.take_reset(&key(pull)) {
        let (min, max) = parts.bounds();
        return Read {
            status: PullStatus::OffsetMoved,
            name: "OFFSET_RESET",
            next: offset,
            min,
            max,
            delta: None,
            messages: Vec::new(),
        };
    }
    let most = usize::try_from(pull.max_messages).unwrap_or(0);
    read::read_parts(broker, parts, pull.queue_offset, most, filter)
}

fn answer(broker: &BrokerState, request: &Command, read: &Read) -> Command {
    let flags = broker.settings.release.is_5().then_some(0);
    let fields = PullAnswer {
        suggested_broker_id: broker.knobs.suggested_broker(),
        next_offset: read.next,
        min_offset: read.min,
        max_offset: read.max,
        offset_delta: read.delta,
        topic_sys_flag: flags,
        group_sys_flag: flags,
        forbidden_type: None,
    };
    Command::response_to(request, read.status.code())
        .with_fields(&fields)
        .with_remark(read.name)
        .with_body(read::body(&read.messages))
}
