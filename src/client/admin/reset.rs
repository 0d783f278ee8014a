//! Resets of a group's offsets.
//!
//! One request (222) has two meanings. Brokers from 5.2 on reset the group themselves. Older ones notify its
//! members, refuse if none is connected, and reset all queues of the topic whatever queue the request names. Both
//! mean the broker's own queues: offsets of logical ones are committed instead, while no member is connected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::calls::Admin;
use super::questions::{millis, readable};
use super::reports::ResetTo;
use crate::client::api::{group as groups, queue as queues};
use crate::client::routes::PublishInfo;
use crate::error::{Error, ErrorKind, ResponseCode, Result};
use crate::message::MessageQueue;
use crate::protocol::consumer::asked::ResetOffsets;
use crate::protocol::consumer::offset::CommitOffset;
use crate::protocol::route::is_logical;
use crate::transport::Deadline;

/// Version 5.2.0 (Java's number), the first one that resets single queues.
const VERSION_5_2: i32 = 453;

type Offsets = BTreeMap<MessageQueue, i64>;

pub(super) fn reset(admin: &Admin, group: &str, topic: &str, to: ResetTo) -> Result<Offsets> {
    let deadline = admin.begin()?;
    let on_wire = admin.on_wire(topic);
    let route = admin.route(&on_wire, deadline)?;
    let shown = admin.names().for_users(&on_wire);
    let info = PublishInfo::new(&shown, &route);
    let failed = |error: Error| error.on_topic(&shown);
    let mut by_master: BTreeMap<Arc<str>, Vec<MessageQueue>> = BTreeMap::new();
    for queue in readable(&shown, &route)? {
        let master = info.master_of(info.host(&queue)).map_err(failed)?;
        by_master
            .entry(admin.address(master))
            .or_default()
            .push(queue);
    }
    let (mut offsets, mut first_error) = (Offsets::new(), None);
    let count = by_master.len();
    for (i, (master, queues)) in by_master.into_iter().enumerate() {
        // Each has an even share of the remaining time.
        let now = Instant::now();
        let left = u32::try_from(count - i).unwrap_or(u32::MAX);
        let deadline = deadline.capped(now, deadline.remaining(now) / left);
        let resetting = Resetting {
            admin,
            group,
            topic: &on_wire,
            master: &master,
            deadline,
        };
        match resetting.all(&queues, to) {
            Ok(reset) => offsets.extend(reset),
            Err(error) => drop(first_error.get_or_insert(error)),
        }
    }
    match first_error {
        Some(error) => Err(failed(error)),
        None => Ok(offsets),
    }
}

pub(super) fn reset_queue(
    admin: &Admin,
    group: &str,
    queue: &MessageQueue,
    offset: i64,
) -> Result<()> {
    admin.ask_about(queue, |admin, master, deadline| {
        let topic = admin.on_wire(queue.topic());
        let resetting = Resetting {
            admin,
            group,
            topic: &topic,
            master,
            deadline,
        };
        resetting.one(queue, offset)
    })
}

/// A reset of the queues of one broker.
struct Resetting<'a> {
    admin: &'a Admin,
    group: &'a str,
    topic: &'a str,
    master: &'a Arc<str>,
    deadline: Deadline,
}

impl Resetting<'_> {
    fn all(&self, queues: &[MessageQueue], to: ResetTo) -> Result<Offsets> {
        if queues.iter().any(|queue| is_logical(queue.broker())) {
            self.check_no_member()?;
            return self.commit_all(queues, to);
        }
        let timestamp = match to {
            ResetTo::Start => 0,
            ResetTo::End => -1,
            ResetTo::Time(time) => millis(time),
        };
        let header = ResetOffsets {
            is_force: true,
            ..self.header(timestamp, -1, -1)
        };
        let offsets = match self.ask(&header) {
            Err(error) if self.is_for_want_of_members(&error)? => {
                return self.commit_all(queues, to);
            }
            // Members are connected, and the group has no offset in some queue: then an old broker does nothing.
            Err(error) if error.response_code() == Some(ResponseCode::SYSTEM_ERROR) => {
                self.commit_all(queues, to)?;
                self.ask(&header)?
            }
            answer => answer?,
        };
        let offsets = offsets.into_iter();
        Ok(offsets
            .map(|(queue, offset)| (self.shown(&queue), offset))
            .collect())
    }

    fn commit_all(&self, queues: &[MessageQueue], to: ResetTo) -> Result<Offsets> {
        let commit = |queue: &MessageQueue| {
            let offset = self.offset_of(queue, to)?;
            self.commit(queue, offset)?;
            Ok((queue.clone(), offset))
        };
        queues.iter().map(commit).collect()
    }

    fn one(&self, queue: &MessageQueue, offset: i64) -> Result<()> {
        let (begin, end) = (
            self.offset_of(queue, ResetTo::Start)?,
            self.offset_of(queue, ResetTo::End)?,
        );
        if !(begin..=end).contains(&offset) {
            let text = format!("{queue} has the offsets from {begin} to {end}, not {offset}");
            return Err(Error::invalid(text));
        }
        if is_logical(queue.broker()) {
            self.check_no_member()?;
            return self.commit(queue, offset);
        }
        let too_old = || {
            let text = "the broker can reset a single queue only while no member of the group is \
                        connected: it is older than 5.2, or its server-side reset is off";
            Error::new(ErrorKind::Broker, text).at(self.master)
        };
        let connected = self.connected()?;
        if connected.is_some_and(|version| version < VERSION_5_2) {
            return Err(too_old());
        }
        // To a broker that does not read the queue, this means: to the end of each queue, but never forwards. It
        // commits nothing then; members that it notifies read again from what is committed.
        let header = self.header(-1, queue.id(), offset);
        match self.ask(&header) {
            Ok(table) => {
                let table: Offsets = table
                    .into_iter()
                    .map(|(q, at)| (self.shown(&q), at))
                    .collect();
                match table.len() == 1 && table.get(&self.shown(queue)) == Some(&offset) {
                    true => Ok(()),
                    false => Err(too_old()),
                }
            }
            Err(error) if self.is_for_want_of_members(&error)? => self.commit(queue, offset),
            Err(error) => Err(error),
        }
    }

    fn header(&self, timestamp: i64, queue_id: i32, offset: i64) -> ResetOffsets {
        ResetOffsets {
            topic: self.topic.to_owned(),
            group: self.group.to_owned(),
            timestamp,
            is_force: false,
            queue_id: Some(queue_id),
            offset: Some(offset),
        }
    }

    fn ask(&self, header: &ResetOffsets) -> Result<Offsets> {
        groups::reset(self.admin.remoting(), self.master, header, self.deadline)
    }

    /// The broker's version, if members of the group are connected to it.
    fn connected(&self) -> Result<Option<i32>> {
        let remoting = self.admin.remoting();
        let connected = groups::connections(remoting, self.master, self.group, self.deadline)?;
        Ok(connected.map(|(_, version)| version))
    }

    /// A member would overwrite what is committed.
    fn check_no_member(&self) -> Result<()> {
        if self.connected()?.is_none() {
            return Ok(());
        }
        let text = "the queues of a static topic can be reset only while no member of the group is connected";
        Err(Error::new(ErrorKind::Broker, text).at(self.master))
    }

    /// Whether an old broker refused because it had no member to notify. It says so with 206, or with 1 if the
    /// group has no offset in some queue.
    fn is_for_want_of_members(&self, error: &Error) -> Result<bool> {
        match error.response_code() {
            Some(ResponseCode::CONSUMER_NOT_ONLINE) => Ok(true),
            Some(ResponseCode::SYSTEM_ERROR) => Ok(self.connected()?.is_none()),
            _ => Ok(false),
        }
    }

    fn offset_of(&self, queue: &MessageQueue, to: ResetTo) -> Result<i64> {
        let (remoting, master, deadline) = (self.admin.remoting(), self.master, self.deadline);
        let time = match to {
            ResetTo::Time(time) => Some(millis(time)),
            ResetTo::Start | ResetTo::End => None,
        };
        let query = self.admin.queue_query(queue, time);
        match to {
            ResetTo::Start => queues::min_offset(remoting, master, &query, deadline),
            ResetTo::End => queues::max_offset(remoting, master, &query, deadline),
            ResetTo::Time(_) => queues::search_offset(remoting, master, &query, deadline),
        }
    }

    fn commit(&self, queue: &MessageQueue, offset: i64) -> Result<()> {
        let commit = CommitOffset {
            consumer_group: self.group.to_owned(),
            topic: self.topic.to_owned(),
            queue_id: queue.id(),
            commit_offset: offset,
            broker_name: Some(queue.broker().to_owned()),
        };
        queues::commit(self.admin.remoting(), self.master, &commit, self.deadline)
    }

    /// A queue of an answer, with the name of its topic that users have.
    fn shown(&self, queue: &MessageQueue) -> MessageQueue {
        let topic = self.admin.names().for_users(&queue.topic().into());
        MessageQueue::new(topic, queue.shared_broker().clone(), queue.id())
    }
}
