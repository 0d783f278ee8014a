//! The queues and members of a division, sorted as Java sorts them.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::message::{MessageQueue, string_order};

/// The queues of one topic and the members of one group that divide them: the input of an
/// [`Allocation`](super::Allocation).
///
/// Queues and members are sorted in the same way on every member of the group (Java's included), so
/// that each member computes the same division on its own.
#[derive(Debug, Clone)]
pub struct Division {
    group: Arc<str>,
    member: Arc<str>,
    queues: Vec<MessageQueue>,
    members: Vec<Arc<str>>,
}

/// How a member counts that is listed more than once.
///
/// A broker lists connections. After a reconnect it lists a client twice until it notices that the
/// old connection is gone (up to 120 s). Java keeps both entries, and meanwhile no member consumes the
/// second one's share of the queues. All members must do the same, so a group with Java members has
/// to do what Java does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duplicates {
    /// Each member counts once. Right if all members of the group are of this library.
    Removed,
    /// Each entry counts, and a member takes the share of its first entry.
    KeptAsJava,
}

impl Division {
    /// Sorts queues and members. A queue that is given twice counts once.
    pub(crate) fn new(
        group: Arc<str>,
        member: Arc<str>,
        mut queues: Vec<MessageQueue>,
        mut members: Vec<Arc<str>>,
        duplicates: Duplicates,
    ) -> Division {
        queues.sort_by(queue_order);
        queues.dedup();
        members.sort_by(|a, b| string_order(a, b));
        if duplicates == Duplicates::Removed {
            members.dedup();
        }
        Division {
            group,
            member,
            queues,
            members,
        }
    }

    /// The group, as brokers know it.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The client id of the member whose share is computed.
    pub fn member(&self) -> &str {
        &self.member
    }

    /// The client ids of all members, sorted by their UTF-16 code units as Java sorts them.
    pub fn members(&self) -> &[Arc<str>] {
        &self.members
    }

    /// The queues to divide, sorted by topic, broker name and number.
    pub fn queues(&self) -> &[MessageQueue] {
        &self.queues
    }

    /// The position of this member among the members.
    pub(super) fn index(&self) -> Option<usize> {
        self.members.iter().position(|id| *id == self.member)
    }

    /// The same division for some of the queues and some of the members, both still sorted.
    pub(super) fn part(&self, queues: Vec<MessageQueue>, members: Vec<Arc<str>>) -> Division {
        Division {
            group: self.group.clone(),
            member: self.member.clone(),
            queues,
            members,
        }
    }
}

/// The order of Java's `MessageQueue.compareTo`: topic, broker name, number.
pub(crate) fn queue_order(a: &MessageQueue, b: &MessageQueue) -> Ordering {
    string_order(a.topic(), b.topic())
        .then_with(|| string_order(a.broker(), b.broker()))
        .then_with(|| a.id().cmp(&b.id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_sort_by_utf16_units() {
        // The surrogates of U+10000 begin with 0xD800.
        let mut names = [
            "\u{ffff}",
            "b",
            "\u{10000}",
            "\u{e000}",
            "",
            "a",
            "a\u{10000}",
        ];
        names.sort_by(|a, b| string_order(a, b));
        assert_eq!(
            names,
            [
                "",
                "a",
                "a\u{10000}",
                "b",
                "\u{10000}",
                "\u{e000}",
                "\u{ffff}"
            ]
        );
        assert_eq!(string_order("broker-10", "broker-2"), Ordering::Less);
    }

    #[test]
    fn queues_sort_by_topic_broker_and_number() {
        let queue = MessageQueue::new;
        let sorted = [
            queue("a", "z", 9),
            queue("b", "broker-10", 0),
            queue("b", "broker-2", -1),
            queue("b", "broker-2", 2),
            queue("b", "broker-2", 10),
            queue("b", "\u{1F600}", 0),
            queue("b", "\u{ff01}", 0),
        ];
        let mut queues: Vec<_> = sorted.iter().rev().cloned().collect();
        queues.sort_by(queue_order);
        assert_eq!(queues, sorted);
    }

    #[test]
    fn duplicates_are_removed_or_kept() {
        let division = |duplicates| {
            let queues = vec![MessageQueue::new("T", "b", 0); 2];
            let members = ["b", "a", "b"].map(Arc::from).to_vec();
            Division::new("g".into(), "b".into(), queues, members, duplicates)
        };
        let once = division(Duplicates::Removed);
        assert_eq!((once.members().len(), once.queues().len()), (2, 1));
        let twice = division(Duplicates::KeptAsJava);
        assert_eq!((twice.members().len(), twice.index()), (3, Some(1)));
    }
}
