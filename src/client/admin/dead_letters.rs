use std::collections::VecDeque;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::calls::Admin;
use super::questions::{millis, readable};
use crate::client::api::queue::{self as queues, Page};
use crate::error::{Error, Result};
use crate::message::name::DLQ_PREFIX;
use crate::message::{MessageQueue, MessageView};
use crate::protocol::consumer::pull::{PullRequest, flag};
use crate::protocol::consumer::subscription::TAG;

/// The most messages of one request; brokers send no more by default.
const PAGE: i32 = 32;

/// The dead letters of a group, from [`GroupAdmin::dead_letters`](super::GroupAdmin::dead_letters). Each request
/// for more of them has the deadline of the [`Admin`].
///
/// A message that cannot be read is an error of kind [`Protocol`](crate::ErrorKind::Protocol), and the next one
/// follows. After any other error the iterator is at its end.
#[must_use = "nothing is asked for until it is iterated"]
pub struct DeadLetters {
    admin: Admin,
    group: Arc<str>,
    /// The queues that are not read to their ends.
    rest: VecDeque<Rest>,
    read: VecDeque<Result<MessageView>>,
    /// The first and the last store time that are wanted.
    since: i64,
    until: i64,
}

struct Rest {
    /// As users name it.
    queue: MessageQueue,
    next: i64,
    end: i64,
}

/// Finds the first and the last dead letter of each queue.
pub(super) fn open(
    admin: &Admin,
    group: &Arc<str>,
    stored: &impl RangeBounds<SystemTime>,
) -> Result<DeadLetters> {
    let deadline = admin.begin()?;
    let topic: Arc<str> = format!("{DLQ_PREFIX}{group}").into();
    let shown = admin.names().for_users(&topic);
    let queues = match admin.inner().routes.ask(&topic, deadline) {
        Ok(Some(route)) => readable(&shown, &route)?,
        Ok(None) => Vec::new(),
        Err(error) => return Err(error.on_topic(&shown)),
    };
    let since = match stored.start_bound() {
        Bound::Unbounded => 0,
        Bound::Included(time) => millis(*time),
        Bound::Excluded(time) => millis(*time).saturating_add(1),
    };
    let until = match stored.end_bound() {
        Bound::Unbounded => i64::MAX,
        Bound::Included(time) => millis(*time),
        Bound::Excluded(time) => millis(*time).saturating_sub(1),
    };
    let mut rest = VecDeque::new();
    for queue in queues {
        let next = match since {
            ..=0 => admin.min_offset(&queue)?,
            // Of several messages of one time a broker 4.x finds any, and without a later one the last. So the
            // search is for the time before.
            _ => admin.search_offset(
                &queue,
                UNIX_EPOCH + Duration::from_millis(since.unsigned_abs() - 1),
            )?,
        };
        let end = admin.max_offset(&queue)?;
        rest.push_back(Rest { queue, next, end });
    }
    Ok(DeadLetters {
        admin: admin.clone(),
        group: group.clone(),
        rest,
        read: VecDeque::new(),
        since,
        until,
    })
}

impl Iterator for DeadLetters {
    type Item = Result<MessageView>;

    fn next(&mut self) -> Option<Result<MessageView>> {
        loop {
            if let Some(message) = self.read.pop_front() {
                return Some(message);
            }
            let rest = self.rest.front()?;
            if rest.next >= rest.end {
                self.rest.pop_front();
            } else if let Err(error) = self.read_page() {
                self.rest.clear();
                return Some(Err(error));
            }
        }
    }
}

impl DeadLetters {
    /// Reads on in the first queue.
    fn read_page(&mut self) -> Result<()> {
        let Some(rest) = self.rest.front_mut() else {
            return Ok(());
        };
        let page = self
            .admin
            .ask_about(&rest.queue, |admin, master, deadline| {
                let request = PullRequest {
                    consumer_group: (&*self.group).into(),
                    topic: admin.on_wire(rest.queue.topic()).to_string().into(),
                    queue_id: rest.queue.id(),
                    queue_offset: rest.next,
                    max_messages: PAGE,
                    // Neither a commit nor a wait, and whatever the group subscribes.
                    sys_flag: flag::SUBSCRIPTION,
                    commit_offset: 0,
                    suspend_millis: 0,
                    subscription: Some("*".into()),
                    sub_version: 0,
                    expression_type: Some(TAG.into()),
                    max_bytes: None,
                    broker_name: Some(rest.queue.broker().into()),
                };
                queues::pull(admin.remoting(), master, &request, deadline)
            });
        let Page { messages, next } = page?;
        let end = rest.end;
        rest.next = match next > rest.next {
            true => next,
            // It has nothing at this offset, and knows of nothing behind it.
            false => end,
        };
        for message in messages {
            match message {
                Ok(message) if message.queue_offset() >= end => rest.next = end,
                Ok(message) if message.store_timestamp() > self.until => rest.next = end,
                Ok(message) if message.store_timestamp() < self.since => {}
                Ok(message) => {
                    let message = self.admin.named_for_users(message);
                    self.read.push_back(Ok(message.of_queue(&rest.queue)));
                }
                Err(error) => self.read.push_back(Err(Error::from(error))),
            }
        }
        Ok(())
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}
