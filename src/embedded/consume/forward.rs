//! Requests of clients that another client answers.

use std::sync::Arc;
use std::time::Duration;

use crate::embedded::broker::BrokerState;
use crate::embedded::groups::Kind;
use crate::embedded::server::{Answer, Call, bad_request};
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::consumer::asked::RunningInfoQuery;

/// How long the other client has.
const WITHIN: Duration = Duration::from_secs(10);

/// The state of a member (307), which answers it.
pub(in crate::embedded) fn running_info(broker: &Arc<BrokerState>, call: Call<'_>) -> Answer {
    let asked = Arc::clone(call.request);
    let query = match RunningInfoQuery::decode(&asked.ext) {
        Ok(query) => query,
        Err(error) => return Answer::Now(bad_request(&asked, &error)),
    };
    let (group, client) = (
        query.consumer_group.clone(),
        query.client_id.clone().unwrap_or_default(),
    );
    let members = broker.members.of(Kind::Consumer, &group);
    let Some(member) = members.iter().rev().find(|m| m.client_id == client) else {
        let remark = format!("The Consumer <{group}> <{client}> not online");
        let answer = Command::response_to(&asked, response::SYSTEM_ERROR);
        return Answer::Now(answer.with_remark(remark));
    };
    let connection = member.origin.connection;
    let question = Command::request(request::GET_CONSUMER_RUNNING_INFO).with_fields(&query);
    let responder = call.later();
    let (late, no_answer) = (responder.clone(), Arc::clone(&asked));
    responder.keep(broker.clock.after(WITHIN, move || {
        late.answer_with(|| {
            let remark = format!("consumer <{group}> <{client}> Timeout: 10000ms");
            Command::response_to(&no_answer, response::CONSUME_MSG_TIMEOUT).with_remark(remark)
        });
    }));
    let push = || broker.connections.push(connection, question);
    broker.asked.ask_then(connection, push, move |answer| {
        responder.answer_with(|| {
            let relayed = Command::response_to(&asked, answer.code).with_body(answer.body.clone());
            match answer.remark.clone() {
                Some(remark) => relayed.with_remark(remark),
                None => relayed,
            }
        });
    });
    Answer::Later
}
