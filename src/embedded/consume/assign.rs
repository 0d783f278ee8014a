//! The assignment of queues by the broker.

use super::check::Refused;
use super::groups::member_ids;
use crate::embedded::broker::BrokerState;
use crate::embedded::groups::Mode;
use crate::embedded::server::bad_request;
use crate::message::name::RETRY_PREFIX;
use crate::message::{MessageQueue, string_order};
use crate::protocol::Command;
use crate::protocol::code::response;
use crate::protocol::consumer::assignment::{
    Assignment, AssignmentQuery, Assignments, RequestMode, SetRequestMode,
};
use crate::protocol::consumer::member::MessageModel;
use crate::protocol::route::perm;

/// The queue number that stands for all queues of a broker.
const ANY_QUEUE: i32 = -1;

/// Sets whether a group pulls or pops a topic from now on (401).
pub(in crate::embedded) fn set_mode(broker: &BrokerState, request: &Command) -> Command {
    let set = match SetRequestMode::decode(&request.body) {
        Ok(set) => set,
        Err(error) => return bad_request(request, &error),
    };
    let refuse = |code, remark: String| Refused::new(code, remark).answer(broker, request);
    if set.topic.starts_with(RETRY_PREFIX) {
        let remark = "retry topic is not allowed to set mode".to_owned();
        return refuse(response::NO_PERMISSION, remark);
    }
    if broker.topics.find(&set.topic, broker.index).is_none() {
        let remark = format!("topic[{}] not exist", set.topic);
        return refuse(response::TOPIC_NOT_EXIST, remark);
    }
    if broker.configs.find(&set.consumer_group).is_none() {
        let remark = "subscription group does not exist".to_owned();
        return refuse(response::SUBSCRIPTION_GROUP_NOT_EXIST, remark);
    }
    broker.modes.set(&set);
    Command::response_to(request, response::SUCCESS)
}

/// The queues of a member (400).
pub(in crate::embedded) fn query_assignment(broker: &BrokerState, request: &Command) -> Command {
    let query = match AssignmentQuery::decode(&request.body) {
        Ok(query) => query,
        Err(error) => return bad_request(request, &error),
    };
    let mode = broker.modes.of(&query.topic, &query.consumer_group);
    let assigned = assigned(broker, &query, mode).map(|queues| {
        let assignment = |message_queue| Assignment {
            message_queue,
            mode: mode.mode,
        };
        queues.into_iter().map(assignment).collect()
    });
    let answer = Assignments {
        message_queue_assignments: assigned,
    };
    Command::response_to(request, response::SUCCESS).with_body(answer.encode())
}

/// `None`: no answer; the member keeps its queues.
fn assigned(
    broker: &BrokerState,
    query: &AssignmentQuery,
    mode: Mode,
) -> Option<Vec<MessageQueue>> {
    let queues = readable_queues(broker, &query.topic)?;
    if query.message_model == MessageModel::Broadcasting {
        return Some(queues);
    }
    let mut members = member_ids(broker, &query.consumer_group);
    if members.is_empty() {
        return None;
    }
    members.sort_by(|a, b| string_order(a, b));
    let share: fn(usize, usize, usize) -> Vec<usize> = match &*query.strategy_name {
        "AVG" => averagely,
        "AVG_BY_CIRCLE" => by_circle,
        _ => return None,
    };
    let own = members.iter().position(|id| *id == query.client_id);
    let of = |member: usize| {
        let indexes = share(queues.len(), members.len(), member);
        indexes.into_iter().map(|index| queues[index].clone())
    };
    let in_groups = usize::try_from(mode.share).unwrap_or(0);
    if mode.mode != RequestMode::Pop {
        return Some(own.map(of).into_iter().flatten().collect());
    }
    if in_groups == 0 || in_groups >= members.len() - 1 {
        // All members pop all queues.
        let mut brokers: Vec<_> = queues
            .iter()
            .map(|queue| MessageQueue::new(queue.topic(), queue.broker(), ANY_QUEUE))
            .collect();
        brokers.dedup();
        return Some(brokers);
    }
    let Some(own) = own else {
        return Some(Vec::new());
    };
    if members.len() > queues.len() {
        return Some(vec![queues[own % queues.len()].clone()]);
    }
    // The queues of the member and of the members after it.
    let shared = (own..=own + in_groups).map(|index| index % members.len());
    Some(shared.flat_map(of).collect())
}

/// The readable queues of a topic on all brokers, in Java's order.
fn readable_queues(broker: &BrokerState, topic: &str) -> Option<Vec<MessageQueue>> {
    let route = broker.topics.route(topic)?;
    let readable = route
        .queue_datas
        .iter()
        .filter(|data| data.perm & perm::READ != 0);
    let mut queues: Vec<_> = readable
        .flat_map(|data| {
            let name = data.broker_name.as_str();
            (0..data.read_queue_nums).map(move |id| MessageQueue::new(topic, name, id))
        })
        .collect();
    queues.sort_by(|a, b| {
        let by_broker = string_order(a.broker(), b.broker());
        by_broker.then(a.id().cmp(&b.id()))
    });
    (!queues.is_empty()).then_some(queues)
}

/// Adjacent queues: the shares differ by one at most.
fn averagely(queues: usize, members: usize, member: usize) -> Vec<usize> {
    let (each, more) = (queues / members, queues % members);
    let start = member * each + member.min(more);
    (start..start + each + usize::from(member < more)).collect()
}

/// Queues in turn.
fn by_circle(queues: usize, members: usize, member: usize) -> Vec<usize> {
    (member..queues).step_by(members).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_shared_as_java_shares_them() {
        let shares = |share: fn(usize, usize, usize) -> Vec<usize>, queues, members| {
            let all = (0..members).map(|member| share(queues, members, member));
            all.collect::<Vec<_>>()
        };
        assert_eq!(
            shares(averagely, 8, 3),
            [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]
        );
        assert_eq!(
            shares(by_circle, 8, 3),
            [vec![0, 3, 6], vec![1, 4, 7], vec![2, 5]]
        );
        assert_eq!(
            shares(averagely, 7, 3),
            [vec![0, 1, 2], vec![3, 4], vec![5, 6]]
        );
        assert_eq!(shares(averagely, 2, 4), [vec![0], vec![1], vec![], vec![]]);
        assert_eq!(shares(by_circle, 2, 3), [vec![0], vec![1], vec![]]);
    }
}
