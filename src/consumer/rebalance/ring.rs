//! The ring of the consistent hash, as Java's `AllocateMessageQueueConsistentHash` builds it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::md5::md5;
use crate::message::MessageQueue;

/// How often each member stands on the ring.
const VIRTUAL_NODES: usize = 10;

/// Members by the hashes of their virtual nodes.
pub(super) struct Ring<'a>(BTreeMap<u32, &'a str>);

impl<'a> Ring<'a> {
    /// `members` are sorted. Of two nodes with the same hash the later one stays.
    pub(super) fn new(members: &'a [Arc<str>]) -> Ring<'a> {
        let mut nodes = BTreeMap::new();
        for (i, member) in members.iter().enumerate() {
            let first = match i.checked_sub(1).map(|before| &members[before]) {
                // A second entry of a member goes on with the numbers where the first one ended.
                Some(before) if before == member => {
                    nodes.values().filter(|id| *id == &&**member).count()
                }
                _ => 0,
            };
            for k in first..first + VIRTUAL_NODES {
                nodes.insert(hash(&format!("{member}-{k}")), &**member);
            }
        }
        Ring(nodes)
    }

    /// The member of the first node at or after the queue's hash, else of the first node of all.
    pub(super) fn owner(&self, queue: &MessageQueue) -> Option<&'a str> {
        let after = self.0.range(hash(&key(queue))..).next();
        after.or(self.0.first_key_value()).map(|(_, id)| *id)
    }
}

/// Java's `MessageQueue.toString`.
fn key(queue: &MessageQueue) -> String {
    let (topic, broker, id) = (queue.topic(), queue.broker(), queue.id());
    format!("MessageQueue [topic={topic}, brokerName={broker}, queueId={id}]")
}

fn hash(key: &str) -> u32 {
    let [a, b, c, d, ..] = md5(key.as_bytes());
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes and owners of Java 5.4.0.
    #[test]
    fn hashes_and_owners_are_those_of_java() {
        let members = ["10.0.0.1@1", "10.0.0.2@2", "10.0.0.3@3"].map(Arc::from);
        let ring = Ring::new(&members);
        assert_eq!(ring.0.len(), 30);
        let lowest: Vec<_> = ring.0.iter().take(3).map(|(h, id)| (*h, *id)).collect();
        assert_eq!(
            lowest,
            [
                (4_608_183, "10.0.0.1@1"),
                (99_664_188, "10.0.0.2@2"),
                (240_383_343, "10.0.0.2@2")
            ]
        );
        for (broker, id, expected, owner) in [
            ("broker-a", 0, 1_987_926_524, 3),
            ("broker-a", 1, 4_291_349_817, 1),
            ("broker-a", 2, 853_506_239, 1),
            ("broker-a", 3, 3_652_785_994, 3),
            ("broker-b", 0, 2_152_192_320, 3),
            ("broker-b", 1, 672_344_976, 1),
            ("broker-b", 2, 3_597_050_942, 2),
            ("broker-b", 3, 4_140_580_766, 1),
        ] {
            let queue = MessageQueue::new("TopicTest", broker, id);
            assert_eq!(hash(&key(&queue)), expected, "{queue}");
            assert_eq!(ring.owner(&queue), Some(&*members[owner - 1]), "{queue}");
        }
    }

    #[test]
    fn a_queue_at_a_nodes_hash_belongs_to_that_node() {
        let queue = MessageQueue::new("T", "b", 0);
        let at = hash(&key(&queue));
        let ring = Ring(BTreeMap::from([(at - 1, "a"), (at, "b"), (at + 1, "c")]));
        assert_eq!(ring.owner(&queue), Some("b"));
        let ring = Ring(BTreeMap::from([(at - 2, "a"), (at - 1, "b")]));
        assert_eq!(ring.owner(&queue), Some("a"));
        assert_eq!(Ring::new(&[]).owner(&queue), None);
    }
}
