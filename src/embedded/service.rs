//! Dispatches a broker's requests to their handlers.

use std::sync::Arc;

use super::broker::{self, BrokerState};
use super::consume;
use super::server::{Answer, Call, Service, not_supported};
use crate::protocol::Command;
use crate::protocol::code::request;

/// The broker's side of the protocol.
pub(super) struct BrokerService(pub(super) Arc<BrokerState>);

impl Service for BrokerService {
    fn handle(&self, call: Call<'_>) -> Answer {
        let (state, request, peer) = (&self.0, call.request, call.peer);
        if !state.settings.release.knows(request.code) {
            return Answer::Now(not_supported(request));
        }
        Answer::Now(match request.code {
            request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => {
                broker::send(state, request, peer)
            }
            request::SEND_REPLY_MESSAGE | request::SEND_REPLY_MESSAGE_V2 => {
                broker::reply(state, request, peer)
            }
            request::END_TRANSACTION => broker::end_transaction(state, request),
            request::RECALL_MESSAGE => broker::recall(state, request),
            request::HEART_BEAT => broker::heartbeat(state, request, peer),
            request::UNREGISTER_CLIENT => broker::unregister(state, request, peer),
            request::UPDATE_AND_CREATE_TOPIC => broker::create_topic(state, request),
            request::VIEW_MESSAGE_BY_ID => broker::view_message(state, request),
            request::QUERY_MESSAGE => broker::query_message(state, request),
            request::GET_MAX_OFFSET
            | request::GET_MIN_OFFSET
            | request::SEARCH_OFFSET_BY_TIMESTAMP
            | request::GET_EARLIEST_MSG_STORETIME => broker::query_queue(state, request),
            request::QUERY_CONSUMER_OFFSET => consume::query_offset(state, request),
            request::UPDATE_CONSUMER_OFFSET => consume::commit_offset(state, request),
            request::CONSUMER_SEND_MSG_BACK => consume::send_back(state, request),
            request::GET_CONSUMER_LIST_BY_GROUP => consume::members(state, request),
            request::LOCK_BATCH_MQ => consume::lock(state, request),
            request::UNLOCK_BATCH_MQ => consume::unlock(state, request),
            request::CHECK_CLIENT_CONFIG => consume::check_config(state, request),
            request::GET_CONSUMER_CONNECTION_LIST => consume::connections(state, request),
            request::GET_CONSUME_STATS => consume::consume_stats(state, request),
            request::QUERY_TOPICS_BY_CONSUMER => consume::topics_of_group(state, request),
            request::INVOKE_BROKER_TO_RESET_OFFSET => consume::reset_group(state, request),
            request::QUERY_ASSIGNMENT => consume::query_assignment(state, request),
            request::SET_MESSAGE_REQUEST_MODE => consume::set_mode(state, request),
            request::ACK_MESSAGE => consume::ack(state, request),
            request::BATCH_ACK_MESSAGE => consume::ack_batch(state, request),
            request::CHANGE_MESSAGE_INVISIBLETIME => consume::change_invisible(state, request),
            request::POLLING_INFO => consume::polling(state, request),
            // These may wait.
            request::NOTIFICATION => return consume::notice(state, call),
            request::GET_CONSUMER_RUNNING_INFO => return consume::running_info(state, call),
            request::POP_MESSAGE => return consume::pop(state, call),
            request::PULL_MESSAGE | request::LITE_PULL_MESSAGE => {
                return consume::pull(state, call);
            }
            _ => not_supported(request),
        })
    }

    fn answered(&self, connection: u64, answer: &Arc<Command>) {
        self.0.asked.answered(connection, answer);
    }

    fn disconnected(&self, connection: u64) {
        broker::disconnected(&self.0, connection);
    }
}
