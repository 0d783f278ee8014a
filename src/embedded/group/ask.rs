//! Requests of brokers to the members of a group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;

use super::Group;
use crate::embedded::consume::push_reset;
use crate::embedded::groups::Kind;
use crate::embedded::store::StoredMessage;
use crate::error::{Error, ErrorKind, Result, Wait};
use crate::message::MessageQueue;
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::consumer::asked::{
    ConsumeDirectly, ConsumerOffsets, DirectResult, OffsetsQuery, RunningInfo, RunningInfoQuery,
};

/// The time limit for an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// Requests of brokers to its members.
///
/// A request goes to one client, over the connection of its heartbeats. It fails with kind `Broker` and code
/// 206 if no broker knows the client as a member, and with the client's code if it refuses; with `Timeout`
/// after 20 s without an answer, and with `Disconnected` if the connection ends before.
impl Group<'_> {
    /// Resets the group's offset in a queue, forwards or backwards, as an administrator does. Brokers of
    /// 5.4.0 commit the offset, ignore other commits until the next pull, and answer that pull with code 21
    /// and the offset. Brokers of 4.9.7 only notify the members ([`push_reset`](Group::push_reset)).
    pub fn reset_offset(&self, queue: &MessageQueue, offset: i64) {
        let Some(broker) = self.broker_of(queue) else {
            return;
        };
        let state = &broker.state;
        if !state.settings.release.is_5() {
            self.push_reset(&BTreeMap::from([(queue.clone(), offset)]));
            return;
        }
        let now = state.clock.now();
        state.offsets.reset(&self.key(queue), offset, now);
        state.changes.note();
    }

    /// Has the brokers of these queues notify the members of a reset (220), as brokers before 5.2.0 do. The
    /// queues are of one topic. Returns the number of connections notified; nothing is committed.
    pub fn push_reset(&self, offsets: &BTreeMap<MessageQueue, i64>) -> usize {
        let told = self.brokers.iter().map(|broker| {
            let own = offsets
                .iter()
                .filter(|(queue, _)| queue.broker() == broker.name());
            let own: BTreeMap<_, _> = own
                .map(|(queue, offset)| (queue.clone(), *offset))
                .collect();
            match own.keys().next().map(|queue| queue.topic().to_owned()) {
                Some(topic) => push_reset(&broker.state, self.name, &topic, -1, &own),
                None => 0,
            }
        });
        told.sum()
    }

    /// Asks a member for the offsets that it has in memory for a topic (221).
    ///
    /// # Errors
    /// See above: the client is no member, refuses, or does not answer.
    pub fn ask_status(&self, client_id: &str, topic: &str) -> Result<BTreeMap<MessageQueue, i64>> {
        let query = OffsetsQuery {
            topic: topic.to_owned(),
            group: self.name.to_owned(),
            client_address: None,
        };
        let ask = Command::request(request::GET_CONSUMER_STATUS_FROM_CLIENT).with_fields(&query);
        let answer = self.ask(client_id, ask)?;
        let offsets = ConsumerOffsets::decode(&answer.body)?;
        Ok(offsets.message_queue_table)
    }

    /// Asks a member for its state (307); `stacks`: with the stacks of its threads.
    ///
    /// # Errors
    /// See above: the client is no member, refuses, or does not answer.
    pub fn running_info(&self, client_id: &str, stacks: bool) -> Result<RunningInfo> {
        let query = RunningInfoQuery {
            consumer_group: self.name.to_owned(),
            client_id: Some(client_id.to_owned()),
            jstack: stacks,
        };
        let ask = Command::request(request::GET_CONSUMER_RUNNING_INFO).with_fields(&query);
        let answer = self.ask(client_id, ask)?;
        Ok(RunningInfo::decode(&answer.body)?)
    }

    /// Has a member consume one message now (309).
    ///
    /// # Errors
    /// See above: the client is no member, refuses, or does not answer.
    pub fn consume_directly(
        &self,
        client_id: &str,
        message: &StoredMessage,
    ) -> Result<DirectResult> {
        let direct = ConsumeDirectly {
            consumer_group: self.name.to_owned(),
            client_id: Some(client_id.to_owned()),
            message_id: Some(message.offset_message_id()),
            broker_name: Some(message.broker().to_owned()),
            topic: Some(message.topic().to_owned()),
            topic_sys_flag: None,
            group_sys_flag: None,
        };
        let ask = Command::request(request::CONSUME_MESSAGE_DIRECTLY).with_fields(&direct);
        let answer = self.ask(client_id, ask.with_body(message.encoded().to_vec()))?;
        Ok(DirectResult::decode(&answer.body)?)
    }

    fn ask(&self, client_id: &str, question: Command) -> Result<Arc<Command>> {
        let mut asked = self.brokers.iter().filter_map(|broker| {
            let state = &broker.state;
            let members = state.members.of(Kind::Consumer, self.name);
            let member = members.iter().rev().find(|m| m.client_id == client_id)?;
            let connection = member.origin.connection;
            state.asked.ask(connection, || {
                state.connections.push(connection, question.clone())
            })
        });
        let Some(answer) = asked.next() else {
            let remark = format!("the consumer {} {client_id} is not online", self.name);
            return Err(Error::response(
                response::CONSUMER_NOT_ONLINE,
                Some(&remark),
            ));
        };
        let answer = answer
            .recv_timeout(ANSWERED_WITHIN)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => Error::timeout(Wait::Response),
                RecvTimeoutError::Disconnected => {
                    Error::new(ErrorKind::Disconnected, "the client's connection has ended")
                }
            })?;
        match answer.code {
            response::SUCCESS => Ok(answer),
            code => Err(Error::response(code, answer.remark.as_deref())),
        }
    }
}
