//! The consume threads: handlers run only here.

use std::sync::Arc;
use std::time::Instant;

use super::direct;
use super::dispatcher::Taken;
use super::handler::{Ended, Handler};
use super::outcome::{Limits, Outcome, Settlement, settle};
use super::unpack::unpack;
use crate::consumer::LOG;
use crate::consumer::control::{Event, GivenBack};
use crate::consumer::hooks::ConsumeContext;
use crate::consumer::queue::{Assigned, Handed, Payload, Stale, Ticket};
use crate::consumer::shared::Shared;
use crate::logging;
use crate::message::MessageView;

/// The state that the consume threads of a consumer share.
pub(crate) struct Worker {
    pub(crate) shared: Shared,
    pub(crate) handler: Box<dyn Handler>,
    /// The most messages of one call.
    pub(crate) batch: usize,
    pub(crate) limits: Limits,
}

impl Worker {
    /// The loop of a consume thread.
    pub(crate) fn run(&self) {
        loop {
            let queue = match self.shared.dispatcher.take() {
                Taken::Queue(queue) => queue,
                Taken::Direct(direct) => {
                    direct::consume(direct, &self.shared, &*self.handler);
                    continue;
                }
                Taken::Late | Taken::Closed => return,
            };
            let (handed, more) = queue.take(self.batch, Instant::now());
            if more {
                self.shared.dispatcher.offer(&queue);
            }
            self.shared.dispatcher.charge(handed.len());
            if !handed.is_empty() {
                self.consume(&queue, handed);
                // In an ordered queue the next message may start only now.
                let now = Instant::now();
                if queue.ready_at(now).is_some_and(|at| at <= now) {
                    self.shared.dispatcher.offer(&queue);
                }
                if queue.note() {
                    self.shared.inbox.put(Event::Progress(queue.number));
                }
            }
        }
    }

    fn consume(&self, queue: &Arc<Assigned>, handed: Vec<Handed<Payload>>) {
        let (tickets, messages): (Vec<Ticket>, Vec<MessageView>) =
            unpack(&self.shared, queue, handed).into_iter().unzip();
        if messages.is_empty() {
            return;
        }
        let ended = self.call(queue, &messages);
        for ((ticket, message), ended) in tickets.into_iter().zip(messages).zip(ended) {
            if self.settle(queue, ticket, message, ended).is_err() {
                self.shared.counters.late_results.add(1);
            }
        }
    }

    /// Runs the handler, with hooks and trace around it.
    fn call(&self, queue: &Arc<Assigned>, messages: &[MessageView]) -> Vec<Ended> {
        let (config, started) = (&self.shared.config, Instant::now());
        let context = config.hooks.watch_calls().then(|| ConsumeContext {
            group: &config.group,
            queue: &queue.shown,
            messages,
            started,
        });
        if let Some(context) = &context {
            config.hooks.before(context);
        }
        let trace = self.shared.trace.as_ref();
        let traced = trace.map(|trace| (trace, trace.before(messages.iter())));
        let ended = self.handler.handle(queue, messages);
        if let Some((trace, begun)) = traced {
            let is_late = started.elapsed() >= config.consume_timeout;
            let outcomes = ended.iter().map(|ended| ended.traced(is_late));
            trace.after(&begun, messages.iter().zip(outcomes));
        }
        if let Some(context) = &context {
            let outcomes: Vec<_> = ended.iter().map(Ended::outcome).collect();
            config.hooks.after(context, &outcomes);
        }
        if let Some(topic) = self.shared.topics.get(queue.queue.topic()) {
            let handled = ended.iter().filter(|ended| matches!(ended, Ended::Ok));
            let handled = handled.count();
            let failed = ended.len() - handled;
            topic.counts.called(handled, failed, started.elapsed());
        }
        ended
    }

    fn settle(
        &self,
        queue: &Arc<Assigned>,
        ticket: Ticket,
        message: MessageView,
        ended: Ended,
    ) -> Result<(), Stale> {
        self.note(queue, &message, &ended);
        let outcome = match &ended {
            Ended::Ok => Outcome::Ok,
            Ended::Retry(retry) => Outcome::Retry(retry),
            Ended::Panicked => Outcome::Panicked,
        };
        let times = u32::try_from(message.reconsume_times()).unwrap_or(0);
        let level = match settle(self.shared.config.mode, &outcome, times, &self.limits) {
            Settlement::Done => return queue.finish(ticket),
            Settlement::Dropped => {
                self.shared.counters.dropped.add(1);
                let (shown, id) = (&queue.shown, message.message_id());
                logging::warn!(
                    target: LOG,
                    "{shown}: message {id} failed and is dropped: broadcasting has no retries"
                );
                return queue.finish(ticket);
            }
            Settlement::RetryHere { pause } => {
                return queue.put_back(ticket, Instant::now() + pause);
            }
            Settlement::SendBack { level } => i32::try_from(level).unwrap_or(i32::MAX),
            Settlement::DeadLetter => -1,
        };
        queue.settle(&ticket)?;
        self.shared.inbox.put(Event::GiveBack(Box::new(GivenBack {
            queue: queue.clone(),
            ticket,
            message,
            level,
        })));
        Ok(())
    }

    /// Counts a result. The error is the user's own, and is logged at debug.
    fn note(&self, queue: &Assigned, message: &MessageView, ended: &Ended) {
        let (queue, times) = (&queue.shown, message.reconsume_times());
        match ended {
            Ended::Ok => self.shared.counters.handled.add(1),
            Ended::Retry(retry) => {
                self.shared.counters.failed.add(1);
                let id = message.message_id();
                logging::debug!(target: LOG, "{queue}: message {id}, failure {}: {retry}", times + 1);
            }
            Ended::Panicked => {
                self.shared.counters.panicked.add(1);
                let id = message.message_id();
                logging::error!(target: LOG, "{queue}: message {id}: the handler panicked");
            }
        }
    }
}
