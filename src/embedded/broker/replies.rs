//! Replies: pushed to the client that asked.

use super::groups;
use super::sends::store;
use super::state::BrokerState;
use super::text::{append_property, find_property};
use crate::embedded::server::{Peer, bad_request};
use crate::message::name;
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::reply::PushedReply;
use crate::protocol::send::SendRequest;

/// Stores a reply, and pushes it over the connection of its receiver's heartbeat. The answer to the
/// replier reports a missing receiver. Unlike a real broker, this one does not wait for the
/// receiver's answer.
pub(in crate::embedded) fn reply(broker: &BrokerState, request: &Command, peer: Peer) -> Command {
    let header = match SendRequest::decode(request.code, &request.ext) {
        Ok(header) => header,
        Err(error) => return bad_request(request, &error),
    };
    let stored = match store(broker, &header, &request.body, peer) {
        Ok(stored) => stored,
        Err(refusal) => return refusal.answer(request),
    };
    match push(broker, header, &request.body, peer) {
        Ok(()) => Command::response_to(request, response::SUCCESS).with_fields(&stored),
        Err(remark) => Command::response_to(request, response::SYSTEM_ERROR)
            .with_fields(&stored)
            .with_remark(remark),
    }
}

fn push(
    broker: &BrokerState,
    mut header: SendRequest,
    body: &[u8],
    peer: Peer,
) -> Result<(), String> {
    let Some(id) = find_property(&header.properties, name::REPLY_TO_CLIENT) else {
        return Err("reply message properties[REPLY_TO_CLIENT] is null".to_owned());
    };
    let id = id.to_owned();
    groups::expire(broker);
    let Some(connection) = broker.members.connection_of(&id) else {
        return Err(format!(
            "push reply message fail, channel of <{id}> not found."
        ));
    };
    let now = broker.clock.now();
    append_property("PUSH_REPLY_TIME", &now.to_string(), &mut header.properties);
    let pushed = PushedReply {
        send: header,
        born_host: Some(peer.address),
        store_host: Some(broker.address),
        store_timestamp: now,
    };
    let push = Command::request(request::PUSH_REPLY_MESSAGE_TO_CLIENT);
    let push = push.with_fields(&pushed).with_body(body.to_vec());
    match broker.push(connection, push) {
        true => Ok(()),
        false => Err(format!("push reply message to {id}fail.")),
    }
}
