use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::SystemTime;

use super::calls::Admin;
use super::dead_letters::{self, DeadLetters};
use super::members;
use super::modes;
use super::progress;
use super::reports::{GroupMembers, GroupProgress, ResetTo};
use super::reset;
use crate::error::Result;
use crate::message::{LONGEST_GROUP, MessageQueue, check_name};
use crate::protocol::consumer::assignment::RequestMode;

/// A consumer group, as an operator sees it: members, progress, resets, dead letters. Created by
/// [`Admin::group`]; no member of the group is needed in this process.
///
/// Each call has one deadline, that of its [`Admin`]. Calls that only look can be repeated without harm.
///
/// # Errors
/// The kinds of every method: those of [`Admin`], and [`Invalid`](crate::ErrorKind::Invalid) for a name that
/// no group can have.
///
/// ```
/// use rocketmq_blocking::client::ResetTo;
/// use rocketmq_blocking::{Message, Producer};
/// # use rocketmq_blocking::{PullConsumer, StartFrom};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
/// # let name_server = cluster.name_server();
/// let producer = Producer::builder("orders").name_server(name_server).start()?;
/// # let _ = producer.send(&Message::new("Orders", "one book"))?;
/// # let consumer = PullConsumer::builder("billing").name_server(cluster.name_server());
/// # let consumer = consumer.subscribe("Orders", "*").start_from(StartFrom::First).start()?;
/// # consumer.messages().until_caught_up().for_each(|message| assert!(message.unwrap().done()));
/// # consumer.commit()?;
/// let billing = producer.admin().group("billing");
/// println!("{}", billing.members()?);
/// for topic in billing.topics()? {
///     println!("{}", billing.progress(&topic)?);
/// }
/// // Everything again.
/// # consumer.shutdown();
/// billing.reset("Orders", ResetTo::Start)?;
/// # assert_eq!(billing.progress("Orders")?.lag(), 1);
/// // Dead letters, once their cause is gone, from the oldest on.
/// for dead in billing.dead_letters(..)? {
///     let receipt = producer.send(&Message::from_dead_letter(&dead?)?)?;
///     println!("{receipt}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "DefaultMQAdminExt")]
pub struct GroupAdmin {
    admin: Admin,
    /// Without its namespace.
    name: Arc<str>,
}

impl Admin {
    /// A consumer group: its members, progress and dead letters, and resets of its offsets.
    pub fn group(&self, group: impl Into<Arc<str>>) -> GroupAdmin {
        GroupAdmin {
            admin: self.clone(),
            name: group.into(),
        }
    }
}

impl GroupAdmin {
    /// Its name, without its namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The members and the subscriptions of the group, as brokers know them from heartbeats. Empty if no
    /// member is connected.
    ///
    /// All brokers of the group's retry topic are asked. A member knows the brokers of its own topics only; if
    /// some of them fail and others answer, the failure is logged and their members may be missing.
    ///
    /// # Errors
    /// Those of [`GroupAdmin`]; [`NoRoute`](crate::ErrorKind::NoRoute) if the group never had a member.
    #[doc(alias = "examineConsumerConnectionInfo")]
    pub fn members(&self) -> Result<GroupMembers> {
        members::members(&self.admin, &self.on_wire()?)
    }

    /// The topics of which the group has committed offsets, sorted; its retry topic `%RETRY%` is one of them.
    ///
    /// Brokers 4.x, which do not know this request, are asked for the group's progress instead. While the group
    /// has members, they tell only of topics that these subscribe.
    ///
    /// # Errors
    /// Those of [`members`](GroupAdmin::members).
    #[doc(alias = "queryTopicsByConsumer")]
    pub fn topics(&self) -> Result<Vec<String>> {
        members::topics(&self.admin, &self.on_wire()?)
    }

    /// The committed offset, the beginning and the end of each readable queue of a topic, asked of the queues'
    /// masters all at once. For messages that wait for their retry, ask about `%RETRY%` and the group.
    ///
    /// Consumers of this crate commit within a second. Java's commit every 5 s: the group may be further. Of
    /// popped topics the offset is behind the messages that were handed out, acked or not.
    ///
    /// # Errors
    /// Those of [`GroupAdmin`]. It is complete, or fails: the error is that of the first queue that failed.
    #[doc(alias = "examineConsumeStats")]
    pub fn progress(&self, topic: &str) -> Result<GroupProgress> {
        progress::progress(&self.admin, &self.on_wire()?, topic)
    }

    /// Lets the group go on elsewhere, in all queues of a topic, forwards or backwards. Returns the offset of
    /// each queue.
    ///
    /// | brokers | members | what happens |
    /// |---|---|---|
    /// | from 5.2 on | any | the broker commits the offset, ignores other commits until the next request for messages, and answers that one with the offset |
    /// | older | connected | the broker notifies them; it does not wait until they have done it |
    /// | older | none | the offset is committed from here |
    /// | any, of a static topic | connected | refused: brokers reset their own queues, not logical ones |
    /// | any, of a static topic | none | the offset is committed from here |
    ///
    /// Messages that members have at that time are still handled. A member of this crate asks anew within 15 s,
    /// which is how long a broker may hold its request. Broadcasting consumers keep their own offsets: they are
    /// reset by older brokers only.
    ///
    /// # Errors
    /// Those of [`GroupAdmin`]; [`Broker`](crate::ErrorKind::Broker) with code 26 for a group that does not
    /// exist. All brokers are asked, and the error is that of the first one that failed: the queues of the
    /// others are reset. The call can be repeated.
    #[doc(alias = "resetOffsetByTimestamp")]
    #[doc(alias = "resetOffsetByTimestampOld")]
    #[doc(alias = "resetOffsetNew")]
    pub fn reset(&self, topic: &str, to: ResetTo) -> Result<BTreeMap<MessageQueue, i64>> {
        reset::reset(&self.admin, &self.on_wire()?, topic, to)
    }

    /// Like [`reset`](GroupAdmin::reset), for one queue, to an offset between its beginning and its end.
    ///
    /// # Errors
    /// Those of [`GroupAdmin`]; [`Invalid`](crate::ErrorKind::Invalid) for an offset that is not in the queue;
    /// [`Broker`](crate::ErrorKind::Broker) with code 26 for a group that does not exist, and without a code if
    /// the broker is older than 5.2 and members are connected: it can reset whole topics only. Stop the members,
    /// or use [`PullConsumer::seek`](crate::PullConsumer::seek) in one of them.
    #[doc(alias = "resetOffsetByQueueId")]
    #[doc(alias = "updateConsumeOffset")]
    pub fn reset_queue(&self, queue: &MessageQueue, offset: i64) -> Result<()> {
        reset::reset_queue(&self.admin, &self.on_wire()?, queue, offset)
    }

    /// The group's dead letters that were stored within these times: the messages of its topic `%DLQ%`, broker
    /// by broker, from the oldest on. They are asked for as the iterator goes, up to those that are stored now.
    ///
    /// A dead letter stays where it is until the broker deletes it for its age; nothing counts as consumed here.
    /// [`Message::from_dead_letter`](crate::Message::from_dead_letter) makes a message of it that can be sent
    /// again. Its property `RETRY_TOPIC` is the original topic.
    ///
    /// # Errors
    /// Those of [`GroupAdmin`]; there is no dead letter and no error if the topic does not exist.
    /// [`NoRoute`](crate::ErrorKind::NoRoute) if the topic is for writing only, as brokers before 4.9.2 create it:
    /// `create_topic("%DLQ%group", "%DLQ%group", 1)` of [`Admin::create_topic`] makes it readable.
    pub fn dead_letters(&self, stored: impl RangeBounds<SystemTime>) -> Result<DeadLetters> {
        dead_letters::open(&self.admin, &self.on_wire()?, &stored)
    }

    /// Has the members pop the messages of a topic from their next start on, if they ask their brokers
    /// ([`broker_assignment`](crate::consumer::PushConsumerBuilder::broker_assignment)). Each member pops its
    /// own queues and those of `share` other members; with 0 all members pop all queues.
    ///
    /// `Ok` means that at least one broker has it; of the others is logged why not.
    ///
    /// # Errors
    /// Those of [`GroupAdmin`]; the last broker's error if all failed.
    #[doc(alias = "setMessageRequestMode")]
    pub fn set_pop(&self, topic: &str, share: u16) -> Result<()> {
        modes::set(
            &self.admin,
            &self.on_wire()?,
            topic,
            RequestMode::Pop,
            share,
        )
    }

    /// Takes [`set_pop`](GroupAdmin::set_pop) back: the topic is pulled from the members' next start on.
    ///
    /// # Errors
    /// Those of [`set_pop`](GroupAdmin::set_pop).
    #[doc(alias = "setMessageRequestMode")]
    pub fn set_pull(&self, topic: &str) -> Result<()> {
        modes::set(&self.admin, &self.on_wire()?, topic, RequestMode::Pull, 0)
    }

    /// The name on the wire, if a group can have it.
    fn on_wire(&self) -> Result<Arc<str>> {
        let name = self.admin.on_wire(&self.name);
        check_name("group", &name, LONGEST_GROUP)?;
        Ok(name)
    }
}

impl fmt::Debug for GroupAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupAdmin")
            .field("name", &self.name)
            .field("admin", &self.admin)
            .finish()
    }
}
