//! A pop of one source, and what its answer means.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sources::Source;
use super::unpack::{Arrived, Received, unpack};
use crate::consumer::LOG;
use crate::consumer::offset::StartFrom;
use crate::consumer::pop::shared::PopShared;
use crate::error::{Error, ErrorKind, SendFate};
use crate::logging;
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::consumer::pop::{PopAnswer, PopRequest};
use crate::transport::{Deadline, Request};

/// How long a broker has for an answer, after the time for which it may hold the request.
const SOON: Duration = Duration::from_secs(3);

/// An answer without messages that took longer was held by the broker.
const HELD: Duration = Duration::from_millis(500);

/// Brokers answer a request that they hold 50 ms before its time is over.
const EARLY: Duration = Duration::from_millis(50);

/// What a pop asks for.
pub(super) struct Wanted {
    pub(super) max: usize,
    pub(super) invisible: Duration,
    /// How long the broker may hold the request.
    pub(super) hold: Duration,
    /// The age of the request up to which an answer is taken though the consumer is closed.
    pub(super) linger: Duration,
}

/// Why a pop returns no list of messages.
pub(super) enum Stop {
    /// The consumer is closed, or its client.
    Closed(Error),
    Refused(Refusal),
}

/// A broker refuses a pop: for want of a permission, for example.
pub(in crate::consumer) struct Refusal {
    pub(in crate::consumer) source: Source,
    pub(in crate::consumer) error: Error,
    /// The source was not refused so before, or could be popped meanwhile.
    pub(in crate::consumer) is_new: bool,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Closed(error)
    }
}

/// What the answer to a pop means.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Found,
    Nothing,
    /// Once more, after a pause.
    Later,
    /// It cannot succeed without a change of a permission, the filter or the group.
    Refused,
}

fn judge(code: i32) -> Verdict {
    match code {
        response::SUCCESS => Verdict::Found,
        response::PULL_NOT_FOUND | response::POLLING_TIMEOUT => Verdict::Nothing,
        response::NO_PERMISSION
        | response::SUBSCRIPTION_PARSE_FAILED
        | response::SUBSCRIPTION_GROUP_NOT_EXIST
        | response::INVALID_PARAMETER
        | response::REQUEST_CODE_NOT_SUPPORTED => Verdict::Refused,
        _ => Verdict::Later,
    }
}

/// Pops from a source. Failures are noted there; those that may pass are no error.
pub(super) fn pop(
    shared: &Arc<PopShared>,
    source: &Source,
    wanted: &Wanted,
) -> Result<Vec<Received>, Stop> {
    let sent = Instant::now();
    let failed = |error: Error| {
        logging::debug!(target: LOG, "{}: pop failed: {error}", source.broker);
        if !matches!(error.kind(), ErrorKind::Broker | ErrorKind::Busy) {
            shared.core.refresh_soon(&source.topic);
        }
        let mut sources = shared.sources.lock();
        sources.failed(source, error, Instant::now());
        Ok(Vec::new())
    };
    let address = match shared.master(&source.broker) {
        Ok(address) => address,
        Err(error) => return failed(error),
    };
    let header = header(shared, source, wanted, sent);
    let asked = Request::new(request::POP_MESSAGE, &header);
    let asked = match wanted.hold.is_zero() {
        true => asked,
        false => asked.parked(),
    };
    let until = match shared.sources.lock().is_ready(source) {
        true => sent + wanted.linger,
        false => sent,
    };
    let deadline = Deadline::after(sent, wanted.hold + SOON.max(wanted.linger));
    let (answer, arrived) = match shared.ask_while_open(&address, &asked, deadline, until) {
        Ok(answered) => answered,
        Err(error) => {
            if let Some(id) = header.attempt_id.filter(|_| may_have_popped(&error)) {
                shared.sources.lock().lost_attempt(source, id, sent);
            }
            // An error of the client's own end is told as such.
            shared.check_open()?;
            return failed(error);
        }
    };
    let fields = PopAnswer::decode(&answer.ext);
    let may_be_held = !wanted.hold.is_zero();
    let answered = fields.as_ref().ok().map(|fields| {
        let mut sources = shared.sources.lock();
        let clock = sources.clock(source, sent);
        clock.answered_at(fields.pop_time, sent, arrived, may_be_held)
    });
    match judge(answer.code) {
        Verdict::Nothing => {
            let took = arrived.saturating_duration_since(sent);
            let was_held = match may_be_held {
                true => took >= HELD.min(wanted.hold),
                false => took >= HELD,
            };
            let mut sources = shared.sources.lock();
            sources.nothing(source, sent, was_held, Instant::now());
            Ok(Vec::new())
        }
        Verdict::Found => {
            let arrived = Arrived {
                invisible: wanted.invisible,
                from: answered.unwrap_or(sent),
            };
            let unpacked = fields
                .and_then(|fields| unpack(shared, source, answer.body, &fields, &arrived))
                .map_err(|error| Error::from(error).at(&address));
            match unpacked {
                Ok(messages) => {
                    shared.sources.lock().found(source, Instant::now());
                    Ok(messages)
                }
                Err(error) => failed(error),
            }
        }
        Verdict::Later => failed(refusal(&answer).at(&address)),
        Verdict::Refused => {
            let topic = shared.topics.names().for_users(&source.topic);
            let error = refusal(&answer).at(&address).on_topic(&topic);
            logging::debug!(target: LOG, "{}: pop refused: {error}", source.broker);
            let mut sources = shared.sources.lock();
            Err(Stop::Refused(Refusal {
                source: source.clone(),
                is_new: sources.refused(source, error.clone(), Instant::now()),
                error,
            }))
        }
    }
}

fn header(shared: &PopShared, source: &Source, wanted: &Wanted, now: Instant) -> PopRequest {
    let subscription = shared.topics.get(&source.topic).map(|t| &t.subscription);
    let mut sources = shared.sources.lock();
    let is_ordered = shared.settings.is_ordered;
    let client_id = shared.core.identity.client_id();
    let brokers_time = sources.clock(source, now).time(now);
    PopRequest {
        consumer_group: shared.group.to_string(),
        topic: source.topic.to_string(),
        queue_id: source.queue,
        max_messages: wanted.max.try_into().unwrap_or(i32::MAX),
        invisible_time: wanted.invisible.as_millis() as i64,
        poll_time: poll_time(wanted.hold),
        born_time: shared.born_time(brokers_time),
        init_mode: match shared.settings.start_from {
            StartFrom::First => 0,
            _ => 1,
        },
        expression_type: subscription.map(|s| s.expression_type.clone()),
        expression: subscription.map(|s| s.sub_string.clone()),
        order: is_ordered,
        attempt_id: is_ordered.then(|| sources.begin_attempt(source, client_id, now)),
        broker_name: Some(source.broker.to_string()),
    }
}

/// The time, in ms, in a request that a broker is to hold for `hold`: not less, as another one would follow.
fn poll_time(hold: Duration) -> i64 {
    match hold.is_zero() {
        true => 0,
        false => (hold + EARLY).as_micros().div_ceil(1_000) as i64,
    }
}

/// Whether the broker may have handed out messages though there is no answer.
fn may_have_popped(error: &Error) -> bool {
    error.fate() == SendFate::MaybeStored
}

fn refusal(answer: &Command) -> Error {
    let error = Error::response(answer.code, answer.remark.as_deref());
    match answer.code {
        response::REQUEST_CODE_NOT_SUPPORTED => no_pop(error),
        _ => error,
    }
}

/// What is said of a broker that does not know POP.
pub(in crate::consumer) fn no_pop(error: Error) -> Error {
    error.detailed(
        "REQUEST_CODE_NOT_SUPPORTED (3): no POP here: brokers have it from 5.0 on, a proxy has none; \
         PushConsumer and PullConsumer work with it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_means_messages_none_a_pause_or_a_refusal() {
        use Verdict::{Found, Later, Nothing, Refused};
        for (code, expected) in [
            (0, Found),
            (19, Nothing),
            (210, Nothing),
            (209, Later),
            (1, Later),
            (2, Later),
            (215, Later),
            (17, Later),
            (1500, Later),
            (-7, Later),
            (3, Refused),
            (16, Refused),
            (23, Refused),
            (26, Refused),
            (29, Refused),
        ] {
            assert_eq!(judge(code), expected, "{code}");
        }
    }
}
