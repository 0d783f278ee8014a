//! Members and connections of groups, and checks of their filters.

use super::check::{check_filter_type, is_sql};
use super::filter::Filter;
use crate::embedded::broker::BrokerState;
use crate::embedded::groups::Kind;
use crate::embedded::server::bad_request;
use crate::protocol::Command;
use crate::protocol::code::response;
use crate::protocol::consumer::member::{FilterCheck, GroupName, Members};

/// The ids of a group's members as this broker lists them, one for each connection.
pub(super) fn member_ids(broker: &BrokerState, group: &str) -> Vec<String> {
    let members = broker.members.of(Kind::Consumer, group);
    let ids = members.into_iter().map(|member| member.client_id);
    broker.knobs.member_list(group, ids.collect())
}

/// The member list of a group (38).
pub(in crate::embedded) fn members(broker: &BrokerState, request: &Command) -> Command {
    let GroupName { consumer_group } = match GroupName::decode(&request.ext) {
        Ok(name) => name,
        Err(error) => return bad_request(request, &error),
    };
    let consumer_id_list = member_ids(broker, &consumer_group);
    if consumer_id_list.is_empty() {
        let remark = format!("no consumer for this group, {consumer_group}");
        return Command::response_to(request, response::SYSTEM_ERROR).with_remark(remark);
    }
    let body = Members { consumer_id_list }.encode();
    Command::response_to(request, response::SUCCESS).with_body(body)
}

/// The connections and subscriptions of a group (203).
pub(in crate::embedded) fn connections(broker: &BrokerState, request: &Command) -> Command {
    let GroupName { consumer_group } = match GroupName::decode(&request.ext) {
        Ok(name) => name,
        Err(error) => return bad_request(request, &error),
    };
    let Some(mut connections) = broker.members.connections(&consumer_group) else {
        let remark = format!("the consumer group[{consumer_group}] not online");
        return Command::response_to(request, response::CONSUMER_NOT_ONLINE).with_remark(remark);
    };
    let shown = member_ids(broker, &consumer_group);
    connections
        .connection_set
        .retain(|connection| shown.contains(&connection.client_id));
    Command::response_to(request, response::SUCCESS).with_body(connections.encode())
}

/// Whether the broker can evaluate a filter (46).
pub(in crate::embedded) fn check_config(broker: &BrokerState, request: &Command) -> Command {
    let check = match FilterCheck::decode(&request.body) {
        Ok(check) => check,
        Err(error) => return bad_request(request, &error),
    };
    let subscription = &check.subscription_data;
    if let Err(refused) = check_filter_type(broker, &subscription.expression_type) {
        return refused.answer(broker, request);
    }
    if is_sql(&subscription.expression_type) {
        if let Err(invalid) = Filter::of(subscription) {
            let remark = format!("Invalid MessageSelector. {}", invalid.0);
            let code = response::SUBSCRIPTION_PARSE_FAILED;
            return Command::response_to(request, code).with_remark(remark);
        }
    }
    Command::response_to(request, response::SUCCESS)
}
