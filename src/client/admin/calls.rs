use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::questions::{ask_all, brokers, millis, no_master, readable};
use crate::client::api::{broker, queue as queues, topic as topics};
use crate::client::config::Names;
use crate::client::core::{Client, ClientCore};
use crate::client::routes::PublishInfo;
use crate::error::{Error, ErrorKind, ResponseCode, Result};
use crate::message::{LONGEST_TOPIC, MessageQueue, MessageView, check_name, name};
use crate::protocol::admin::{CreateTopic, QueryMessage, QueueQuery, RecallMessage, ViewMessage};
use crate::protocol::consumer::offset::QueryOffset;
use crate::protocol::id::OffsetMessageId;
use crate::protocol::recall::RecallHandle;
use crate::protocol::route::{BrokerData, MASTER, TopicRoute, perm};
use crate::transport::{Deadline, Remoting};

/// Topics, offsets, stored messages and consumer groups: administrative requests to brokers. Created by
/// [`Client::admin`] and [`Producer::admin`](crate::Producer::admin); cheap to clone.
///
/// It keeps a handle of its client, which is not closed by dropping the others while this one lives.
///
/// Every call has one deadline: the client's `api_timeout` (3 s unless set), or
/// [`timeout`](Admin::timeout). All calls can be repeated without harm.
///
/// # Errors
/// The kinds of every method: [`Invalid`](ErrorKind::Invalid) argument,
/// [`Closed`](ErrorKind::Closed) client, [`NoNameServer`](ErrorKind::NoNameServer) or
/// [`NameServer`](ErrorKind::NameServer) if none answers, [`NoRoute`](ErrorKind::NoRoute) for a
/// topic that does not exist, [`NoBroker`](ErrorKind::NoBroker) if a broker has no address in the
/// route, [`Dns`](ErrorKind::Dns), [`Connect`](ErrorKind::Connect),
/// [`Timeout`](ErrorKind::Timeout), [`Disconnected`](ErrorKind::Disconnected),
/// [`Protocol`](ErrorKind::Protocol), and [`Broker`](ErrorKind::Broker) with its code.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use rocketmq_blocking::{Message, Producer};
/// # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
/// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
/// let admin = producer.admin();
/// admin.create_topic("DefaultCluster", "Orders", 8)?;
/// let receipt = producer.send(&Message::new("Orders", "hello").key("OrderID188"))?;
/// let stored = admin.view_message("Orders", receipt.offset_message_id())?;
/// println!("{stored:?}");
/// for message in admin.query_by_key("Orders", "OrderID188", 32, ..)? {
///     println!("{message:?}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "MQAdmin")]
pub struct Admin {
    client: Client,
    timeout: Duration,
}

impl Client {
    /// Topics, offsets, stored messages and consumer groups.
    pub fn admin(&self) -> Admin {
        Admin {
            client: self.clone(),
            timeout: self.inner().config.api_timeout,
        }
    }
}

impl Admin {
    /// The whole time of each call, instead of the client's `api_timeout`.
    #[must_use = "it returns the setting, and changes nothing"]
    pub fn timeout(mut self, timeout: Duration) -> Admin {
        self.timeout = timeout;
        self
    }

    /// Creates a topic with this many queues to read and write on each master that `key` selects: a
    /// cluster's name, or a topic whose brokers to use. An existing topic gets this number of
    /// queues.
    ///
    /// `Ok` means that at least one broker has it; of the others is logged why not. Name servers
    /// know of it a moment later.
    ///
    /// # Errors
    /// The kinds of [`Admin`]; the last broker's error if all failed.
    #[doc(alias = "createTopic")]
    pub fn create_topic(&self, key: &str, topic: &str, queues: u16) -> Result<()> {
        let topic = self.on_wire(topic);
        check_name("topic", &topic, LONGEST_TOPIC)?;
        if queues == 0 {
            return Err(Error::invalid("a topic needs at least one queue"));
        }
        let deadline = self.begin()?;
        let header = CreateTopic {
            topic: topic.to_string(),
            default_topic: key.to_owned(),
            read_queue_nums: queues.into(),
            write_queue_nums: queues.into(),
            perm: perm::READ | perm::WRITE,
            topic_sys_flag: 0,
            order: false,
        };
        let brokers = self.brokers(key, deadline, |data| data.broker_addrs.get(&MASTER))?;
        let made = ask_all("create topic", &brokers, deadline, |broker, deadline| {
            topics::create(self.remoting(), broker, &header, deadline)
        });
        made.map(drop)?;
        // A producer may have used the default topic's route so far.
        self.inner().refresh_soon(&topic);
        Ok(())
    }

    /// The queues to which messages of a topic can be written, sorted by broker name and number, as
    /// a name server knows them now.
    ///
    /// # Errors
    /// Those of [`Admin`].
    #[doc(alias = "fetchPublishMessageQueues")]
    pub fn publish_queues(&self, topic: &str) -> Result<Vec<MessageQueue>> {
        let topic = self.on_wire(topic);
        let route = self.route(&topic, self.begin()?)?;
        let topic = self.names().for_users(&topic);
        let info = PublishInfo::new(&topic, &route);
        info.check_writable()
            .map_err(|error| error.on_topic(&topic))?;
        Ok(info.queues)
    }

    /// The queues from which messages of a topic can be read, sorted by broker name and number, as
    /// a name server knows them now.
    ///
    /// # Errors
    /// Those of [`Admin`].
    #[doc(alias = "fetchSubscribeMessageQueues")]
    pub fn subscribe_queues(&self, topic: &str) -> Result<Vec<MessageQueue>> {
        let topic = self.on_wire(topic);
        let route = self.route(&topic, self.begin()?)?;
        let topic = self.names().for_users(&topic);
        readable(&topic, &route)
    }

    /// The message of an [offset id](crate::SendReceipt::offset_message_id), from the broker that
    /// the id names.
    ///
    /// # Errors
    /// The kinds of [`Admin`]; [`Broker`](ErrorKind::Broker) with code 1 if there is no such
    /// message.
    #[doc(alias = "viewMessage")]
    pub fn view_message(&self, topic: &str, offset_message_id: &str) -> Result<MessageView> {
        let id = OffsetMessageId::decode(offset_message_id)
            .map_err(|error| Error::invalid(error.to_string()).caused_by(error))?;
        let deadline = self.begin()?;
        let header = ViewMessage {
            topic: Some(self.on_wire(topic).to_string()),
            offset: id.commit_log_offset,
        };
        let address = self.address(&id.address.to_string());
        let view = broker::view_message(self.remoting(), &address, &header, deadline)?;
        Ok(self.named_for_users(view))
    }

    /// Messages of a topic that have this business key, stored within these times; oldest first, at
    /// most this many from each broker. Empty if there are none.
    ///
    /// Brokers write their index a moment after they answer the send. If a broker fails and another
    /// one answers, the failure is only logged.
    ///
    /// # Errors
    /// Those of [`Admin`].
    #[doc(alias = "queryMessage")]
    pub fn query_by_key(
        &self,
        topic: &str,
        key: &str,
        most: u16,
        stored: impl RangeBounds<SystemTime>,
    ) -> Result<Vec<MessageView>> {
        let mut found = self.query(topic, key, most, &stored, false)?;
        let topic = self.names().for_users(&topic.into());
        found.retain(|m| *m.topic() == *topic && m.keys().any(|k| k == key));
        Ok(found)
    }

    /// Messages of a topic that have this unique key (a receipt's
    /// [`message_id`](crate::SendReceipt::message_id)), stored within these times; oldest first.
    /// More than one if a retry stored the message twice; empty if there is none.
    ///
    /// # Errors
    /// Those of [`Admin`].
    #[doc(alias = "queryMessageByUniqKey")]
    pub fn query_by_unique_key(
        &self,
        topic: &str,
        unique_key: &str,
        stored: impl RangeBounds<SystemTime>,
    ) -> Result<Vec<MessageView>> {
        // Brokers put in their own number.
        const MOST: u16 = 32;
        let mut found = self.query(topic, unique_key, MOST, &stored, true)?;
        found.retain(|message| message.unique_key() == Some(unique_key));
        Ok(found)
    }

    /// The offset in a queue of the first message that was stored at this time or later. Without
    /// one, brokers 5.x answer with the end of the queue, and 4.x with its last message.
    ///
    /// # Errors
    /// Those of [`Admin`].
    #[doc(alias = "searchOffset")]
    pub fn search_offset(&self, queue: &MessageQueue, time: SystemTime) -> Result<i64> {
        let query = self.queue_query(queue, Some(millis(time)));
        self.ask_about(queue, |admin, broker, deadline| {
            queues::search_offset(admin.remoting(), broker, &query, deadline)
        })
    }

    /// The end of a queue: the offset that its next message will have.
    ///
    /// # Errors
    /// Those of [`Admin`].
    #[doc(alias = "maxOffset")]
    pub fn max_offset(&self, queue: &MessageQueue) -> Result<i64> {
        let query = self.queue_query(queue, None);
        self.ask_about(queue, |admin, broker, deadline| {
            queues::max_offset(admin.remoting(), broker, &query, deadline)
        })
    }

    /// The beginning of a queue: the offset of the oldest message that the broker still has.
    ///
    /// # Errors
    /// Those of [`Admin`].
    #[doc(alias = "minOffset")]
    pub fn min_offset(&self, queue: &MessageQueue) -> Result<i64> {
        let query = self.queue_query(queue, None);
        self.ask_about(queue, |admin, broker, deadline| {
            queues::min_offset(admin.remoting(), broker, &query, deadline)
        })
    }

    /// The offset of a consumer group in a queue: that of the first message that it has not consumed.
    /// `None` if the group has none there; brokers 4.x may say 0 instead.
    ///
    /// # Errors
    /// Those of [`Admin`].
    #[doc(alias = "fetchConsumeOffset")]
    #[doc(alias = "committed")]
    pub fn committed_offset(&self, group: &str, queue: &MessageQueue) -> Result<Option<i64>> {
        let query = self.offset_query(&self.on_wire(group), queue);
        self.ask_about(queue, |admin, broker, deadline| {
            queues::committed_offset(admin.remoting(), broker, &query, deadline)
        })
    }

    /// When the oldest message of a queue was stored; `None` if it has none.
    ///
    /// # Errors
    /// Those of [`Admin`].
    #[doc(alias = "earliestMsgStoreTime")]
    pub fn earliest_store_time(&self, queue: &MessageQueue) -> Result<Option<SystemTime>> {
        let query = self.queue_query(queue, None);
        let millis = self.ask_about(queue, |admin, broker, deadline| {
            queues::earliest_store_time(admin.remoting(), broker, &query, deadline)
        })?;
        let since = u64::try_from(millis).ok().map(Duration::from_millis);
        Ok(since.and_then(|since| UNIX_EPOCH.checked_add(since)))
    }

    /// Takes a timer message back; returns its unique key.
    pub(crate) fn recall(&self, group: &str, topic: &str, handle: &str) -> Result<String> {
        let topic = &*self.on_wire(topic);
        check_name("topic", topic, LONGEST_TOPIC)?;
        if topic.starts_with(name::RETRY_PREFIX) || topic.starts_with(name::DLQ_PREFIX) {
            let text = "messages of retry and dead-letter topics cannot be recalled";
            return Err(Error::invalid(text));
        }
        let read = RecallHandle::decode(handle)
            .map_err(|error| Error::invalid(error.to_string()).caused_by(error))?;
        if read.topic != topic {
            let text = format!("the recall handle is of topic {}, not {topic}", read.topic);
            return Err(Error::invalid(text));
        }
        let deadline = self.begin()?;
        let header = RecallMessage {
            producer_group: Some(group.to_owned()),
            topic: topic.to_owned(),
            recall_handle: handle.to_owned(),
            broker_name: Some(read.broker.clone()),
        };
        let known = self.inner().routes.known_master(topic, &read.broker);
        let address = match known {
            Some(address) => address,
            None => {
                // Behind a proxy the route names other brokers; any of them forwards the request.
                let route = self.route(topic, deadline)?;
                let datas = route.broker_datas.iter();
                let masters = datas.filter_map(|d| Some((d, d.broker_addrs.get(&MASTER)?)));
                let best = masters.min_by_key(|(data, _)| data.broker_name != read.broker);
                let (_, address) = best.ok_or_else(|| no_master(&read.broker, &route))?;
                address.as_str().into()
            }
        };
        broker::recall(self.remoting(), &address, &header, deadline)
            .map_err(|error| error.on_topic(&self.names().for_users(&topic.into())))
    }

    fn query(
        &self,
        topic: &str,
        key: &str,
        most: u16,
        stored: &impl RangeBounds<SystemTime>,
        unique: bool,
    ) -> Result<Vec<MessageView>> {
        if key.is_empty() {
            return Err(Error::invalid("the key is empty"));
        }
        let topic = &*self.on_wire(topic);
        let deadline = self.begin()?;
        let begin_timestamp = match stored.start_bound() {
            Bound::Unbounded => 0,
            Bound::Included(time) => millis(*time),
            Bound::Excluded(time) => millis(*time).saturating_add(1),
        };
        let end_timestamp = match stored.end_bound() {
            Bound::Unbounded => i64::MAX,
            Bound::Included(time) => millis(*time),
            Bound::Excluded(time) => millis(*time).saturating_sub(1),
        };
        let header = QueryMessage {
            topic: topic.to_owned(),
            key: key.to_owned(),
            max_num: most.into(),
            // An index knows times to the second, rounded down.
            begin_timestamp: begin_timestamp.saturating_sub(1000).max(0),
            end_timestamp,
            unique,
        };
        // A slave has the index too.
        let brokers = self.brokers(topic, deadline, |data| data.broker_addrs.values().next())?;
        let found = ask_all("query", &brokers, deadline, |address, deadline| {
            broker::query_message(self.remoting(), address, &header, deadline)
        });
        let stored_then =
            |m: &MessageView| (begin_timestamp..=end_timestamp).contains(&m.store_timestamp());
        let found = found?.into_iter().flatten().filter(stored_then);
        let mut messages: Vec<MessageView> = found.map(|m| self.named_for_users(m)).collect();
        messages.sort_by_key(|m| (m.store_timestamp(), m.commit_log_offset()));
        Ok(messages)
    }

    /// Asks the master of a queue.
    pub(super) fn ask_about<T>(
        &self,
        queue: &MessageQueue,
        ask: impl Fn(&Self, &Arc<str>, Deadline) -> Result<T>,
    ) -> Result<T> {
        let deadline = self.begin()?;
        let topic = self.on_wire(queue.topic());
        let routes = &self.inner().routes;
        let look_up = || {
            let route = self.route(&topic, deadline)?;
            let info = PublishInfo::new(&queue.topic().into(), &route);
            info.master_of(info.host(queue)).cloned()
        };
        let known = routes.known_host(&topic, queue);
        let broker = known.clone().map_or_else(look_up, Ok)?;
        let mut answer = ask(self, &self.address(&broker), deadline);
        let code = answer.as_ref().err().and_then(Error::response_code);
        if known.is_some() && code == Some(ResponseCode::NOT_LEADER_FOR_QUEUE) {
            // It has moved since the route was looked up.
            self.inner().refresh_soon(&topic);
            answer = ask(self, &self.address(&look_up()?), deadline);
        }
        answer.map_err(|error| error.on_topic(&queue.topic().into()))
    }

    /// One address of each broker of a topic's route.
    pub(super) fn brokers(
        &self,
        topic: &str,
        deadline: Deadline,
        choose: impl Fn(&BrokerData) -> Option<&String>,
    ) -> Result<Vec<Arc<str>>> {
        let found = brokers(self.route(topic, deadline)?, choose);
        let addresses: Vec<_> = found.iter().map(|address| self.address(address)).collect();
        if addresses.is_empty() {
            let text = "no broker of the route has an address";
            return Err(Error::new(ErrorKind::NoBroker, text).on_topic(&topic.into()));
        }
        Ok(addresses)
    }

    pub(super) fn route(&self, topic: &str, deadline: Deadline) -> Result<TopicRoute> {
        let route = self.inner().routes.ask(topic, deadline);
        let missing = || Error::new(ErrorKind::NoRoute, "the topic does not exist");
        route
            .and_then(|route| route.ok_or_else(missing))
            .map_err(|error| error.on_topic(&self.names().for_users(&topic.into())))
    }

    pub(super) fn queue_query(&self, queue: &MessageQueue, timestamp: Option<i64>) -> QueueQuery {
        QueueQuery {
            topic: self.on_wire(queue.topic()).to_string(),
            queue_id: queue.id(),
            broker_name: Some(queue.broker().to_owned()),
            timestamp,
        }
    }

    /// The group is named as on the wire.
    pub(super) fn offset_query(&self, group: &str, queue: &MessageQueue) -> QueryOffset {
        QueryOffset {
            consumer_group: group.to_owned(),
            topic: self.on_wire(queue.topic()).to_string(),
            queue_id: queue.id(),
            set_zero_if_not_found: Some(false),
            broker_name: Some(queue.broker().to_owned()),
        }
    }

    /// The address of a broker.
    pub(super) fn address(&self, broker: &str) -> Arc<str> {
        self.inner().config.rpc.send_address(&broker.into())
    }

    pub(super) fn names(&self) -> Names {
        self.inner().config.rpc.names()
    }

    pub(super) fn on_wire(&self, topic: &str) -> Arc<str> {
        self.names().on_wire(&topic.into())
    }

    pub(super) fn named_for_users(&self, message: MessageView) -> MessageView {
        let topic = self.names().for_users(&message.topic().into());
        message.with_topic(topic)
    }

    pub(super) fn begin(&self) -> Result<Deadline> {
        self.inner().check_open()?;
        Ok(Deadline::after(Instant::now(), self.timeout))
    }

    pub(super) fn inner(&self) -> &Arc<ClientCore> {
        self.client.inner()
    }

    pub(super) fn remoting(&self) -> &Remoting {
        &self.inner().remoting
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("client", &self.client)
            .field("timeout", &self.timeout)
            .finish()
    }
}
