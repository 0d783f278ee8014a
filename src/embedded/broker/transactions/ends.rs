//! The ends of transactions, and the broker's own questions about them.

use super::table::{HALF_TOPIC, Half};
use crate::embedded::LOG;
use crate::embedded::broker::state::BrokerState;
use crate::embedded::groups::Kind;
use crate::embedded::server::bad_request;
use crate::embedded::store::{Draft, Parts};
use crate::logging;
use crate::protocol::code::{request, response};
use crate::protocol::transaction::{CheckTransaction, EndTransaction};
use crate::protocol::{Command, sys_flag};

/// Handles the end of a transaction like a real broker. The client sees the answer only if the
/// request was not oneway.
pub(in crate::embedded) fn end_transaction(broker: &BrokerState, request: &Command) -> Command {
    let end = match EndTransaction::decode(&request.ext) {
        Ok(end) => end,
        Err(error) => return bad_request(request, &error),
    };
    let show = |half: &Half| {
        let message = half.stored.parts();
        let committed = Parts {
            topic: &half.topic,
            queue_id: half.queue_id,
            sys_flag: message.sys_flag | sys_flag::TRANSACTION_COMMIT,
            prepared_offset: half.stored.commit_log_offset(),
            ..message
        };
        let drafts = vec![Draft::new(&committed, broker.store.wants_messages())];
        broker
            .store
            .append(broker.index, &half.topic, half.queue_id, drafts);
    };
    let remark = request.remark.as_deref();
    match broker.transactions.end(&broker.name, &end, remark, show) {
        Ok(()) => Command::response_to(request, response::SUCCESS),
        Err(remark) => {
            logging::warn!(target: LOG, "{}: end of a transaction refused: {remark}", broker.name);
            Command::response_to(request, response::SYSTEM_ERROR).with_remark(remark)
        }
    }
}

/// Sends a check of each open transaction to a producer of its group; returns the number sent.
pub(in crate::embedded::broker) fn check_transactions(broker: &BrokerState) -> usize {
    let mut asked = 0;
    for half in broker.transactions.open(&broker.name) {
        if ask_about(broker, &half) {
            broker.transactions.note_check(&half);
            asked += 1;
        }
    }
    asked
}

fn ask_about(broker: &BrokerState, half: &Half) -> bool {
    let members = &broker.members;
    let Some(connection) = members.any_connection(Kind::Producer, &half.group) else {
        return false;
    };
    let stored = &half.stored;
    let question = CheckTransaction {
        topic: Some(HALF_TOPIC.to_owned()),
        table_offset: stored.queue_offset(),
        commit_log_offset: stored.commit_log_offset(),
        message_id: stored.unique_key().map(str::to_owned),
        transaction_id: stored.unique_key().map(str::to_owned),
        offset_message_id: Some(stored.offset_message_id()),
        broker_name: Some(broker.name.to_string()),
    };
    // The producer sees the message as it was sent.
    let body = stored.encoded_for(&half.topic, half.queue_id);
    let ask = Command::request(request::CHECK_TRANSACTION_STATE);
    let ask = ask.with_fields(&question).with_body(body).oneway();
    broker.push(connection, ask)
}
