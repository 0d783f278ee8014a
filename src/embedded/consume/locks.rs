//! Queue locks.

use crate::embedded::broker::BrokerState;
use crate::embedded::server::bad_request;
use crate::protocol::Command;
use crate::protocol::code::response;
use crate::protocol::consumer::lock::{LockRequest, Locked};

/// Locks queues, or renews their locks (41). Brokers do not check that the queues or the group exist.
pub(in crate::embedded) fn lock(broker: &BrokerState, request: &Command) -> Command {
    let lock = match LockRequest::decode(&request.body) {
        Ok(lock) => lock,
        Err(error) => return bad_request(request, &error),
    };
    let now = broker.clock.now();
    let (group, client) = (&lock.consumer_group, &lock.client_id);
    let queues = broker.locks.lock(group, client, &lock.mq_set, now);
    broker.changes.note();
    let body = Locked { queues }.encode();
    Command::response_to(request, response::SUCCESS).with_body(body)
}

/// Releases locks (42).
pub(in crate::embedded) fn unlock(broker: &BrokerState, request: &Command) -> Command {
    let lock = match LockRequest::decode(&request.body) {
        Ok(lock) => lock,
        Err(error) => return bad_request(request, &error),
    };
    let (group, client) = (&lock.consumer_group, &lock.client_id);
    broker.locks.unlock(group, client, &lock.mq_set);
    broker.changes.note();
    Command::response_to(request, response::SUCCESS)
}
