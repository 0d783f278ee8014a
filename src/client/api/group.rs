//! Requests about groups: those that live in a client, and others that an operator asks about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ask;
use crate::error::{Error, ResponseCode, Result};
use crate::message::MessageQueue;
use crate::protocol::code::request;
use crate::protocol::consumer::asked::{OffsetTable, ResetOffsets};
use crate::protocol::consumer::member::{Connections, GroupName};
use crate::protocol::consumer::progress::{
    ConsumeStats, ConsumeStatsQuery, GroupTopicsQuery, TopicList,
};
use crate::protocol::heartbeat::{Heartbeat, Unregister};
use crate::transport::{
    Completion, Connection, Deadline, Dial, Prepared, Remoting, Request, To, Via,
};

/// A heartbeat to a broker, which says which groups live here, ready to go out.
///
/// # Errors
/// `Invalid` if a hook says so.
pub(in crate::client) fn prepare_heartbeat(
    remoting: &Remoting,
    broker: &Arc<str>,
    heartbeat: &Heartbeat,
) -> Result<Prepared> {
    let body = Arc::new(heartbeat.encode());
    let request = Request::new(request::HEART_BEAT, &()).with_body(&body);
    remoting.encode(broker, &request, false)
}

/// Tells the broker at the other end of this connection that a group goes away; the answer goes to
/// `completion`. A broker to which the connection has ended knows already.
pub(in crate::client) fn unregister(
    remoting: &Remoting,
    connection: &Arc<Connection>,
    unregister: &Unregister,
    deadline: Deadline,
    completion: Box<dyn Completion>,
) {
    let request = Request::new(request::UNREGISTER_CLIENT, unregister);
    let to = To::Connection(connection);
    remoting.invoke_async(to, &request, deadline, Via::Caller, Dial::Wait, completion);
}

/// The members of a group that are connected to a broker, and the broker's version; `None` without members.
pub(in crate::client) fn connections(
    remoting: &Remoting,
    broker: &Arc<str>,
    group: &str,
    deadline: Deadline,
) -> Result<Option<(Connections, i32)>> {
    let consumer_group = group.to_owned();
    let header = GroupName { consumer_group };
    let asked = Request::new(request::GET_CONSUMER_CONNECTION_LIST, &header);
    match ask(remoting, broker, &asked, deadline) {
        Ok(answer) => {
            let connections = Connections::decode(&answer.body);
            let connections = connections.map_err(|error| Error::from(error).at(broker))?;
            Ok(Some((connections, answer.version)))
        }
        Err(error) if error.response_code() == Some(ResponseCode::CONSUMER_NOT_ONLINE) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The topics of which a group has offsets on a broker (from 5.x on).
pub(in crate::client) fn topics(
    remoting: &Remoting,
    broker: &Arc<str>,
    group: &str,
    deadline: Deadline,
) -> Result<Vec<String>> {
    let group = group.to_owned();
    let header = GroupTopicsQuery { group };
    let asked = Request::new(request::QUERY_TOPICS_BY_CONSUMER, &header);
    let answer = ask(remoting, broker, &asked, deadline)?;
    let topics = TopicList::decode(&answer.body).map_err(|error| Error::from(error).at(broker))?;
    Ok(topics.topic_list)
}

/// The same, from the group's progress on a broker. While the group has members, without the topics that they
/// do not subscribe.
pub(in crate::client) fn topics_with_progress(
    remoting: &Remoting,
    broker: &Arc<str>,
    group: &str,
    deadline: Deadline,
) -> Result<Vec<String>> {
    let header = ConsumeStatsQuery {
        consumer_group: group.to_owned(),
        topic: None,
    };
    let asked = Request::new(request::GET_CONSUME_STATS, &header);
    let answer = ask(remoting, broker, &asked, deadline)?;
    let stats =
        ConsumeStats::decode(&answer.body).map_err(|error| Error::from(error).at(broker))?;
    let queues = stats.offset_table.into_keys();
    let topics: BTreeSet<String> = queues.map(|queue| queue.topic().to_owned()).collect();
    Ok(topics.into_iter().collect())
}

/// Resets the offsets of a group on a broker; returns the offsets.
pub(in crate::client) fn reset(
    remoting: &Remoting,
    broker: &Arc<str>,
    header: &ResetOffsets,
    deadline: Deadline,
) -> Result<BTreeMap<MessageQueue, i64>> {
    let asked = Request::new(request::INVOKE_BROKER_TO_RESET_OFFSET, header);
    let answer = ask(remoting, broker, &asked, deadline)?;
    let table = OffsetTable::decode(&answer.body);
    table
        .map(|OffsetTable(offsets)| offsets)
        .map_err(|error| Error::from(error).at(broker))
}
