//! One rebalance of one topic: which lists of members to believe, and what changes.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use super::allocate::Allocation;
use super::division::{Division, Duplicates};
use crate::error::Error;
use crate::message::MessageQueue;

/// Why the queues that we have are kept although they may be somebody else's. The question is asked
/// again each second until there is no doubt.
///
/// A list of members is the view of one broker. A broker that just restarted knows few of them, and a
/// member whose connection broke is missing until it is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Doubt {
    /// No route of the topic could be had.
    NoRoute,
    /// The route has no queue that can be read.
    NoQueues,
    /// No broker answered.
    Unanswered,
    /// Brokers answered, and know no member of the group.
    Empty,
    /// No list has us.
    WithoutUs,
    /// The lists of the brokers differ.
    Differ,
    /// The allocation failed: a closure of the user's.
    Allocation,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doubt::NoRoute => "the route of a topic cannot be had",
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
    /// A broker does not know us: a heartbeat tells it before it is asked again.
    pub(crate) fn needs_heartbeat(self) -> bool {
        matches!(self, Doubt::Empty | Doubt::WithoutUs | Doubt::Differ)
    }
}

/// The members of a group, as far as brokers agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberList {
    /// Those of all lists. Empty if no list can be used.
    pub(crate) ids: Vec<Arc<str>>,
    pub(crate) doubt: Option<Doubt>,
}

/// Puts together what the brokers of a topic answered; `None` is a broker that did not answer, an
/// empty list one that knows nobody. A broker that is down must not stop a rebalance, so the answers
/// of the others count.
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

/// What becomes of the queues of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Diff {
    /// Queues that stay ours: they are not touched.
    pub(crate) keep: Vec<MessageQueue>,
    /// Queues to stop, finish, commit and unlock.
    pub(crate) give_up: Vec<MessageQueue>,
    /// Queues to start. While there is a doubt somebody else may have them: only with their lock.
    pub(crate) take: Vec<MessageQueue>,
    /// Why nothing is given up.
    pub(crate) doubt: Option<Doubt>,
}

impl Diff {
    /// Nothing to do, and nothing to ask again before the next round.
    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn is_balanced(&self) -> bool {
        self.give_up.is_empty() && self.take.is_empty() && self.doubt.is_none()
    }
}

/// Compares the queues that we have with the assignment; `None` is an assignment that could not be
/// computed.
///
/// While brokers differ, the share among all members that any broker knows is taken. So the queues
/// of a member that died do not wait until the brokers agree.
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

/// What a member knows when it rebalances a topic.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    pub(crate) group: &'a Arc<str>,
    pub(crate) me: &'a Arc<str>,
    /// The queues of the topic that we have now.
    pub(crate) mine: &'a [MessageQueue],
    /// The queues that can be read by the route; `None` if the route could not be had.
    pub(crate) queues: Option<&'a [MessageQueue]>,
    /// The answers of the brokers that were asked for the members.
    pub(crate) answers: &'a [Option<Vec<Arc<str>>>],
    pub(crate) duplicates: Duplicates,
}

/// One rebalance of one topic. The error, if there is one, is that of the allocation.
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

/// A round of a consumer that has been given its queues: those of the topic that can be read are taken, and
/// kept for good, whatever the route says later.
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
