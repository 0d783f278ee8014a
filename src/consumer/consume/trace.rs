//! Message trace of a consumer: a record when a message goes to user code, and one when that has ended with
//! it.

use std::sync::Arc;
use std::time::Instant;

use crate::client::{Client, ClientCore, Throttle};
use crate::consumer::LOG;
use crate::error::Result;
use crate::logging;
use crate::message::{MessageView, name};
use crate::protocol::trace::{Consumed, Record};
use crate::send::{Loss, Traced, Tracer, unique_key};
use crate::transport::{Deadline, epoch_millis};

/// The most records that are queued as one: a large batch must not fill the queue alone.
const MOST_RECORDS: u64 = 32;

/// The trace of a running consumer. User code never waits for it.
pub(crate) struct Trace {
    tracer: Tracer,
    /// Without its namespace.
    group: Arc<str>,
    core: Arc<ClientCore>,
}

/// Messages that user code has, with the id that their records share.
pub(crate) struct Begun {
    request_id: String,
    at: Instant,
    messages: usize,
}

impl Trace {
    /// Starts the trace if it has a topic. A trace that cannot start is a warning: the consumer does start.
    /// `lost` gets the number of records whenever some are lost; a warning is logged too.
    pub(crate) fn start(
        client: &Client,
        group: &Arc<str>,
        topic: Option<&Arc<str>>,
        lost: impl Fn(u64) + Send + Sync + 'static,
    ) -> Option<Arc<Trace>> {
        let core = client.inner().clone();
        let names = core.config.rpc.names();
        let group = names.for_users(&names.on_wire(group));
        match start(client, &group, topic?, lost) {
            Ok(tracer) => Some(Arc::new(Trace {
                tracer,
                group,
                core,
            })),
            Err(error) => {
                logging::warn!(target: LOG, "{group}: message trace is off: {error}");
                None
            }
        }
    }

    /// Sends what waits, until the deadline.
    pub(crate) fn close(&self, deadline: Deadline) {
        self.tracer.close(deadline);
    }

    /// User code gets these messages.
    pub(crate) fn before<'a>(
        &self,
        messages: impl ExactSizeIterator<Item = &'a MessageView>,
    ) -> Begun {
        let timestamp = epoch_millis();
        let begun = Begun {
            request_id: unique_key(&self.core.identity, timestamp),
            at: Instant::now(),
            messages: messages.len(),
        };
        self.add(messages.map(|message| (message, ())), |message, ()| {
            let record = Record::SubBefore {
                timestamp,
                region: message.property(name::MSG_REGION),
                group: &self.group,
                request_id: &begun.request_id,
                message_id: &message.message_id(),
                retries: message.reconsume_times(),
                keys: message.property(name::KEYS),
            };
            record.encode()
        });
        begun
    }

    /// User code has ended with messages that it [got](Trace::before).
    pub(crate) fn after<'a>(
        &self,
        begun: &Begun,
        outcomes: impl IntoIterator<Item = (&'a MessageView, Consumed)>,
    ) {
        let (timestamp, took) = (epoch_millis(), begun.at.elapsed().as_millis());
        self.add(outcomes, |message, outcome| {
            let record = Record::SubAfter {
                request_id: &begun.request_id,
                message_id: &message.message_id(),
                cost: took / begun.messages.max(1) as u128,
                outcome,
                keys: message.property(name::KEYS),
                timestamp,
                group: &self.group,
            };
            record.encode()
        });
    }

    fn add<'a, T>(
        &self,
        messages: impl IntoIterator<Item = (&'a MessageView, T)>,
        record: impl Fn(&MessageView, T) -> String,
    ) {
        for traced in gather(self.tracer.topic(), messages, record) {
            self.tracer.add(traced);
        }
    }
}

fn start(
    client: &Client,
    group: &Arc<str>,
    topic: &Arc<str>,
    lost: impl Fn(u64) + Send + Sync + 'static,
) -> Result<Tracer> {
    let own_group = format!("_INNER_TRACE_PRODUCER-{group}-CONSUME-0");
    let (warnings, group) = (Throttle::default(), group.clone());
    let on_loss = move |records: u64, loss: Loss<'_>| {
        lost(records);
        let (level, more) = warnings.level(Instant::now());
        logging::log!(target: LOG, level, "{group}: {records} trace records were lost: {loss}{more}");
    };
    Tracer::start(client, own_group, topic, Arc::new(on_loss))
}

/// The records of messages, those of one topic together. Left out are messages whose broker does not want
/// them traced, and records themselves: each would bring about the next.
fn gather<'a, T>(
    trace_topic: &str,
    messages: impl IntoIterator<Item = (&'a MessageView, T)>,
    record: impl Fn(&MessageView, T) -> String,
) -> Vec<Traced> {
    let mut gathered: Vec<Traced> = Vec::new();
    for (message, more) in messages {
        let topic = message.topic();
        let is_wanted = message.property(name::TRACE_ON) != Some("false");
        if !is_wanted || topic.starts_with(trace_topic) {
            continue;
        }
        let goes_on = |last: &Traced| last.topic() == topic && last.records() < MOST_RECORDS;
        if !gathered.last().is_some_and(goes_on) {
            gathered.push(Traced::about(topic));
        }
        if let Some(open) = gathered.last_mut() {
            let (id, keys) = (message.message_id(), message.property(name::KEYS));
            open.add(&record(message, more), &id, keys);
        }
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::Record as Stored;

    fn message(topic: &str, properties: &str) -> MessageView {
        let stored = Stored {
            properties,
            ..Stored::plain(topic, b"x")
        };
        stored.view(1000).expect("a message")
    }

    #[test]
    fn messages_of_one_topic_leave_together_and_unwanted_ones_are_left_out() {
        let check = |messages: &[(&str, &str)], expected: &[(&str, u64)]| {
            let messages: Vec<_> = messages.iter().map(|(t, p)| message(t, p)).collect();
            let each = messages.iter().map(|message| (message, ()));
            let gathered = gather("Trace", each, |_, ()| "record".to_owned());
            let got = gathered
                .iter()
                .map(|traced| (traced.topic(), traced.records()));
            assert_eq!(got.collect::<Vec<_>>(), expected);
        };
        let (on, off) = ("TRACE_ON\u{1}true\u{2}", "TRACE_ON\u{1}false\u{2}");
        check(&[], &[]);
        check(&[("T", on), ("T", off), ("T", "")], &[("T", 2)]);
        check(&[("T", off), ("Trace", on), ("Trace-1", on)], &[]);
        check(
            &[("T", on), ("U", on), ("U", on), ("T", on)],
            &[("T", 1), ("U", 2), ("T", 1)],
        );
        check(&[("T", on); 70], &[("T", 32), ("T", 32), ("T", 6)]);
    }
}
