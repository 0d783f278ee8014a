//! A topic of a test, and what its broker has of it.

use std::ops::Range;

use rocketmq_blocking::{Admin, Error, Message, MessageQueue, Producer, SendFate, SendReceipt};

use crate::servers::{Server, eventually, found, wait_until_readable, wire};

pub struct Topic {
    pub name: &'static str,
    queues: usize,
    producer: Producer,
}

impl Topic {
    /// With so many queues on the first broker.
    pub fn create(server: &Server, name: &'static str, queues: usize) -> Topic {
        let producer = server.producer(&format!("{name}-send")).start().unwrap();
        let count = u32::try_from(queues).expect("few");
        wire::create_topic(&server.brokers[0].address, name, count, 6);
        eventually("the topic has a route", || {
            producer.admin().publish_queues(name).is_ok()
        });
        Topic {
            name,
            queues,
            producer,
        }
    }

    pub fn admin(&self) -> Admin {
        self.producer.admin()
    }

    pub fn queue(&self, id: usize) -> MessageQueue {
        MessageQueue::new(self.name, "broker-a", i32::try_from(id).expect("few"))
    }

    pub fn queues(&self) -> Vec<MessageQueue> {
        (0..self.queues).map(|id| self.queue(id)).collect()
    }

    /// A message of this topic.
    pub fn message(&self, body: impl Into<Vec<u8>>) -> Message {
        Message::new(self.name, body)
    }

    /// Sends numbers, each to the queue that it has modulo the number of queues. They can be read then.
    #[track_caller]
    pub fn send(&self, numbers: Range<usize>) {
        self.send_all(numbers.map(|n| (n % self.queues, self.message(n.to_string()))));
    }

    /// The same for messages, each to its queue.
    #[track_caller]
    pub fn send_all(&self, messages: impl Iterator<Item = (usize, Message)>) {
        let send = |(queue, message)| self.store(&self.producer, queue, &message);
        let sent: Vec<SendReceipt> = messages.map(send).collect();
        wait_until_readable(&self.admin(), &sent);
    }

    #[track_caller]
    pub fn send_to(&self, queue: usize, message: &Message) {
        self.send_by(&self.producer, queue, message);
    }

    #[track_caller]
    pub fn send_by(&self, producer: &Producer, queue: usize, message: &Message) {
        let _receipt = self.store(producer, queue, message);
    }

    /// A broker that is busy for a moment is asked again.
    #[track_caller]
    fn store(&self, producer: &Producer, queue: usize, message: &Message) -> SendReceipt {
        found("it is stored", || {
            let sent = producer.prepare(message).queue(self.queue(queue)).send();
            let not_sent = |error: &Error| error.fate() == SendFate::NotSent;
            assert!(sent.as_ref().err().is_none_or(not_sent), "{sent:?}");
            sent.ok()
        })
    }

    /// The group's offset in each queue; 0 for none, as brokers 4.x have it.
    pub fn committed(&self, group: &str) -> Vec<i64> {
        let committed = |queue| self.admin().committed_offset(group, &queue);
        let queues = self.queues().into_iter();
        queues
            .map(|queue| committed(queue).expect("an answer").unwrap_or(0))
            .collect()
    }

    /// How many messages a topic of the group has, one of retries or dead letters.
    pub fn count_of(&self, prefix: &str, group: &str) -> i64 {
        let topic = format!("{prefix}{group}");
        let queues = self.admin().subscribe_queues(&topic).unwrap_or_default();
        let ends = queues.iter().map(|queue| self.admin().max_offset(queue));
        ends.map(|end| end.expect("an answer")).sum()
    }

    /// The client ids of the group's members, as the broker knows them.
    pub fn members(&self, group: &str) -> Vec<String> {
        // A new group has no retry topic, by which the broker is found, for a moment.
        let members = self.admin().group(group).members();
        let members = members.map_or(Vec::new(), |known| known.members);
        members.into_iter().map(|one| one.client_id).collect()
    }
}
