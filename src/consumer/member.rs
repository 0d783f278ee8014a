//! A consumer as its client and the brokers see it.

use std::sync::Arc;
use std::time::Instant;

use super::control::{Event, Inbox, Order};
use super::observe::ShutdownReport;
use super::offset::StartFrom;
use super::shared::Shared;
use super::topics::Topics;
use crate::client::{BrokerRequest, Member, MemberKind, NeededTopic, Route, RouteListener};
use crate::protocol::code::request;
use crate::protocol::consumer::member::{ConsumeFromWhere, ConsumerData, GroupName};
use crate::protocol::heartbeat::Heartbeat;
use crate::transport::{Connection, Deadline, Promise, Threads};

/// Speaks for its group, and hands on what brokers say.
pub(crate) struct ConsumerMember {
    /// On the wire.
    group: Arc<str>,
    /// What heartbeats say.
    data: ConsumerData,
    topics: Arc<Topics>,
    inbox: Inbox,
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
            subscription_data_set: subscriptions.collect(),
            ..ConsumerData::new(&**group)
        };
        ConsumerMember {
            group: group.clone(),
            data,
            topics: topics.clone(),
            inbox: inbox.clone(),
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
        heartbeat.consumer_data_set.push(self.data.clone());
    }

    fn topics(&self) -> Vec<NeededTopic> {
        let topics = self.topics.iter().map(|(topic, _)| NeededTopic {
            topic: topic.clone(),
            default: None,
        });
        topics.collect()
    }

    fn is_asked(&self) -> bool {
        true
    }

    fn answer(&self, request: BrokerRequest) -> Option<BrokerRequest> {
        match request.command().code {
            request::NOTIFY_CONSUMER_IDS_CHANGED => {
                match GroupName::decode(&request.command().ext) {
                    Ok(name) if *name.consumer_group == *self.group => {
                        self.inbox.ask_rebalance();
                        request.done();
                    }
                    Ok(_) => return Some(request),
                    Err(error) => request.unreadable(&error),
                }
                None
            }
            _ => Some(request),
        }
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

impl RouteListener for ConsumerMember {
    fn route_changed(&self, topic: &Arc<str>, _: &Arc<Route>) {
        if self.topics.get(topic).is_some() {
            self.inbox.ask_rebalance();
        }
    }
}
