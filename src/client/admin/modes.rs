//! How a group's messages are asked for.

use super::calls::Admin;
use super::questions::ask_all;
use crate::client::api::group as groups;
use crate::error::Result;
use crate::protocol::consumer::assignment::{RequestMode, SetRequestMode};
use crate::protocol::route::MASTER;

/// Sets it at all brokers of the topic. `share`: with how many other members a member shares its queues.
pub(super) fn set(
    admin: &Admin,
    group: &str,
    topic: &str,
    mode: RequestMode,
    share: u16,
) -> Result<()> {
    let deadline = admin.begin()?;
    let topic = admin.on_wire(topic);
    let set = SetRequestMode {
        consumer_group: group.to_owned(),
        mode,
        pop_share_queue_num: share.into(),
        topic: topic.to_string(),
    };
    let brokers = admin.brokers(&topic, deadline, |data| data.broker_addrs.get(&MASTER))?;
    let done = ask_all(
        "set the request mode",
        &brokers,
        deadline,
        |broker, deadline| groups::set_request_mode(admin.remoting(), broker, &set, deadline),
    );
    done.map(drop)
}
