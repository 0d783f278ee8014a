//! Popped messages on the consume threads.

use std::sync::Arc;

use super::handler::Ended;
use super::outcome::{Outcome, Settlement, settle};
use super::worker::Worker;
use crate::consumer::LOG;
use crate::consumer::consume::Mode;
use crate::consumer::pop::AckStatus;
use crate::consumer::popping::{Popping, pause};
use crate::consumer::queue::{Assigned, Order, PopQueue};
use crate::logging;
use crate::message::{MessageQueue, MessageView};

impl Worker {
    /// Runs the handler with messages of this queue, if some still wait.
    pub(super) fn consume_popped(&self, popping: &Popping, from: &Arc<PopQueue>) {
        let (taken, more) = popping.take(from, self.shared.config.call_batch);
        if more {
            self.shared.dispatcher.offer_popped(from);
        }
        self.shared.dispatcher.charge(taken.len());
        let (mut numbers, mut messages) = (Vec::new(), Vec::new());
        for (number, message) in taken {
            match self.shared.config.hooks.pass(&message) {
                true => {
                    numbers.push(number);
                    messages.push(message);
                }
                false => {
                    self.shared.counters.filtered.add(1);
                    popping.acknowledge(number);
                }
            }
        }
        let Some(queue) = messages.first().and_then(|first| first.queue()).cloned() else {
            return;
        };
        // It has no window: handlers that look at it are those of ordered consumers.
        let place = Arc::new(Assigned::new(
            0,
            queue.clone(),
            queue.clone(),
            1,
            Order::None,
        ));
        let ended = self.call(&place, &from.source.topic, &messages);
        for ((number, message), ended) in numbers.into_iter().zip(messages).zip(ended) {
            self.settle_popped(popping, number, &queue, &message, &ended);
        }
    }

    fn settle_popped(
        &self,
        popping: &Popping,
        number: u64,
        queue: &MessageQueue,
        message: &MessageView,
        ended: &Ended,
    ) {
        self.note(queue, message, ended);
        let outcome = match ended {
            Ended::Ok => Outcome::Ok,
            Ended::Retry(retry) => Outcome::Retry(retry),
            Ended::Panicked => Outcome::Panicked,
        };
        let failures = u32::try_from(message.reconsume_times()).unwrap_or(0);
        let counters = &self.shared.counters;
        let (what, settled, count) =
            match settle(Mode::Concurrent, &outcome, failures, &self.limits) {
                Settlement::Done => return popping.acknowledge(number),
                Settlement::SendBack { level } => {
                    let after = pause(level, failures);
                    let what = "the broker was not asked for it in time";
                    (what, popping.retry(number, after), &counters.sent_back)
                }
                Settlement::DeadLetter => {
                    let what = "no broker confirmed its copy in the dead letter topic";
                    (what, popping.bury(number), &counters.dead_lettered)
                }
                // These are not outcomes of a concurrent consumer.
                Settlement::Dropped | Settlement::RetryHere { .. } => return popping.leave(number),
            };
        let id = message.message_id();
        match settled {
            Ok(AckStatus::Confirmed) => count.add(1),
            Ok(AckStatus::Expired) => counters.late_results.add(1),
            Ok(AckStatus::Unknown) => {
                counters.send_back_failures.add(1);
                logging::debug!(target: LOG, "{queue}: message {id} was not {what} in time");
            }
            Err(error) => {
                counters.send_back_failures.add(1);
                logging::debug!(target: LOG, "{queue}: message {id} was not {what}: {error}");
            }
        }
    }
}
