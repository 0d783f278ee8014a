//! A producer as its client and the brokers see it.

use std::sync::Arc;

use super::transaction::RunningChecks;
use crate::client::{BrokerRequest, Member, MemberKind, NeededTopic, Replies};
use crate::message::name;
use crate::protocol::code::request;
use crate::protocol::heartbeat::{Heartbeat, ProducerData};
use crate::protocol::message;
use crate::protocol::transaction::CheckTransaction;
use crate::send::SendConfig;
use crate::sync::Mutex;
use crate::transport::Deadline;

/// Answers for its group: takes replies that are pushed, and has transactions checked if it is a
/// transaction producer.
pub(super) struct ProducerMember {
    /// On the wire.
    group: Arc<str>,
    topics: Vec<NeededTopic>,
    replies: Arc<Replies>,
    /// The checks of a transaction producer, until it is stopped.
    checks: Mutex<Option<Arc<RunningChecks>>>,
    /// The same from then on.
    ending: Mutex<Option<Arc<RunningChecks>>>,
}

impl ProducerMember {
    /// `topics` are those on the wire that are learnt at the start.
    pub(super) fn new(
        config: &SendConfig,
        topics: Vec<Arc<str>>,
        replies: Arc<Replies>,
    ) -> ProducerMember {
        let default = &config.default_topic;
        let topics = topics.into_iter().map(|topic| NeededTopic {
            topic,
            default: Some(default.clone()),
        });
        ProducerMember {
            group: config.group_on_wire.clone(),
            topics: topics.collect(),
            replies,
            checks: Mutex::new(None),
            ending: Mutex::new(None),
        }
    }

    /// Makes it a transaction producer's.
    pub(super) fn answer_checks(&self, checks: RunningChecks) {
        *self.checks.lock() = Some(Arc::new(checks));
    }

    /// A broker asks about a half message, whose property names the group.
    fn check_transaction(&self, request: BrokerRequest) -> Option<BrokerRequest> {
        let checks = self.checks.lock().clone();
        let Some(checks) = checks else {
            return Some(request);
        };
        let command = request.command();
        let read = CheckTransaction::decode(&command.ext)
            .and_then(|question| Ok((question, message::decode_packed(command.body.clone())?)));
        let (question, half) = match read {
            Ok(read) => read,
            Err(error) => {
                request.unreadable(&error);
                return None;
            }
        };
        if half.property(name::PRODUCER_GROUP) != Some(&*self.group) {
            return Some(request);
        }
        checks.check(request.connection(), question, half);
        request.done();
        None
    }
}

impl Member for ProducerMember {
    fn kind(&self) -> MemberKind {
        MemberKind::Producer
    }

    fn group(&self) -> &Arc<str> {
        &self.group
    }

    fn add_to(&self, heartbeat: &mut Heartbeat) {
        heartbeat.producer_data_set.push(ProducerData {
            group_name: self.group.to_string(),
        });
    }

    fn topics(&self) -> Vec<NeededTopic> {
        self.topics.clone()
    }

    /// Brokers ask a transaction producer long after its last send.
    fn is_asked(&self) -> bool {
        self.checks.lock().is_some()
    }

    fn answer(&self, request: BrokerRequest) -> Option<BrokerRequest> {
        match request.command().code {
            request::CHECK_TRANSACTION_STATE => self.check_transaction(request),
            request::PUSH_REPLY_MESSAGE_TO_CLIENT => {
                // The table is one for all producers of the client.
                self.replies.pushed(request);
                None
            }
            _ => Some(request),
        }
    }

    fn stop(&self) {
        let checks = self.checks.lock().take();
        if let Some(checks) = checks {
            checks.stop();
            *self.ending.lock() = Some(checks);
        }
    }

    fn join(&self, deadline: Deadline) -> Vec<String> {
        let ending = self.ending.lock().clone();
        ending.map_or_else(Vec::new, |checks| checks.join(deadline))
    }
}
