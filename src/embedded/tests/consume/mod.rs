//! What consumers ask of brokers, and brokers of consumers.

mod asked;
mod assign;
mod faulty;
mod filters;
mod groups;
mod offsets;
mod pops;
mod pulls;
mod retries;

use std::time::Duration;

use super::client::{Client, PATIENCE, header, send, v2};
use crate::embedded::{Broker, Cluster};
use crate::message::MessageQueue;
use crate::protocol::Command;
use crate::protocol::code::request;
use crate::protocol::consumer::lock::{LockRequest, Locked};
use crate::protocol::consumer::member::ConsumerData;
use crate::protocol::consumer::offset::{CommitOffset, QueryOffset};
use crate::protocol::consumer::pull::{PullRequest, flag};
use crate::protocol::consumer::subscription::Subscription;
use crate::protocol::heartbeat::Heartbeat;
use crate::protocol::message::decode_all;
use crate::protocol::send::SendHeader;

/// One client of the group "g", over one connection.
struct Consumer {
    client: Client,
    id: &'static str,
    /// How often the broker has said that the group has changed.
    notices: usize,
    /// How many of these the test has waited for.
    waited_for: usize,
}

impl Consumer {
    fn connect(broker: &Broker, id: &'static str) -> Consumer {
        Consumer {
            client: Client::connect(broker.address()),
            id,
            notices: 0,
            waited_for: 0,
        }
    }

    /// Connects and is a member.
    fn join(broker: &Broker, id: &'static str, subscribed: &[(&str, &str)]) -> Consumer {
        let mut consumer = Consumer::connect(broker, id);
        consumer.heartbeat(data(subscribed));
        consumer
    }

    fn heartbeat(&mut self, data: ConsumerData) -> Command {
        let heartbeat = Heartbeat {
            consumer_data_set: vec![data],
            ..Heartbeat::of_producers(self.id, std::iter::empty())
        };
        self.call(&Command::request(request::HEART_BEAT).with_body(heartbeat.encode()))
    }

    /// The answer to a request, among what the broker has to say by itself.
    #[track_caller]
    fn call(&mut self, command: &Command) -> Command {
        let opaque = self.client.write(command);
        loop {
            let came = self.client.read();
            if came.is_response() {
                assert_eq!(came.opaque, opaque);
                return came;
            }
            self.note(&came);
        }
    }

    /// Waits for the next notice, which may have come before an answer.
    #[track_caller]
    fn notified(&mut self) {
        self.waited_for += 1;
        while self.notices < self.waited_for {
            let came = self.client.read();
            self.note(&came);
        }
    }

    #[track_caller]
    fn note(&mut self, command: &Command) {
        assert_eq!(command.code, request::NOTIFY_CONSUMER_IDS_CHANGED);
        assert_eq!(command.ext.get("consumerGroup"), Some("g"));
        assert!(command.is_oneway() && !command.is_response());
        self.notices += 1;
    }

    /// The committed offset in queue 0 of "T", as the broker says it.
    fn committed(&mut self, set_zero_if_not_found: Option<bool>) -> Result<i64, i32> {
        let query = QueryOffset {
            consumer_group: "g".into(),
            topic: "T".into(),
            queue_id: 0,
            set_zero_if_not_found,
            broker_name: None,
        };
        let ask = Command::request(request::QUERY_CONSUMER_OFFSET).with_fields(&query);
        let answer = self.call(&ask);
        match answer.code {
            0 => Ok(answer.ext.get("offset").unwrap().parse().unwrap()),
            code => Err(code),
        }
    }

    /// Commits an offset in queue 0 of "T".
    fn commit(&mut self, offset: i64) -> i32 {
        self.call(&commit("g", "T", offset)).code
    }

    /// Which of these queues of "T" it holds now.
    fn lock(&mut self, queues: &[i32]) -> Vec<i32> {
        let lock = self.lock_request(queues);
        let ask = Command::request(request::LOCK_BATCH_MQ).with_body(lock.encode());
        let answer = self.call(&ask);
        assert_eq!(answer.code, 0);
        let held = Locked::decode(&answer.body).unwrap().queues;
        held.iter().map(MessageQueue::id).collect()
    }

    fn unlock(&mut self, queues: &[i32]) {
        let lock = self.lock_request(queues);
        let ask = Command::request(request::UNLOCK_BATCH_MQ).with_body(lock.encode());
        assert_eq!(self.call(&ask).code, 0);
    }

    fn lock_request(&self, queues: &[i32]) -> LockRequest {
        LockRequest {
            client_id: self.id.into(),
            consumer_group: "g".into(),
            mq_set: queues.iter().map(|id| queue("T", *id)).collect(),
            only_this_broker: false,
        }
    }
}

fn commit(group: &str, topic: &str, commit_offset: i64) -> Command {
    Command::request(request::UPDATE_CONSUMER_OFFSET).with_fields(&CommitOffset {
        consumer_group: group.into(),
        topic: topic.into(),
        queue_id: 0,
        commit_offset,
        broker_name: None,
    })
}

/// The group "g" with what it subscribes, all of it with version 1.
fn data(subscribed: &[(&str, &str)]) -> ConsumerData {
    let one = |(topic, tags): &(&str, &str)| Subscription::tags(*topic, tags, 1).unwrap();
    ConsumerData {
        subscription_data_set: subscribed.iter().map(one).collect(),
        ..ConsumerData::new("g")
    }
}

fn queue(topic: &str, id: i32) -> MessageQueue {
    MessageQueue::new(topic, "broker-a", id)
}

/// A pull from queue 0 of "T" by the heartbeat's subscription, that does not wait.
fn pull(offset: i64) -> PullRequest<'static> {
    PullRequest {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: 0,
        queue_offset: offset,
        max_messages: 32,
        sys_flag: 0,
        commit_offset: 0,
        suspend_millis: 0,
        subscription: None,
        sub_version: 1,
        expression_type: None,
        max_bytes: None,
        broker_name: None,
    }
}

fn long_poll(offset: i64, time: Duration) -> PullRequest<'static> {
    let pull = pull(offset);
    PullRequest {
        sys_flag: pull.sys_flag | flag::SUSPEND,
        suspend_millis: time.as_millis() as i64,
        ..pull
    }
}

/// The same with a subscription of its own.
fn subscribing<'a>(pull: PullRequest<'a>, tags: &'a str) -> PullRequest<'a> {
    PullRequest {
        sys_flag: pull.sys_flag | flag::SUBSCRIPTION,
        subscription: Some(tags.into()),
        ..pull
    }
}

fn command(pull: &PullRequest<'_>) -> Command {
    Command::request(request::PULL_MESSAGE).with_fields(pull)
}

fn bodies(answer: &Command) -> Vec<String> {
    let messages = decode_all(answer.body.clone(), 1 << 20).into_iter();
    let body = |message: Result<crate::MessageView, _>| message.unwrap().text().unwrap().to_owned();
    messages.map(body).collect()
}

fn number(answer: &Command, field: &str) -> i64 {
    answer.ext.get(field).unwrap().parse().unwrap()
}

/// A plain send to queue 0 with these properties.
fn send_with(topic: &str, properties: &str, body: &str) -> Command {
    let header = SendHeader {
        properties,
        ..header(topic)
    };
    v2(&header, body.as_bytes())
}

fn wait_until(what: impl Fn() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !what() {
        assert!(std::time::Instant::now() < end);
        std::thread::yield_now();
    }
}

/// A cluster with the topic "T", whose clock stands still.
fn start() -> Cluster {
    let builder = Cluster::builder().topic("T", 4).manual_clock(true);
    builder.hold_delayed_messages(true).start().unwrap()
}
