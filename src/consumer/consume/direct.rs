//! A message that is handled now, on an operator's request.

use std::sync::Arc;
use std::time::Instant;

use super::dispatcher::Direct;
use super::handler::{Ended, Handler};
use super::outcome::Mode;
use super::unpack::topic_of;
use crate::consumer::queue::{Assigned, Order};
use crate::consumer::shared::Shared;
use crate::error::{Error, Result};
use crate::message::MessageQueue;
use crate::message::name::RETRY_PREFIX;
use crate::protocol::Command;
use crate::protocol::code::response;
use crate::protocol::consumer::asked::{ConsumeResult, DirectResult};
use crate::protocol::message::decode;

/// The largest inflated body, in bytes.
const MOST_INFLATED: usize = 64 << 20;

/// Runs the handler, and answers the broker. No offset changes, and a failed message does not come
/// again.
pub(super) fn consume(direct: Direct, shared: &Shared, handler: &dyn Handler) {
    let start = Instant::now();
    let handled = handle(&direct, shared, handler);
    let command = direct.request.command();
    let answer = match handled {
        Ok(ended) => {
            let (consume_result, remark) = match ended {
                Ended::Ok => (ConsumeResult::CrSuccess, None),
                Ended::Retry(retry) => (ConsumeResult::CrLater, Some(retry.to_string())),
                Ended::Panicked => {
                    let remark = "the handler panicked".to_owned();
                    (ConsumeResult::CrThrowException, Some(remark))
                }
            };
            let result = DirectResult {
                auto_commit: true,
                consume_result,
                order: shared.config.mode == Mode::Ordered,
                remark,
                spent_time_mills: start.elapsed().as_millis().try_into().unwrap_or(i64::MAX),
            };
            Command::response_to(command, response::SUCCESS).with_body(result.encode())
        }
        Err(error) => {
            let answer = Command::response_to(command, response::SYSTEM_ERROR);
            answer.with_remark(error.to_string())
        }
    };
    direct.request.reply(&answer);
}

fn handle(direct: &Direct, shared: &Shared, handler: &dyn Handler) -> Result<Ended> {
    let message = decode(direct.body.clone(), MOST_INFLATED).map_err(Error::from)?;
    let is_retry = message.topic().starts_with(RETRY_PREFIX);
    let topic = topic_of(&message, is_retry, &shared.topics);
    let broker = direct.broker.as_deref().unwrap_or_default();
    let queue = MessageQueue::new(topic.clone(), broker, message.queue_id());
    let message = message.with_topic(topic).of_queue(&queue);
    // The queue may be another member's. Its real state does not change.
    let place = Assigned::new(0, queue.clone(), queue, 1, Order::None);
    let mut ended = handler.handle(&Arc::new(place), &[message]);
    Ok(ended.pop().unwrap_or(Ended::Panicked))
}
