//! The requests of the control thread. No request blocks: its answer goes to the inbox.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inbox::{Asked, GivenBack, Inbox, Pull};
use crate::client::{ClientCore, PullAddress};
use crate::consumer::offset::Commit;
use crate::message::MessageQueue;
use crate::protocol::admin::QueueQuery;
use crate::protocol::code::request;
use crate::protocol::consumer::assignment::AssignmentQuery;
use crate::protocol::consumer::back::SendBack;
use crate::protocol::consumer::lock::LockRequest;
use crate::protocol::consumer::member::GroupName;
use crate::protocol::consumer::offset::{CommitOffset, QueryOffset};
use crate::protocol::consumer::pull::{PullRequest, flag};
use crate::protocol::consumer::subscription::Subscription;
use crate::protocol::route::MASTER;
use crate::transport::{Deadline, Dial, Request, To, Via};

/// How long a broker has for the answer to a request that is not parked.
const SOON: Duration = Duration::from_secs(3);

/// A commit has more time: brokers under load take it late, and the next one follows it.
const COMMIT_WITHIN: Duration = Duration::from_secs(5);

/// How long a broker may park a pull.
const HOLD: Duration = Duration::from_secs(15);

/// How much longer its answer may take: brokers check their parked pulls every 5 s.
const HOLD_MARGIN: Duration = Duration::from_secs(7);

/// The client and the group of the requests.
pub(crate) struct Wire {
    pub(crate) core: Arc<ClientCore>,
    /// The group as brokers know it.
    pub(crate) group: Arc<str>,
    inbox: Inbox,
    /// Each pull carries the subscription: the broker need not know it.
    with_subscription: bool,
}

/// A bound of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Min,
    Max,
    /// The time at which the first message was stored (not an offset).
    StoreTime,
    /// The first offset stored at this time (epoch milliseconds) or later.
    At(u64),
}

impl Wire {
    pub(crate) fn new(
        core: Arc<ClientCore>,
        group: Arc<str>,
        inbox: Inbox,
        with_subscription: bool,
    ) -> Wire {
        Wire {
            core,
            group,
            inbox,
            with_subscription,
        }
    }

    /// Asks a broker for the members of the group.
    pub(super) fn members(&self, broker: &Arc<str>, now: Instant, asked: Asked) {
        let header = GroupName {
            consumer_group: self.group.to_string(),
        };
        let request = Request::new(request::GET_CONSUMER_LIST_BY_GROUP, &header);
        self.send(broker, &request, Deadline::after(now, SOON), asked);
    }

    /// Asks a broker for the connections of the group.
    pub(super) fn connections(&self, broker: &Arc<str>, now: Instant, asked: Asked) {
        let header = GroupName {
            consumer_group: self.group.to_string(),
        };
        let request = Request::new(request::GET_CONSUMER_CONNECTION_LIST, &header);
        self.send(broker, &request, Deadline::after(now, SOON), asked);
    }

    /// Asks a broker which queues of a topic are this member's.
    pub(super) fn assignment(
        &self,
        broker: &Arc<str>,
        query: &AssignmentQuery,
        now: Instant,
        asked: Asked,
    ) {
        let body = Arc::new(query.encode());
        let request = Request::new(request::QUERY_ASSIGNMENT, &()).with_body(&body);
        self.send(broker, &request, Deadline::after(now, SOON), asked);
    }

    /// Asks the master of a broker for the locks of queues; false if it has no address.
    pub(super) fn lock(
        &self,
        broker: &str,
        queues: Vec<MessageQueue>,
        now: Instant,
        asked: Asked,
    ) -> bool {
        self.about_locks(request::LOCK_BATCH_MQ, broker, queues, now, asked)
    }

    /// Gives locks back.
    pub(super) fn unlock(&self, broker: &str, queues: Vec<MessageQueue>, now: Instant) -> bool {
        self.about_locks(request::UNLOCK_BATCH_MQ, broker, queues, now, Asked::Unlock)
    }

    fn about_locks(
        &self,
        code: i32,
        broker: &str,
        queues: Vec<MessageQueue>,
        now: Instant,
        asked: Asked,
    ) -> bool {
        let brokers = self.core.routes.brokers();
        let Some(address) = brokers.master(broker) else {
            return false;
        };
        let body = LockRequest {
            client_id: self.core.identity.client_id().to_owned(),
            consumer_group: self.group.to_string(),
            mq_set: queues,
            only_this_broker: false,
        };
        let body = Arc::new(body.encode());
        let request = Request::new(code, &()).with_body(&body);
        self.send(address, &request, Deadline::after(now, SOON), asked);
        true
    }

    /// Asks for the group's offset of a queue; false if no broker has an address.
    pub(super) fn committed(&self, queue: &MessageQueue, now: Instant, asked: Asked) -> bool {
        let Some(broker) = self.offset_broker(queue) else {
            return false;
        };
        let header = QueryOffset {
            consumer_group: self.group.to_string(),
            topic: queue.topic().to_owned(),
            queue_id: queue.id(),
            set_zero_if_not_found: Some(false),
            broker_name: Some(queue.broker().to_owned()),
        };
        let request = Request::new(request::QUERY_CONSUMER_OFFSET, &header);
        self.send(&broker, &request, Deadline::after(now, SOON), asked);
        true
    }

    /// Asks for a bound of a queue; false if its master has no address.
    pub(super) fn bound(
        &self,
        queue: &MessageQueue,
        bound: Bound,
        now: Instant,
        asked: Asked,
    ) -> bool {
        let brokers = self.core.routes.brokers();
        let Some(broker) = brokers.master_of(queue) else {
            return false;
        };
        let (code, timestamp) = match bound {
            Bound::Min => (request::GET_MIN_OFFSET, None),
            Bound::Max => (request::GET_MAX_OFFSET, None),
            Bound::StoreTime => (request::GET_EARLIEST_MSG_STORETIME, None),
            Bound::At(millis) => (
                request::SEARCH_OFFSET_BY_TIMESTAMP,
                Some(i64::try_from(millis).unwrap_or(i64::MAX)),
            ),
        };
        let header = QueueQuery {
            topic: queue.topic().to_owned(),
            queue_id: queue.id(),
            broker_name: Some(queue.broker().to_owned()),
            timestamp,
        };
        let request = Request::new(code, &header);
        self.send(broker, &request, Deadline::after(now, SOON), asked);
        true
    }

    /// Commits an offset; gives the commit back if no broker has an address.
    pub(super) fn commit(&self, commit: Commit, number: u64, now: Instant) -> Result<(), Commit> {
        let Some(broker) = self.offset_broker(&commit.queue) else {
            return Err(commit);
        };
        let header = CommitOffset {
            consumer_group: self.group.to_string(),
            topic: commit.queue.topic().to_owned(),
            queue_id: commit.queue.id(),
            commit_offset: commit.offset.try_into().unwrap_or(i64::MAX),
            broker_name: Some(commit.queue.broker().to_owned()),
        };
        let request = Request::new(request::UPDATE_CONSUMER_OFFSET, &header);
        let deadline = Deadline::after(now, COMMIT_WITHIN);
        self.send(&broker, &request, deadline, Asked::Commit(commit, number));
        Ok(())
    }

    /// Where the next pull of a queue goes, if the last answer suggested this broker.
    pub(super) fn pull_address(&self, queue: &MessageQueue, id: i64) -> Option<PullAddress> {
        let brokers = self.core.routes.brokers();
        brokers.address_for_pull(brokers.host(queue), id, false)
    }

    /// The name of the broker that a queue is on now.
    pub(super) fn host(&self, queue: &MessageQueue) -> Arc<str> {
        self.core.routes.brokers().host(queue).clone()
    }

    /// Asks for messages from an offset on. If the request may be parked, the broker answers once it has a
    /// message.
    pub(super) fn pull(
        &self,
        broker: &Arc<str>,
        queue: &MessageQueue,
        subscription: &Subscription,
        messages: usize,
        may_park: bool,
        pull: Pull,
    ) {
        let mut header = PullRequest {
            queue_offset: pull.ask.offset.try_into().unwrap_or(i64::MAX),
            max_messages: messages.try_into().unwrap_or(i32::MAX),
            ..self.pull_header(queue, subscription)
        };
        header.sys_flag |= if may_park { flag::SUSPEND } else { 0 };
        let request = Request::new(request::PULL_MESSAGE, &header);
        let (request, time) = match may_park {
            true => (request.parked(), HOLD + HOLD_MARGIN),
            false => (request, SOON),
        };
        let deadline = Deadline::after(pull.since, time);
        self.send(broker, &request, deadline, Asked::Pull(pull));
    }

    /// Asks a broker for one message for the second time.
    pub(super) fn reread(
        &self,
        to: &PullAddress,
        queue: &MessageQueue,
        subscription: &Subscription,
        offset: u64,
        now: Instant,
        asked: Asked,
    ) {
        let header = PullRequest {
            queue_offset: offset.try_into().unwrap_or(i64::MAX),
            max_messages: 1,
            ..self.pull_header(queue, subscription)
        };
        let request = Request::new(request::PULL_MESSAGE, &header);
        let deadline = Deadline::after(now, SOON);
        self.send(&to.address, &request, deadline, asked);
    }

    /// Has the broker that has a message put a copy of it into the retry or dead letter topic; false if its
    /// master has no address.
    pub(super) fn send_back(
        &self,
        given: &GivenBack,
        header: &SendBack,
        now: Instant,
        asked: Asked,
    ) -> bool {
        let brokers = self.core.routes.brokers();
        let Some(broker) = brokers.keeper(&given.queue.queue, given.message.store_host()) else {
            return false;
        };
        let request = Request::new(request::CONSUMER_SEND_MSG_BACK, header);
        let deadline = Deadline::after(now, COMMIT_WITHIN);
        self.send(&broker, &request, deadline, asked);
        true
    }

    fn pull_header<'a>(
        &'a self,
        queue: &'a MessageQueue,
        subscription: &'a Subscription,
    ) -> PullRequest<'a> {
        PullRequest {
            consumer_group: Cow::Borrowed(&self.group),
            topic: Cow::Borrowed(queue.topic()),
            queue_id: queue.id(),
            queue_offset: 0,
            max_messages: 0,
            sys_flag: match self.with_subscription {
                true => flag::SUBSCRIPTION,
                false => 0,
            },
            commit_offset: 0,
            suspend_millis: HOLD.as_millis() as i64,
            subscription: self
                .with_subscription
                .then_some(Cow::Borrowed(&subscription.sub_string)),
            sub_version: subscription.sub_version,
            expression_type: Some(Cow::Borrowed(&subscription.expression_type)),
            max_bytes: None,
            broker_name: Some(Cow::Borrowed(queue.broker())),
        }
    }

    /// The master, else any broker of the name: slaves accept offsets and pass them on.
    fn offset_broker(&self, queue: &MessageQueue) -> Option<Arc<str>> {
        self.pull_address(queue, MASTER).map(|found| found.address)
    }

    fn send(&self, to: &Arc<str>, request: &Request<'_>, deadline: Deadline, asked: Asked) {
        let completion = self.inbox.completion(asked);
        let (to, via) = (To::Address(to), Via::WriterThread);
        let remoting = &self.core.remoting;
        remoting.invoke_async(to, request, deadline, via, Dial::Park, completion);
    }
}
