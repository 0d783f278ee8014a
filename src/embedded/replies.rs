//! Replies: pushed to the client that asked.

use super::broker::{BrokerService, bad_request};
use super::send::{Refusal, Region, append_property, find_property, now_ms};
use super::server::Peer;
use crate::message::name;
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::reply::PushedReply;
use crate::protocol::send::SendRequest;

impl BrokerService {
    /// Stores a reply, and pushes it over the connection by which its receiver was heard of. The
    /// sender hears of a receiver that is not there. Unlike a real broker, this one does not wait
    /// for the receiver's answer.
    pub(super) fn reply(&self, request: &Command, peer: &Peer) -> Command {
        let header = match SendRequest::decode(request.code, &request.ext) {
            Ok(header) => header,
            Err(error) => return bad_request(request, &error),
        };
        let stored = match self.try_send(&header, &request.body, peer) {
            Ok(stored) => stored,
            Err(Refusal(code, remark)) => {
                let refused = Command::response_to(request, code);
                return refused.with_fields(&Region).with_remark(remark);
            }
        };
        match self.push(header, &request.body, peer) {
            Ok(()) => Command::response_to(request, response::SUCCESS).with_fields(&stored),
            Err(remark) => Command::response_to(request, response::SYSTEM_ERROR)
                .with_fields(&stored)
                .with_remark(remark),
        }
    }

    fn push(&self, mut header: SendRequest, body: &[u8], peer: &Peer) -> Result<(), String> {
        let Some(id) = find_property(&header.properties, name::REPLY_TO_CLIENT) else {
            return Err("reply message properties[REPLY_TO_CLIENT] is null".to_owned());
        };
        let id = id.to_owned();
        let Some(connection) = self.producers.of_client(&id) else {
            return Err(format!(
                "push reply message fail, channel of <{id}> not found."
            ));
        };
        let now = now_ms();
        append_property("PUSH_REPLY_TIME", &now.to_string(), &mut header.properties);
        let pushed = PushedReply {
            send: header,
            born_host: Some(peer.address),
            store_host: Some(self.address),
            store_timestamp: now,
        };
        let push = Command::request(request::PUSH_REPLY_MESSAGE_TO_CLIENT);
        let push = push.with_fields(&pushed).with_body(body.to_vec());
        match self.ask_client(connection, push) {
            true => Ok(()),
            false => Err(format!("push reply message to {id}fail.")),
        }
    }
}
