//! How many messages of popped topics no member has received yet.
//!
//! Brokers commit the offset of a popped queue when they hand messages out, and not when these are
//! acknowledged; in order they do it with the acks. What is not acknowledged in time is stored once more, in a
//! retry topic of the group and the topic, which is popped too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::receive::{ANY_QUEUE, Source};
use super::shared::PopShared;
use crate::client::Gathering;
use crate::consumer::observe::QueueLag;
use crate::consumer::offset::StartFrom;
use crate::error::ErrorKind;
use crate::message::MessageQueue;
use crate::protocol::Command;
use crate::protocol::admin::{OffsetAnswer, QueueQuery};
use crate::protocol::code::{request, response};
use crate::protocol::consumer::offset::QueryOffset;
use crate::protocol::consumer::pop::Mark;
use crate::transport::{Deadline, Request};

/// Questions to brokers that are not answered yet.
pub(in crate::consumer) struct LagQuestions<'a> {
    shared: &'a PopShared,
    gathering: Gathering<'a>,
    queues: Vec<Asked>,
}

/// A queue, and the places of the answers about it.
struct Asked {
    /// On the wire.
    queue: MessageQueue,
    /// Where the group starts if it has no offset is known: at the beginning.
    starts_first: bool,
    /// Its committed offset, its beginning and its end; `None`: nobody can be asked.
    places: Option<[usize; 3]>,
}

/// Asks about these sources, and about the retry topics that belong to them. What no broker or name server
/// answers until the deadline is unknown.
pub(in crate::consumer) fn ask_lag<'a>(
    shared: &'a PopShared,
    sources: &[Source],
    deadline: Deadline,
) -> LagQuestions<'a> {
    let mut questions = LagQuestions {
        shared,
        gathering: Gathering::new(&shared.core, deadline),
        queues: Vec::new(),
    };
    let from_first = shared.settings.start_from == StartFrom::First;
    for source in sources {
        let route = shared.core.routes.known_route(&source.topic, false);
        if route.is_some_and(|route| route.is_static()) {
            // Brokers answer about logical queues, which POP does not know.
            let (topic, broker) = (source.topic.clone(), source.broker.clone());
            questions.queues.push(Asked {
                queue: MessageQueue::new(topic, broker, source.queue),
                starts_first: from_first,
                places: None,
            });
            continue;
        }
        for queue in queues_of(shared, source) {
            questions.ask(queue, from_first);
        }
    }
    if !shared.settings.is_ordered {
        // The rest of the time is for brokers.
        questions.ask_retries(sources, deadline.share(Instant::now(), 2));
    }
    questions
}

/// The queues of a source, as its route has them now.
fn queues_of(shared: &PopShared, source: &Source) -> Vec<MessageQueue> {
    let of = |id| MessageQueue::new(source.topic.clone(), source.broker.clone(), id);
    if source.queue != ANY_QUEUE {
        return vec![of(source.queue)];
    }
    let route = shared.core.routes.known_route(&source.topic, false);
    let Some(route) = route else {
        return Vec::new();
    };
    let queues = route.subscribe().iter();
    let own = queues.filter(|queue| queue.broker() == &*source.broker);
    own.map(|queue| of(queue.id())).collect()
}

impl LagQuestions<'_> {
    fn ask(&mut self, queue: MessageQueue, starts_first: bool) {
        let places = self.shared.master(queue.broker()).ok().map(|master| {
            let broker_name = Some(queue.broker().to_owned());
            let committed = QueryOffset {
                consumer_group: self.shared.group.to_string(),
                topic: queue.topic().to_owned(),
                queue_id: queue.id(),
                set_zero_if_not_found: Some(false),
                broker_name: broker_name.clone(),
            };
            let bound = QueueQuery {
                topic: queue.topic().to_owned(),
                queue_id: queue.id(),
                broker_name,
                timestamp: None,
            };
            // In this order: what is stored meanwhile counts.
            [
                Request::new(request::QUERY_CONSUMER_OFFSET, &committed),
                Request::new(request::GET_MIN_OFFSET, &bound),
                Request::new(request::GET_MAX_OFFSET, &bound),
            ]
            .map(|asked| self.gathering.ask(&master, &asked))
        });
        self.queues.push(Asked {
            queue,
            starts_first,
            places,
        });
    }

    /// Asks about the retry topics, of both forms. Brokers make one with the first message that comes again, and
    /// the group starts there at the beginning.
    fn ask_retries(&mut self, sources: &[Source], look_up_by: Deadline) {
        let topics: BTreeSet<&Arc<str>> = sources.iter().map(|source| &source.topic).collect();
        for topic in topics {
            let own = sources.iter().filter(|source| source.topic == *topic);
            let brokers: BTreeSet<&str> = own.map(|source| &*source.broker).collect();
            for mark in [Mark::RetryV1, Mark::RetryV2] {
                let retry: Arc<str> = mark.real_topic(topic, &self.shared.group).into();
                let of = |broker: &str, id| MessageQueue::new(retry.clone(), broker, id);
                match self.shared.core.routes.find(&retry, None, look_up_by) {
                    Ok(route) => {
                        let queues = route.subscribe().iter();
                        let own = queues.filter(|queue| brokers.contains(queue.broker()));
                        own.for_each(|queue| self.ask(of(queue.broker(), queue.id()), true));
                    }
                    Err(error) if error.kind() == ErrorKind::NoRoute => {}
                    Err(_) => self.queues.extend(brokers.iter().map(|broker| Asked {
                        queue: of(broker, 0),
                        starts_first: true,
                        places: None,
                    })),
                }
            }
        }
    }

    /// Waits for the answers. The queues have their users' names.
    pub(in crate::consumer) fn answers(self) -> Vec<QueueLag> {
        let answers = self.gathering.answers();
        let topics = &self.shared.topics;
        let lag = |asked: Asked| {
            let answers = asked
                .places
                .map(|places| places.map(|place| &answers[place]));
            let messages = answers.and_then(|answers| {
                let [committed, begin, end] = answers.map(Option::as_ref);
                messages(asked.starts_first, committed?, begin?, end?)
            });
            QueueLag {
                queue: topics.for_users(&asked.queue),
                messages,
                oldest: (messages == Some(0)).then_some(Duration::ZERO),
            }
        };
        self.queues.into_iter().map(lag).collect()
    }
}

/// The messages that no member has received, by a broker's answers; `None` if these do not tell.
fn messages(
    starts_first: bool,
    committed: &Command,
    begin: &Command,
    end: &Command,
) -> Option<u64> {
    let (begin, end) = (offset(begin)?, offset(end)?);
    let next = match committed.code {
        response::QUERY_NOT_FOUND if starts_first => begin,
        _ => offset(committed)?,
    };
    // Messages before the beginning are deleted.
    Some(end.saturating_sub(next.max(begin)))
}

fn offset(answer: &Command) -> Option<u64> {
    if answer.code != response::SUCCESS {
        return None;
    }
    let answer = OffsetAnswer::decode(&answer.ext).ok()?;
    answer.offset.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: i32, offset: i64) -> Command {
        let asked = Command::request(request::GET_MAX_OFFSET);
        Command::response_to(&asked, code).with_fields(&OffsetAnswer { offset })
    }

    #[test]
    fn messages_are_those_behind_the_offset_or_from_where_the_group_starts() {
        let none = (response::QUERY_NOT_FOUND, 0);
        // (starts at the beginning, committed, begin, end, expected)
        for (starts_first, committed, begin, end, expected) in [
            (false, (0, 5), (0, 0), (0, 9), Some(4)),
            (false, (0, 9), (0, 0), (0, 9), Some(0)),
            (false, (0, 5), (0, 7), (0, 9), Some(2)),
            // The end was asked for before messages were lost.
            (false, (0, 12), (0, 0), (0, 9), Some(0)),
            (true, none, (0, 3), (0, 9), Some(6)),
            (true, (0, 5), (0, 3), (0, 9), Some(4)),
            // Where it will start is the broker's affair.
            (false, none, (0, 0), (0, 9), None),
            (true, (1, 0), (0, 0), (0, 9), None),
            (false, (0, 5), (0, 0), (1, 0), None),
            (false, (0, 5), (1, 0), (0, 9), None),
            (false, (0, -1), (0, 0), (0, 9), None),
        ] {
            let [committed, begin, end] =
                [committed, begin, end].map(|(code, offset)| answer(code, offset));
            let got = messages(starts_first, &committed, &begin, &end);
            assert_eq!(got, expected, "{committed:?} {begin:?} {end:?}");
        }
    }
}
