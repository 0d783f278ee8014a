//! How far a group is in a topic.

use std::sync::Arc;

use super::calls::Admin;
use super::questions::readable;
use super::reports::{GroupProgress, QueueProgress};
use crate::client::Gathering;
use crate::client::api::queue as queues;
use crate::client::routes::PublishInfo;
use crate::error::{Error, Result, SendFate};
use crate::protocol::code::request;
use crate::transport::Request;

/// Asks for all offsets of all queues at once. The broker's summary (208) would be one request for a broker,
/// but has 0 for "no offset", and nothing of topics that the members do not subscribe.
pub(super) fn progress(admin: &Admin, group: &str, topic: &str) -> Result<GroupProgress> {
    let deadline = admin.begin()?;
    let on_wire = admin.on_wire(topic);
    let route = admin.route(&on_wire, deadline)?;
    let shown = admin.names().for_users(&on_wire);
    let info = PublishInfo::new(&shown, &route);
    let all = readable(&shown, &route)?;

    // There is no message here that could be stored or not.
    let failed = |error: Error| error.on_topic(&shown).with_fate(SendFate::NotSent);
    let master = |queue| info.master_of(info.host(queue)).map(|at| admin.address(at));
    let masters: Result<Vec<Arc<str>>> = all.iter().map(master).collect();
    let masters = masters.map_err(failed)?;

    let mut gathering = Gathering::new(admin.inner(), deadline);
    for (queue, master) in all.iter().zip(&masters) {
        let committed = admin.offset_query(group, queue);
        let ends = admin.queue_query(queue, None);
        let asked = Request::new(request::QUERY_CONSUMER_OFFSET, &committed);
        gathering.ask(master, &asked);
        for code in [request::GET_MIN_OFFSET, request::GET_MAX_OFFSET] {
            gathering.ask(master, &Request::new(code, &ends));
        }
    }
    let mut answers = gathering.outcomes().into_iter();
    // Each queue has taken its three places in this order.
    let mut next = || answers.next().unwrap_or_else(|| Err(Error::lost()));
    let mut read = |queue, master| -> Result<QueueProgress> {
        let (committed, begin, end) = (next(), next(), next());
        Ok(QueueProgress {
            queue,
            committed: queues::read_committed(&committed?, master)?,
            begin: queues::read_offset(&begin?, master)?,
            end: queues::read_offset(&end?, master)?,
        })
    };
    let queues = all.into_iter().zip(&masters);
    let queues: Result<Vec<_>> = queues.map(|(queue, master)| read(queue, master)).collect();
    Ok(GroupProgress {
        queues: queues.map_err(failed)?,
        topic: shown.to_string(),
    })
}
