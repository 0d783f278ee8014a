//! The subscribe view of a route: which queues of a topic can be read.

use std::sync::Arc;

use super::logical::{self, MOST_QUEUES};
use crate::message::MessageQueue;
use crate::protocol::route::{QueueData, TopicRoute, perm};

/// The readable queues of a route, by broker name and number. They need no master. Of a static topic all logical
/// queues count, also those that no broker hosts now: all members divide the same ones at any time.
pub(crate) fn subscribe_queues(topic: &Arc<str>, route: &TopicRoute) -> Vec<MessageQueue> {
    if let Some(mut queues) = logical::queues(topic, route) {
        queues.sort();
        return queues;
    }
    let mut queues = Vec::new();
    let readable = |data: &&QueueData| data.perm & perm::READ != 0;
    for data in route.queue_datas.iter().filter(readable) {
        let broker: Arc<str> = data.broker_name.as_str().into();
        let count = usize::try_from(data.read_queue_nums).unwrap_or(0);
        let capacity = MOST_QUEUES.saturating_sub(queues.len());
        let queue = |id| MessageQueue::new(topic.clone(), broker.clone(), id);
        queues.extend((0..).take(count.min(capacity)).map(queue));
    }
    queues.sort();
    queues.dedup();
    queues
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_queues_depend_on_the_brokers_permission_and_not_on_a_master() {
        let queue = |(broker, perm): (&str, i32)| QueueData {
            broker_name: broker.into(),
            read_queue_nums: 2,
            write_queue_nums: 1,
            perm,
            topic_sys_flag: 0,
        };
        let route = TopicRoute {
            queue_datas: [("b", 6), ("a", 4), ("c", 2)].map(queue).into(),
            ..TopicRoute::default()
        };
        let queues = subscribe_queues(&"T".into(), &route);
        let names: Vec<_> = queues
            .iter()
            .map(|q| format!("{}:{}", q.broker(), q.id()))
            .collect();
        assert_eq!(names, ["a:0", "a:1", "b:0", "b:1"]);
    }
}
