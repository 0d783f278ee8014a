//! How the messages of each topic are asked for, as brokers say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::ClientCore;
use crate::client::Gathering;
use crate::consumer::LOG;
use crate::consumer::pop::Source;
use crate::consumer::shared::Shared;
use crate::consumer::topics::masters_of;
use crate::error::{Error, ResponseCode};
use crate::logging;
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::consumer::assignment::{AssignmentQuery, Assignments, RequestMode};
use crate::protocol::consumer::member::MessageModel;
use crate::transport::{Deadline, Request};

/// The strategies that brokers have. They decide only which queues members pop together.
const STRATEGIES: [&str; 2] = ["AVG", "AVG_BY_CIRCLE"];

/// How long all brokers have for one answer.
const ROUND: Duration = Duration::from_secs(1);

/// The pause before brokers without an answer are asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// What a broker says of a topic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    /// Pop these.
    Pop(BTreeSet<Source>),
    Pull,
    /// It does not know the members yet, or not the topic.
    Nothing,
    /// It refuses, with this code.
    Refused(i32),
}

/// The question for the sources of this member.
pub(crate) fn query(shared: &Shared, client_id: &str, topic: &str) -> AssignmentQuery {
    let own = shared.config.allocation.name();
    let known = STRATEGIES.into_iter().find(|name| *name == own);
    AssignmentQuery {
        client_id: client_id.to_owned(),
        consumer_group: shared.group.to_string(),
        message_model: MessageModel::Clustering,
        strategy_name: known.unwrap_or(STRATEGIES[0]).to_owned(),
        topic: topic.to_owned(),
    }
}

/// Reads an answer about this topic (on the wire).
pub(crate) fn read(topic: &Arc<str>, answer: &Command) -> Told {
    if answer.code != response::SUCCESS {
        return Told::Refused(answer.code);
    }
    let assignments = Assignments::decode(&answer.body).ok();
    let Some(all) = assignments.and_then(|answer| answer.message_queue_assignments) else {
        return Told::Nothing;
    };
    let popped = all.iter().filter(|one| one.mode == RequestMode::Pop);
    let sources: BTreeSet<Source> = popped
        .map(|one| Source {
            topic: topic.clone(),
            broker: one.message_queue.broker().into(),
            queue: one.message_queue.id(),
        })
        .collect();
    match sources.is_empty() {
        true => Told::Pull,
        false => Told::Pop(sources),
    }
}

/// Asks the masters of all topics until the deadline, once the consumer is a member of its group. Returns the
/// topics to pop, each with the sources of this member. The others are pulled.
pub(crate) fn find(
    shared: &Shared,
    core: &ClientCore,
    deadline: Deadline,
) -> BTreeMap<Arc<str>, BTreeSet<Source>> {
    // Brokers that assign logical queues cannot pop them.
    let is_static = |topic: &str| {
        let route = core.routes.known_route(topic, false);
        route.is_some_and(|route| route.is_static())
    };
    let topics = shared.topics.iter();
    let topics = topics.filter(|(name, topic)| !topic.is_retry && !is_static(name));
    let mut open: Vec<Arc<str>> = topics.map(|(topic, _)| topic.clone()).collect();
    let mut popped = BTreeMap::new();
    loop {
        let told = ask(&open, shared, core, deadline);
        let now = Instant::now();
        let is_last = deadline.remaining(now) <= AGAIN;
        for (topic, told) in told {
            if told == Told::Nothing && !is_last && !masters_of(&topic, core).is_empty() {
                continue;
            }
            open.retain(|one| *one != topic);
            note(shared, &topic, &told);
            if let Told::Pop(sources) = told {
                popped.insert(topic, sources);
            }
        }
        if open.is_empty() || core.closing().recv_timeout(AGAIN).is_ok() {
            return popped;
        }
    }
}

/// One question about each topic. All members choose the same of several answers: that of the first broker
/// that has one.
fn ask(
    topics: &[Arc<str>],
    shared: &Shared,
    core: &ClientCore,
    deadline: Deadline,
) -> Vec<(Arc<str>, Told)> {
    let mut gathering = Gathering::new(core, deadline.capped(Instant::now(), ROUND));
    let mut asked = Vec::new();
    for topic in topics {
        let body = query(shared, core.identity.client_id(), topic).encode();
        let body = Arc::new(body);
        let request = Request::new(request::QUERY_ASSIGNMENT, &()).with_body(&body);
        let masters = masters_of(topic, core).into_iter();
        let places: Vec<usize> = masters.map(|to| gathering.ask(&to, &request)).collect();
        asked.push((topic.clone(), places));
    }
    let answers = gathering.answers();
    let told = asked.into_iter().map(|(topic, places)| {
        let answers = places
            .into_iter()
            .filter_map(|place| answers[place].as_ref());
        let told = first(answers.map(|answer| read(&topic, answer)));
        (topic, told)
    });
    told.collect()
}

/// A broker that knows the answer counts more than one that refuses.
fn first(told: impl Iterator<Item = Told>) -> Told {
    let mut refused = Told::Nothing;
    for told in told {
        match told {
            Told::Pop(_) | Told::Pull => return told,
            Told::Refused(_) => refused = told,
            Told::Nothing => {}
        }
    }
    refused
}

fn note(shared: &Shared, topic: &Arc<str>, told: &Told) {
    let (group, topic) = (&shared.config.group, shared.topics.names().for_users(topic));
    match told {
        Told::Pop(_) => {
            logging::info!(target: LOG, "consumer {group}: brokers have {topic} popped")
        }
        Told::Pull => logging::info!(target: LOG, "consumer {group}: brokers have {topic} pulled"),
        Told::Nothing => logging::warn!(
            target: LOG,
            "consumer {group}: {topic} is pulled: no broker said how to ask for its messages"
        ),
        Told::Refused(code) => {
            let error = Error::response(*code, None);
            let code = error.response_code().unwrap_or(ResponseCode::SYSTEM_ERROR);
            logging::warn!(
                target: LOG,
                "consumer {group}: {topic} is pulled: its brokers do not assign queues: {code}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageQueue;
    use crate::protocol::consumer::assignment::Assignment;

    fn answer(queues: Option<&[(&str, i32, RequestMode)]>) -> Command {
        let all = queues.map(|queues| {
            let queues = queues.iter().map(|(broker, id, mode)| Assignment {
                message_queue: MessageQueue::new("T", *broker, *id),
                mode: *mode,
            });
            queues.collect()
        });
        let body = Assignments {
            message_queue_assignments: all,
        };
        let request = Command::request(request::QUERY_ASSIGNMENT);
        Command::response_to(&request, response::SUCCESS).with_body(body.encode())
    }

    fn sources(all: &[(&str, i32)]) -> BTreeSet<Source> {
        let source = |(broker, queue): &(&str, i32)| Source {
            topic: "T".into(),
            broker: (*broker).into(),
            queue: *queue,
        };
        all.iter().map(source).collect()
    }

    #[test]
    fn an_answer_names_the_mode_and_the_sources() {
        use RequestMode::{Pop, Pull};
        let topic: Arc<str> = "T".into();
        for (queues, expected) in [
            (None, Told::Nothing),
            (Some(&[][..]), Told::Pull),
            (Some(&[("a", 0, Pull), ("b", 1, Pull)]), Told::Pull),
            (
                Some(&[("b", -1, Pop), ("a", -1, Pop)]),
                Told::Pop(sources(&[("a", -1), ("b", -1)])),
            ),
            (
                Some(&[("a", 2, Pop), ("a", 1, Pop)]),
                Told::Pop(sources(&[("a", 1), ("a", 2)])),
            ),
        ] {
            assert_eq!(read(&topic, &answer(queues)), expected, "{queues:?}");
        }
        let code = response::REQUEST_CODE_NOT_SUPPORTED;
        let refused = Command::response_to(&Command::request(1), code);
        assert_eq!(read(&topic, &refused), Told::Refused(code));
        let garbage = Command::response_to(&Command::request(1), response::SUCCESS);
        assert_eq!(
            read(&topic, &garbage.with_body(b"{".to_vec())),
            Told::Nothing
        );
    }

    #[test]
    fn the_first_broker_that_knows_decides() {
        let pop = Told::Pop(sources(&[("a", -1)]));
        let (no, later) = (Told::Refused(3), Told::Nothing);
        for (told, expected) in [
            (vec![], &later),
            (vec![&later, &no], &no),
            (vec![&no, &later], &no),
            (vec![&no, &later, &pop, &Told::Pull], &pop),
            (vec![&later, &Told::Pull, &pop], &Told::Pull),
        ] {
            assert_eq!(
                first(told.clone().into_iter().cloned()),
                *expected,
                "{told:?}"
            );
        }
    }
}
