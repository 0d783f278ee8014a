//! Requests to several brokers, and to the brokers of a route.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::client::LOG;
use crate::client::routes::{self, subscribe_queues};
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::message::MessageQueue;
use crate::protocol::route::{BrokerData, TopicRoute};
use crate::transport::Deadline;

/// Asks one broker after the other, each within an even share of the remaining time, and returns
/// the answers. Fails if no broker answered.
pub(super) fn ask_all<T>(
    what: &str,
    brokers: &[Arc<str>],
    deadline: Deadline,
    ask: impl Fn(&Arc<str>, Deadline) -> Result<T>,
) -> Result<Vec<T>> {
    let mut answers = Vec::new();
    let mut failed = None;
    for (i, broker) in brokers.iter().enumerate() {
        let now = Instant::now();
        let left = u32::try_from(brokers.len() - i).unwrap_or(u32::MAX);
        let share = deadline.remaining(now) / left;
        match ask(broker, deadline.capped(now, share)) {
            Ok(answer) => answers.push(answer),
            Err(error) => {
                logging::warn!(target: LOG, "{what}: {error}");
                failed = Some(error);
            }
        }
    }
    match failed {
        Some(error) if answers.is_empty() => Err(error),
        _ => Ok(answers),
    }
}

/// An address of each broker of a route, by the brokers' names.
pub(super) fn brokers(
    mut route: TopicRoute,
    choose: impl Fn(&BrokerData) -> Option<&String>,
) -> Vec<Arc<str>> {
    let datas = &mut route.broker_datas;
    datas.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
    let chosen = datas.iter().filter_map(choose);
    chosen.map(|address| address.as_str().into()).collect()
}

/// The readable queues of a route.
pub(super) fn readable(topic: &Arc<str>, route: &TopicRoute) -> Result<Vec<MessageQueue>> {
    let queues = subscribe_queues(topic, route);
    if queues.is_empty() {
        let text = "the route has no readable queue";
        return Err(Error::new(ErrorKind::NoRoute, text).on_topic(topic));
    }
    Ok(queues)
}

/// Why there is no master of a broker.
pub(super) fn no_master(broker: &str, route: &TopicRoute) -> Error {
    let mut names = route.broker_datas.iter().map(|data| &data.broker_name);
    routes::no_master(broker, names.any(|name| name == broker))
}

/// Epoch milliseconds; 0 before the epoch.
pub(super) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
