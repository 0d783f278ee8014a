//! Questions about messages to pop, which take none.

use std::sync::Arc;

use super::request::is_blocked;
use super::source::{Source, held, position, sources};
use crate::embedded::broker::BrokerState;
use crate::embedded::consume::check::{Refused, check_group, check_topic};
use crate::embedded::consume::filter::Filter;
use crate::embedded::consume::wait::{self, Waiting};
use crate::embedded::server::{Answer, Call, bad_request};
use crate::protocol::Command;
use crate::protocol::code::response;
use crate::protocol::consumer::pop::{Notice, NoticeRequest, Polling, PollingQuery};

/// Answers whether there is a message (200054), or waits for one.
pub(in crate::embedded) fn notice(broker: &Arc<BrokerState>, call: Call<'_>) -> Answer {
    let request = Arc::clone(call.request);
    let question = match NoticeRequest::decode(&request.ext) {
        Ok(question) => question,
        Err(error) => return Answer::Now(bad_request(&request, &error)),
    };
    let queues = match check(broker, &question) {
        Ok(queues) => queues,
        Err(refused) => return Answer::Now(refused.answer(broker, &request)),
    };
    let answer = |request: &Command, has_message| {
        let notice = Notice {
            has_message,
            polling_full: false,
        };
        Command::response_to(request, response::SUCCESS).with_fields(&notice)
    };
    let sources = sources(broker, (&question).into(), queues);
    let has_now = has_message(broker, &question, &sources);
    let Some(time) = held(question.poll_time).filter(|_| !has_now) else {
        return Answer::Now(answer(&request, has_now));
    };
    let watched = sources.iter().map(|source| {
        let offset = position(broker, source);
        (source.key.topic.clone(), source.key.queue_id, offset)
    });
    let waiting = Waiting {
        group: question.consumer_group.clone(),
        queues: watched.collect(),
        filter: Filter::All,
    };
    let again = move |broker: &BrokerState, is_last: bool| {
        let has_message = has_message(broker, &question, &sources);
        // A question that waited in vain is answered like a pop.
        let in_vain = || Command::response_to(&request, response::POLLING_TIMEOUT);
        match has_message {
            true => Some(answer(&request, true)),
            false => is_last.then(in_vain),
        }
    };
    wait::wait(broker, call, waiting, time, again);
    Answer::Later
}

/// Answers how many requests of a group wait (200055): pops, and questions for messages.
pub(in crate::embedded) fn polling(broker: &BrokerState, request: &Command) -> Command {
    let query = match PollingQuery::decode(&request.ext) {
        Ok(query) => query,
        Err(error) => return bad_request(request, &error),
    };
    let checked =
        check_topic(broker, &query.topic).and_then(|_| check_group(broker, &query.consumer_group));
    if let Err(refused) = checked {
        return refused.answer(broker, request);
    }
    let polling = broker.parked.count(&query.consumer_group);
    Command::response_to(request, response::SUCCESS).with_fields(&Polling {
        polling: polling.try_into().unwrap_or(i32::MAX),
    })
}

/// The number of the topic's queues.
fn check(broker: &BrokerState, question: &NoticeRequest) -> Result<i32, Refused> {
    let queues = check_topic(broker, &question.topic)?;
    if question.queue_id >= queues {
        let remark = format!("queueId[{}] is illegal", question.queue_id);
        return Err(Refused::new(response::SYSTEM_ERROR, remark));
    }
    check_group(broker, &question.consumer_group)?;
    Ok(queues)
}

fn has_message(broker: &BrokerState, question: &NoticeRequest, sources: &[Source]) -> bool {
    let attempt = question.attempt_id.as_deref();
    sources.iter().any(|source| {
        let queue = broker.queue(&source.key.topic, source.key.queue_id);
        let (_, end) = broker.store.bounds(queue);
        let is_free = !question.order || !is_blocked(broker, &source.key, attempt);
        is_free && position(broker, source) < end
    })
}
