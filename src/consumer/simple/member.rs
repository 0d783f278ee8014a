//! A simple consumer as its client and the brokers see it.

use std::sync::Arc;
use std::time::Instant;

use super::observe::describe;
use super::shared::SimpleShared;
use crate::client::{BrokerRequest, Member, MemberKind, NeededTopic, Route, RouteListener};
use crate::consumer::offset::StartFrom;
use crate::consumer::questions::{Subject, popped, read, running_info};
use crate::protocol::Command;
use crate::protocol::code::response;
use crate::protocol::consumer::asked::{ConsumeStatus, ConsumerOffsets, RunningInfo};
use crate::protocol::consumer::member::{ConsumeFromWhere, ConsumeType, ConsumerData};
use crate::protocol::heartbeat::Heartbeat;
use crate::transport::Deadline;

pub(super) struct SimpleMember {
    shared: Arc<SimpleShared>,
    /// Epoch milliseconds.
    started: i64,
}

impl SimpleMember {
    pub(super) fn new(shared: Arc<SimpleShared>, started: i64) -> SimpleMember {
        SimpleMember { shared, started }
    }

    fn take(&self, request: BrokerRequest, subject: &Subject) {
        let body = match subject {
            // Nothing is divided among members, and brokers themselves reset what they pop.
            Subject::Members | Subject::Reset => return request.done(),
            Subject::Offsets { .. } => ConsumerOffsets::default().encode(),
            Subject::RunningInfo => self.running_info().encode(),
            Subject::Consume { .. } => {
                let answer = Command::response_to(request.command(), response::SYSTEM_ERROR);
                return request.reply(&answer.with_remark("a simple consumer has no handler"));
            }
        };
        let answer = Command::response_to(request.command(), response::SUCCESS);
        request.reply(&answer.with_body(body));
    }

    fn running_info(&self) -> RunningInfo {
        let shared = &self.shared;
        let properties = [
            ("messageModel", "CLUSTERING".to_owned()),
            ("PROP_CONSUME_TYPE", "CONSUME_POP".to_owned()),
            ("PROP_CONSUMEORDERLY", shared.config.is_ordered.to_string()),
        ];
        let topics = shared.pop.topics.iter();
        let state = describe(shared, Instant::now());
        RunningInfo {
            mq_pop_table: popped(&state.queues, &shared.pop.topics),
            status_table: topics
                .map(|(topic, _)| (topic.to_string(), ConsumeStatus::default()))
                .collect(),
            ..running_info(
                &shared.pop.group,
                &shared.pop.topics,
                self.started,
                properties,
            )
        }
    }
}

impl Member for SimpleMember {
    fn kind(&self) -> MemberKind {
        MemberKind::Consumer
    }

    fn group(&self) -> &Arc<str> {
        &self.shared.pop.group
    }

    fn add_to(&self, heartbeat: &mut Heartbeat) {
        let topics = self.shared.pop.topics.iter();
        heartbeat.consumer_data_set.push(ConsumerData {
            consume_from_where: match self.shared.config.start_from {
                StartFrom::First => ConsumeFromWhere::ConsumeFromFirstOffset,
                _ => ConsumeFromWhere::ConsumeFromLastOffset,
            },
            consume_type: ConsumeType::ConsumePop,
            subscription_data_set: topics.map(|(_, t)| t.subscription.clone()).collect(),
            ..ConsumerData::new(&*self.shared.pop.group)
        });
    }

    fn topics(&self) -> Vec<NeededTopic> {
        let topics = self.shared.pop.topics.iter().map(|(topic, _)| NeededTopic {
            topic: topic.clone(),
            default: None,
        });
        topics.collect()
    }

    fn is_asked(&self) -> bool {
        true
    }

    fn answer(&self, request: BrokerRequest) -> Option<BrokerRequest> {
        match read(request.command()) {
            Ok(Some((group, subject))) if *group == *self.shared.pop.group => {
                self.take(request, &subject);
            }
            Ok(_) => return Some(request),
            Err(error) => request.unreadable(&error),
        }
        None
    }

    fn leave(&self, deadline: Deadline) {
        self.shared.pop.close();
        let most = deadline.share(Instant::now(), 2);
        self.shared.held.wait_for_others(most);
    }

    fn stop(&self) {
        self.shared.pop.end();
    }

    fn join(&self, _: Deadline) -> Vec<String> {
        Vec::new()
    }
}

impl RouteListener for SimpleMember {
    fn route_changed(&self, topic: &Arc<str>, _: &Arc<Route>) {
        if self.shared.pop.topics.get(topic).is_some() {
            self.shared.pop.wake();
        }
    }
}
