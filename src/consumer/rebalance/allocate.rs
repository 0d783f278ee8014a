//! The strategies by which members divide the queues of a topic.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use super::division::Division;
use super::ring::Ring;
use crate::error::{Error, ErrorKind, Result};
use crate::message::MessageQueue;
use crate::message::name::RETRY_PREFIX;
use crate::panics::caught;

/// How the members of a group divide the queues of each topic (default:
/// [`averagely`](Allocation::averagely)).
///
/// Each member computes the division on its own, from the same sorted lists of queues and members.
/// So **all members of a group must use the same allocation**: otherwise queues are consumed twice,
/// or not at all. Each allocation gives the same result as Java's strategy of that name. Clients in
/// Go use another ring for the consistent hash, and divide averagely where Java prefers near rooms.
///
/// A member that is listed twice (after a reconnect, until the broker notices that the old
/// connection is gone) counts once if the whole group uses this library. With Java members in the
/// group each entry counts, as in Java: the share of the second entry waits meanwhile.
///
/// Closures run on the thread that rebalances, once for each topic (and queue or member), and under no
/// lock.
///
/// ```ignore
/// PushConsumer::builder("billing").allocation(Allocation::by_circle())
/// ```
#[derive(Clone)]
#[doc(alias = "AllocateMessageQueueStrategy")]
#[must_use]
pub struct Allocation(Rule);

#[derive(Clone)]
enum Rule {
    Averagely,
    ByCircle,
    ConsistentHash,
    Configured(Arc<[MessageQueue]>),
    MachineRoom(Arc<BTreeSet<String>>),
    Nearby(Arc<Nearby>),
    Custom(Arc<str>, Divide),
}

type Divide = Arc<dyn Fn(&Division) -> Vec<MessageQueue> + Send + Sync>;

struct Nearby {
    name: String,
    inner: Allocation,
    room_of_queue: Box<dyn Fn(&MessageQueue) -> String + Send + Sync>,
    room_of_member: Box<dyn Fn(&str) -> String + Send + Sync>,
}

impl Default for Allocation {
    fn default() -> Allocation {
        Allocation::averagely()
    }
}

impl Allocation {
    /// Each member gets a run of neighbouring queues; the first members get one more if the number
    /// of queues does not divide evenly. With more members than queues the last members get none.
    #[doc(alias = "AllocateMessageQueueAveragely")]
    pub fn averagely() -> Allocation {
        Allocation(Rule::Averagely)
    }

    /// The queues are dealt out in turn, one at a time. Each member gets as many as with
    /// [`averagely`](Allocation::averagely), spread over the brokers.
    #[doc(alias = "AllocateMessageQueueAveragelyByCircle")]
    pub fn by_circle() -> Allocation {
        Allocation(Rule::ByCircle)
    }

    /// Members and queues are hashed onto a ring (ten points a member, MD5), and a queue belongs to
    /// the next member on it. A member that joins or leaves moves few queues of the others, but the
    /// shares differ in size.
    #[doc(alias = "AllocateMessageQueueConsistentHash")]
    pub fn consistent_hash() -> Allocation {
        Allocation(Rule::ConsistentHash)
    }

    /// This member gets the given queues, whichever other members the group has. Queues that the topic
    /// does not have are ignored. The queues of all members must make up the whole topic; this is not
    /// checked. The retry topic of the group, whose queues cannot be named in advance, is divided
    /// averagely (in Java it is not consumed).
    #[doc(alias = "AllocateMessageQueueByConfig")]
    pub fn configured(queues: impl IntoIterator<Item = MessageQueue>) -> Allocation {
        Allocation(Rule::Configured(queues.into_iter().collect()))
    }

    /// Only the queues of brokers named `room@name`, with one of these rooms, are divided. All other
    /// queues are not consumed by this group.
    #[doc(alias = "AllocateMessageQueueByMachineRoom")]
    #[doc(alias = "setConsumeridcs")]
    pub fn machine_rooms(rooms: impl IntoIterator<Item = impl Into<String>>) -> Allocation {
        let rooms = rooms.into_iter().map(Into::into).collect();
        Allocation(Rule::MachineRoom(Arc::new(rooms)))
    }

    /// Members consume the queues in their own room; queues in a room without members are divided
    /// among all members. `inner` divides within a room. The closures return the room of a queue and
    /// of a member (by its client id); they must return the same on every member of the group. A room
    /// without name, or a panic, is an error: each member then keeps the queues that it has.
    #[doc(alias = "AllocateMachineRoomNearby")]
    #[doc(alias = "MachineRoomResolver")]
    pub fn nearby(
        inner: Allocation,
        room_of_queue: impl Fn(&MessageQueue) -> String + Send + Sync + 'static,
        room_of_member: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Allocation {
        Allocation(Rule::Nearby(Arc::new(Nearby {
            name: format!("MACHINE_ROOM_NEARBY-{}", inner.name()),
            inner,
            room_of_queue: Box::new(room_of_queue),
            room_of_member: Box::new(room_of_member),
        })))
    }

    /// A division of your own: `divide` returns the queues of [`Division::member`], some of
    /// [`Division::queues`]. It runs once for each topic and rebalance, on every member, and must
    /// give each queue to exactly one of them. A queue that the topic does not have, or a panic, is
    /// an error: each member keeps the queues that it has. `name` is for the log.
    pub fn custom(
        name: impl Into<Arc<str>>,
        divide: impl Fn(&Division) -> Vec<MessageQueue> + Send + Sync + 'static,
    ) -> Allocation {
        Allocation(Rule::Custom(name.into(), Arc::new(divide)))
    }

    /// The strategy's name as Java and brokers know it, such as `AVG_BY_CIRCLE`.
    pub fn name(&self) -> &str {
        match &self.0 {
            Rule::Averagely => "AVG",
            Rule::ByCircle => "AVG_BY_CIRCLE",
            Rule::ConsistentHash => "CONSISTENT_HASH",
            Rule::Configured(_) => "CONFIG",
            Rule::MachineRoom(_) => "MACHINE_ROOM",
            Rule::Nearby(nearby) => &nearby.name,
            Rule::Custom(name, _) => name,
        }
    }

    /// The share of this member.
    ///
    /// # Errors
    /// `Config`: the member is not in the list (Java gives up all queues then), or a closure of the
    /// user's failed. The queues stay as they are.
    pub(crate) fn allocate(&self, division: &Division) -> Result<Vec<MessageQueue>> {
        let index = division.index().ok_or_else(|| {
            let text = format!("{} is not a member of its group", division.member());
            Error::new(ErrorKind::Config, text)
        })?;
        let queues = division.queues();
        let members = division.members().len();
        Ok(match &self.0 {
            Rule::Averagely => averagely(queues, members, index),
            Rule::ByCircle => by_circle(queues, members, index),
            Rule::ConsistentHash => {
                let ring = Ring::new(division.members());
                let ours = |queue: &&MessageQueue| ring.owner(queue) == Some(division.member());
                queues.iter().filter(ours).cloned().collect()
            }
            Rule::Configured(configured) => {
                let (retry, named): (Vec<_>, Vec<_>) = queues
                    .iter()
                    .cloned()
                    .partition(|queue| queue.topic().starts_with(RETRY_PREFIX));
                let named = named.into_iter().filter(|q| configured.contains(q));
                named.chain(averagely(&retry, members, index)).collect()
            }
            Rule::MachineRoom(rooms) => {
                let known = |queue: &&MessageQueue| {
                    room_of_broker(queue.broker()).is_some_and(|room| rooms.contains(room))
                };
                let known: Vec<_> = queues.iter().filter(known).cloned().collect();
                by_machine_room(&known, members, index)
            }
            Rule::Nearby(nearby) => nearby.allocate(division)?,
            Rule::Custom(name, divide) => custom(name, divide, division)?,
        })
    }
}

impl fmt::Debug for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Allocation({})", self.name())
    }
}

fn averagely(queues: &[MessageQueue], members: usize, index: usize) -> Vec<MessageQueue> {
    let (each, rest) = (queues.len() / members, queues.len() % members);
    let start = index * each + index.min(rest);
    let size = each + usize::from(index < rest);
    queues[start..start + size].to_vec()
}

fn by_circle(queues: &[MessageQueue], members: usize, index: usize) -> Vec<MessageQueue> {
    queues
        .iter()
        .skip(index)
        .step_by(members)
        .cloned()
        .collect()
}

fn by_machine_room(queues: &[MessageQueue], members: usize, index: usize) -> Vec<MessageQueue> {
    let (each, rest) = (queues.len() / members, queues.len() % members);
    let mut ours = queues[index * each..(index + 1) * each].to_vec();
    if index < rest {
        ours.push(queues[index + members * each].clone());
    }
    ours
}

/// The room in `room@name`. Java splits at each `@` and drops empty parts at the end.
fn room_of_broker(name: &str) -> Option<&str> {
    let (room, rest) = name.trim_end_matches('@').split_once('@')?;
    (!rest.contains('@')).then_some(room)
}

impl Nearby {
    fn allocate(&self, division: &Division) -> Result<Vec<MessageQueue>> {
        let mut rooms_of_queues = Vec::new();
        for queue in division.queues() {
            let room = caught(|| (self.room_of_queue)(queue)).map_err(|_| panicked(&self.name))?;
            rooms_of_queues.push(self.named(room, queue)?);
        }
        let mut rooms_of_members = Vec::new();
        for id in division.members() {
            let room = caught(|| (self.room_of_member)(id)).map_err(|_| panicked(&self.name))?;
            rooms_of_members.push(self.named(room, id)?);
        }
        let index = division.index().expect("allocate checked it");
        let own_room = &rooms_of_members[index];
        let queues_in = |room: &str| -> Vec<MessageQueue> {
            let both = division.queues().iter().zip(&rooms_of_queues);
            both.filter(|(_, r)| *r == room)
                .map(|(q, _)| q.clone())
                .collect()
        };
        let both = division.members().iter().zip(&rooms_of_members);
        let neighbours = both.filter(|(_, room)| *room == own_room);
        let neighbours = neighbours.map(|(id, _)| id.clone()).collect();
        let near = division.part(queues_in(own_room), neighbours);
        let mut ours = self.inner.allocate(&near)?;
        let inhabited: HashSet<&String> = rooms_of_members.iter().collect();
        let rooms: BTreeSet<&String> = rooms_of_queues.iter().collect();
        for room in rooms.into_iter().filter(|room| !inhabited.contains(room)) {
            let all = division.part(queues_in(room), division.members().to_vec());
            ours.extend(self.inner.allocate(&all)?);
        }
        Ok(ours)
    }

    fn named(&self, room: String, of: impl fmt::Display) -> Result<String> {
        if room.is_empty() {
            let text = format!("{}: the room of {of} has no name", self.name);
            return Err(Error::new(ErrorKind::Config, text));
        }
        Ok(room)
    }
}

fn custom(name: &str, divide: &Divide, division: &Division) -> Result<Vec<MessageQueue>> {
    let ours = caught(|| divide(division)).map_err(|_| panicked(name))?;
    let known: HashSet<&MessageQueue> = division.queues().iter().collect();
    if let Some(foreign) = ours.iter().find(|queue| !known.contains(queue)) {
        let text = format!("{name}: the topic has no queue {foreign}");
        return Err(Error::new(ErrorKind::Config, text));
    }
    let mut seen = HashSet::new();
    let once = ours.into_iter().filter(|queue| seen.insert(queue.clone()));
    Ok(once.collect())
}

fn panicked(name: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("{name}: the allocation panicked"),
    )
}

#[cfg(test)]
mod tests;
