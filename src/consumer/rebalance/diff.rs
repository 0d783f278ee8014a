//! One rebalance of one topic: which lists of members to believe, and what changes.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use super::allocate::Allocation;
use super::division::{Division, Duplicates};
use crate::error::Error;
use crate::message::MessageQueue;

/// Why this member keeps its queues although they may be another member's. The brokers are asked again
/// each second until there is no doubt.
///
/// A list of members is the view of one broker. A broker that just restarted knows few members. A
/// member whose connection broke is missing until it has reconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Doubt {
    /// The route of the topic is not known.
    NoRoute,
    /// The route has no queue that can be read.
    NoQueues,
    /// No broker answered.
    Unanswered,
    /// Brokers answered, and know no member of the group.
    Empty,
    /// No list has this member.
    WithoutUs,
    /// The lists of the brokers differ.
    Differ,
    /// The allocation failed: a panic or a wrong result of the user's closure.
    Allocation,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doubt::NoRoute => "the route of a topic is not known",
            Doubt::NoQueues => "a topic has no queue that can be read",
            Doubt::Unanswered => "no broker answers",
            Doubt::Empty => "brokers know no member of the group",
            Doubt::WithoutUs => "brokers do not know this member",
            Doubt::Differ => "brokers know different members",
            Doubt::Allocation => "the allocation failed",
        })
    }
}

impl Doubt {
    /// A broker does not know this member: send it a heartbeat before the next question.
    pub(crate) fn needs_heartbeat(self) -> bool {
        matches!(self, Doubt::Empty | Doubt::WithoutUs | Doubt::Differ)
    }
}

/// The members of a group, as far as brokers agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberList {
    /// The members of all lists. Empty if no list can be used.
    pub(crate) ids: Vec<Arc<str>>,
    pub(crate) doubt: Option<Doubt>,
}

/// Combines the answers of a topic's brokers. `None` is a broker that did not answer, an empty list a
/// broker that knows no member. A broker that is down must not stop a rebalance, so the answers of the
/// others count.
pub(crate) fn judge(me: &str, answers: &[Option<Vec<Arc<str>>>]) -> MemberList {
    let lists: Vec<&Vec<Arc<str>>> = answers.iter().flatten().collect();
    let doubtful = |doubt| MemberList {
        ids: Vec::new(),
        doubt: Some(doubt),
    };
    if lists.is_empty() {
        return doubtful(Doubt::Unanswered);
    }
    if lists.iter().all(|list| list.is_empty()) {
        return doubtful(Doubt::Empty);
    }
    if !lists.iter().any(|list| list.iter().any(|id| **id == *me)) {
        return doubtful(Doubt::WithoutUs);
    }
    let sets: HashSet<BTreeSet<&Arc<str>>> = lists.iter().map(|l| l.iter().collect()).collect();
    if sets.len() > 1 {
        let all: BTreeSet<&Arc<str>> = sets.into_iter().flatten().collect();
        return MemberList {
            ids: all.into_iter().cloned().collect(),
            doubt: Some(Doubt::Differ),
        };
    }
    // The longest list: duplicates of a member matter beside Java's (see `Duplicates`).
    let longest = lists.into_iter().max_by_key(|list| list.len());
    MemberList {
        ids: longest.cloned().unwrap_or_default(),
        doubt: None,
    }
}

/// The changes to the queues of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Diff {
    /// Queues that this member keeps: they are not touched.
    pub(crate) keep: Vec<MessageQueue>,
    /// Queues to stop, finish, commit and unlock.
    pub(crate) give_up: Vec<MessageQueue>,
    /// Queues to start. While there is a doubt another member may have them: only with their lock.
    pub(crate) take: Vec<MessageQueue>,
    /// Why no queue is given up.
    pub(crate) doubt: Option<Doubt>,
}

impl Diff {
    /// No change, and no doubt: nothing happens before the next round.
    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn is_balanced(&self) -> bool {
        self.give_up.is_empty() && self.take.is_empty() && self.doubt.is_none()
    }
}

/// Compares the queues of this member with its assignment; `None` is an assignment that could not be
/// computed.
///
/// While brokers differ, this member takes its share among all members that any broker knows. So the
/// queues of a member that died do not wait until the brokers agree.
pub(crate) fn diff(
    mine: &[MessageQueue],
    assigned: Option<&[MessageQueue]>,
    doubt: Option<Doubt>,
) -> Diff {
    let ours: HashSet<&MessageQueue> = mine.iter().collect();
    let wanted: HashSet<&MessageQueue> = assigned.unwrap_or_default().iter().collect();
    let may_drop = assigned.is_some() && doubt.is_none();
    let may_take = assigned.is_some() && matches!(doubt, None | Some(Doubt::Differ));
    let mut diff = Diff {
        doubt,
        ..Diff::default()
    };
    for queue in mine {
        let stays = !may_drop || wanted.contains(queue);
        let list = if stays {
            &mut diff.keep
        } else {
            &mut diff.give_up
        };
        list.push(queue.clone());
    }
    if may_take {
        let fresh = assigned.unwrap_or_default().iter();
        diff.take = fresh.filter(|q| !ours.contains(q)).cloned().collect();
    }
    diff
}

/// The facts with which a member rebalances a topic.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    pub(crate) group: &'a Arc<str>,
    pub(crate) me: &'a Arc<str>,
    /// The queues of the topic that this member has now.
    pub(crate) mine: &'a [MessageQueue],
    /// The queues that can be read, by the route; `None` if the route is not known.
    pub(crate) queues: Option<&'a [MessageQueue]>,
    /// The answers of the brokers that were asked for the members.
    pub(crate) answers: &'a [Option<Vec<Arc<str>>>],
    pub(crate) duplicates: Duplicates,
}

/// Rebalances one topic once. The error, if any, is the allocation's.
pub(crate) fn rebalance(allocation: &Allocation, round: &Round<'_>) -> (Diff, Option<Error>) {
    let keep_all = |doubt| diff(round.mine, None, Some(doubt));
    let queues = match round.queues {
        None => return (keep_all(Doubt::NoRoute), None),
        Some([]) => return (keep_all(Doubt::NoQueues), None),
        Some(queues) => queues,
    };
    let members = judge(round.me, round.answers);
    if let (true, Some(doubt)) = (members.ids.is_empty(), members.doubt) {
        return (keep_all(doubt), None);
    }
    let (group, me) = (round.group.clone(), round.me.clone());
    let division = Division::new(group, me, queues.to_vec(), members.ids, round.duplicates);
    match allocation.allocate(&division) {
        Ok(assigned) => (diff(round.mine, Some(&assigned), members.doubt), None),
        Err(error) => (keep_all(Doubt::Allocation), Some(error)),
    }
}

/// A round of broadcasting: every member takes every queue.
pub(crate) fn take_all(mine: &[MessageQueue], queues: Option<&[MessageQueue]>) -> Diff {
    match queues {
        None => diff(mine, None, Some(Doubt::NoRoute)),
        Some([]) => diff(mine, None, Some(Doubt::NoQueues)),
        Some(queues) => diff(mine, Some(queues), None),
    }
}

/// A round of a consumer with `assign`: it takes its queues of the topic that can be read, and keeps them
/// even if they leave the route later.
pub(crate) fn take_those(
    mine: &[MessageQueue],
    wanted: &[MessageQueue],
    queues: Option<&[MessageQueue]>,
) -> Diff {
    let readable = queues.unwrap_or_default().iter();
    let fresh = readable.filter(|q| wanted.contains(q) && !mine.contains(q));
    Diff {
        keep: mine.to_vec(),
        take: fresh.cloned().collect(),
        ..Diff::default()
    }
}

#[cfg(test)]
mod tests;
