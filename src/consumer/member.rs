//! A consumer as a member of its client and its group.

use std::sync::Arc;
use std::time::Instant;

use super::config::Sharing;
use super::consume::{Direct, Dispatcher};
use super::control::{Event, Inbox, Order, Question, What};
use super::observe::ShutdownReport;
use super::offset::StartFrom;
use super::questions::{Subject, read};
use super::shared::Shared;
use super::topics::Topics;
use crate::client::{BrokerRequest, Member, MemberKind, NeededTopic, Route, RouteListener};
use crate::protocol::Command;
use crate::protocol::code::response;
use crate::protocol::consumer::asked::OffsetTable;
use crate::protocol::consumer::member::{
    ConsumeFromWhere, ConsumeType, ConsumerData, MessageModel,
};
use crate::protocol::heartbeat::Heartbeat;
use crate::transport::{Connection, Deadline, Promise, Threads};

/// Answers for its group, and passes the brokers' requests on.
pub(crate) struct ConsumerMember {
    /// On the wire.
    group: Arc<str>,
    /// The group's part of heartbeats; `None` if brokers must not count this consumer as a member.
    data: Option<ConsumerData>,
    topics: Arc<Topics>,
    inbox: Inbox,
    /// Passes messages to the handlers; `None` if there are none.
    dispatcher: Option<Arc<Dispatcher>>,
    threads: Threads,
    ended: Arc<Promise<ShutdownReport>>,
}

impl ConsumerMember {
    pub(crate) fn new(
        shared: &Shared,
        threads: &Threads,
        ended: &Arc<Promise<ShutdownReport>>,
    ) -> ConsumerMember {
        let Shared {
            config,
            group,
            topics,
            inbox,
            ..
        } = shared;
        let subscriptions = topics.iter().map(|(_, topic)| topic.subscription.clone());
        let data = ConsumerData {
            consume_from_where: match config.start_from {
                StartFrom::Last => ConsumeFromWhere::ConsumeFromLastOffset,
                StartFrom::First => ConsumeFromWhere::ConsumeFromFirstOffset,
                StartFrom::Time(_) => ConsumeFromWhere::ConsumeFromTimestamp,
            },
            consume_type: match config.is_pull {
                true => ConsumeType::ConsumeActively,
                false => ConsumeType::ConsumePassively,
            },
            message_model: match config.sharing {
                Sharing::Everyone => MessageModel::Broadcasting,
                _ => MessageModel::Clustering,
            },
            subscription_data_set: subscriptions.collect(),
            ..ConsumerData::new(&**group)
        };
        ConsumerMember {
            group: group.clone(),
            data: (!matches!(config.sharing, Sharing::Fixed(_))).then_some(data),
            topics: topics.clone(),
            inbox: inbox.clone(),
            dispatcher: (!config.is_pull).then(|| shared.dispatcher.clone()),
            threads: threads.clone(),
            ended: ended.clone(),
        }
    }
}

impl Member for ConsumerMember {
    fn kind(&self) -> MemberKind {
        MemberKind::Consumer
    }

    fn group(&self) -> &Arc<str> {
        &self.group
    }

    fn add_to(&self, heartbeat: &mut Heartbeat) {
        heartbeat.consumer_data_set.extend(self.data.clone());
    }

    fn topics(&self) -> Vec<NeededTopic> {
        let topics = self.topics.iter().map(|(topic, _)| NeededTopic {
            topic: topic.clone(),
            default: None,
        });
        topics.collect()
    }

    fn is_asked(&self) -> bool {
        self.data.is_some()
    }

    fn answer(&self, request: BrokerRequest) -> Option<BrokerRequest> {
        match read(request.command()) {
            Ok(Some((group, subject))) if *group == *self.group => self.take(request, subject),
            Ok(_) => return Some(request),
            Err(error) => request.unreadable(&error),
        }
        None
    }

    fn confirmed(&self, connection: &Arc<Connection>) {
        self.inbox.put(Event::Confirmed(connection.clone()));
    }

    fn leave(&self, deadline: Deadline) {
        let part = deadline.share(Instant::now(), 2);
        self.inbox.put(Event::Order(Order::Shutdown(part)));
        if !self.threads.has_current() {
            self.ended.get_until(part);
        }
    }

    fn stop(&self) {}

    fn join(&self, deadline: Deadline) -> Vec<String> {
        self.threads.join(deadline)
    }
}

impl ConsumerMember {
    /// Answers a broker's request, or passes it to the control thread or a consume thread.
    fn take(&self, mut request: BrokerRequest, subject: Subject) {
        let what = match subject {
            Subject::Members => {
                self.inbox.ask_rebalance();
                return request.done();
            }
            Subject::Consume { broker } => return self.consume(request, broker),
            Subject::Reset => match OffsetTable::decode(&request.take_body()) {
                Ok(OffsetTable(offsets)) => What::Reset(offsets),
                Err(error) => return request.unreadable(&error),
            },
            Subject::Offsets { topic } => What::Offsets(topic),
            Subject::RunningInfo => What::RunningInfo,
        };
        let order = Order::Answer(Box::new(Question { request, what }));
        self.inbox.put(Event::Order(order));
    }

    fn consume(&self, mut request: BrokerRequest, broker: Option<String>) {
        let body = request.take_body();
        let direct = Direct {
            request,
            body,
            broker,
        };
        let (back, why) = match &self.dispatcher {
            Some(dispatcher) => (dispatcher.put(direct), "too many such messages wait"),
            None => (Some(direct), "a pull consumer has no handler"),
        };
        if let Some(Direct { request, .. }) = back {
            let answer = Command::response_to(request.command(), response::SYSTEM_ERROR);
            request.reply(&answer.with_remark(why));
        }
    }
}

impl RouteListener for ConsumerMember {
    fn route_changed(&self, topic: &Arc<str>, _: &Arc<Route>) {
        if self.topics.get(topic).is_some() {
            self.inbox.ask_rebalance();
        }
    }
}
