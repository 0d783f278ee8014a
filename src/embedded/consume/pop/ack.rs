//! Acknowledgements of popped messages, and changes of their invisible time.

use super::hide::{acknowledge, hide};
use super::request::wake_later;
use crate::embedded::broker::BrokerState;
use crate::embedded::consume::check::Refused;
use crate::embedded::groups::{InOrder, QueueKey};
use crate::embedded::server::bad_request;
use crate::protocol::Command;
use crate::protocol::code::response;
use crate::protocol::consumer::pop::{Ack, BatchAck, ChangeAnswer, ChangeInvisible, Handle};

/// Acknowledges a message (200051). A late acknowledgement is answered with success too.
pub(in crate::embedded) fn ack(broker: &BrokerState, request: &Command) -> Command {
    let ack = match Ack::decode(&request.ext) {
        Ok(ack) => ack,
        Err(error) => return bad_request(request, &error),
    };
    let done = check(broker, &ack, false).and_then(|key| match ack.handle.is_in_order() {
        true => acknowledge_in_order(broker, &key, &ack.handle),
        false => {
            acknowledge(broker, &key, &ack.handle);
            Ok(())
        }
    });
    match done {
        Ok(()) => Command::response_to(request, response::SUCCESS),
        Err(refused) => refused.answer(broker, request),
    }
}

/// Acknowledges several messages (200151). The answer is success in any case.
pub(in crate::embedded) fn ack_batch(broker: &BrokerState, request: &Command) -> Command {
    let batch = match BatchAck::decode(&request.body) {
        Ok(batch) => batch,
        Err(error) => return bad_request(request, &error),
    };
    for one in &batch.acks {
        let topic = one.mark().real_topic(&one.topic, &one.consumer_group);
        let key = QueueKey::new(&one.consumer_group, &topic, one.queue_id);
        for queue_offset in one.offsets() {
            let handle = Handle {
                start_offset: one.start_offset,
                pop_time: one.pop_time,
                invisible_time: one.invisible_time,
                revive_queue: one.revive_queue,
                mark: one.mark(),
                broker: batch.broker_name.clone(),
                queue_id: one.queue_id,
                queue_offset,
            };
            match handle.is_in_order() {
                // Messages that cannot be acknowledged are skipped.
                true => drop(acknowledge_in_order(broker, &key, &handle)),
                false => acknowledge(broker, &key, &handle),
            }
        }
    }
    Command::response_to(request, response::SUCCESS)
}

/// Changes the time until which a message is hidden (200053).
pub(in crate::embedded) fn change_invisible(broker: &BrokerState, request: &Command) -> Command {
    let change = match ChangeInvisible::decode(&request.ext) {
        Ok(change) => change,
        Err(error) => return bad_request(request, &error),
    };
    match changed(broker, &change) {
        Ok(answer) => Command::response_to(request, response::SUCCESS).with_fields(&answer),
        Err(refused) => refused.answer(broker, request),
    }
}

fn changed(broker: &BrokerState, change: &ChangeInvisible) -> Result<ChangeAnswer, Refused> {
    let old = &change.ack.handle;
    let key = check(broker, &change.ack, true)?;
    let now = broker.clock.now();
    if old.is_in_order() {
        // The time counts from the pop on.
        let until = now.saturating_add(change.invisible_time);
        let is_open = broker.pops.with_batch(&key, |batch| {
            let batch = batch.as_mut();
            batch.is_some_and(|batch| batch.change(old.queue_offset, old.pop_time, until))
        });
        wake_later(broker, &key.group, change.invisible_time);
        let zero = ChangeAnswer {
            pop_time: 0,
            invisible_time: 0,
            revive_queue: 0,
        };
        return Ok(match is_open {
            true => ChangeAnswer {
                pop_time: old.pop_time,
                invisible_time: until - old.pop_time,
                revive_queue: old.revive_queue,
            },
            false => zero,
        });
    }
    let answer = ChangeAnswer {
        pop_time: now,
        invisible_time: change.invisible_time,
        revive_queue: old.revive_queue,
    };
    acknowledge(broker, &key, old);
    // Like real brokers, this does not check that the old handle was valid.
    let queue = broker.queue(&key.topic, key.queue_id);
    let message = broker
        .store
        .read(queue, old.queue_offset, 1, usize::MAX)
        .pop();
    if let (Some(handle), Some(message)) = (answer.handle(old), message) {
        hide(broker, &key, &handle, &message);
    }
    Ok(answer)
}

fn acknowledge_in_order(
    broker: &BrokerState,
    key: &QueueKey,
    handle: &Handle,
) -> Result<(), Refused> {
    let acknowledged = broker.pops.with_batch(key, |batch| match batch {
        Some(batch) => batch.acknowledge(handle.queue_offset, handle.pop_time),
        None => InOrder::Commit(handle.queue_offset.saturating_add(1)),
    });
    match acknowledged {
        InOrder::Commit(offset) => {
            broker.offsets.commit(key, offset, broker.clock.now());
            broker.changes.note();
            broker.parked.wake(&key.group);
            Ok(())
        }
        InOrder::Late => Ok(()),
        InOrder::Unknown => {
            let remark = format!(
                "offset is illegal, key:{key:?}, offset:{}",
                handle.queue_offset
            );
            Err(Refused::new(response::MESSAGE_ILLEGAL, remark))
        }
    }
}

/// The queue of a message, if it exists. `before_end`: the message itself must exist too.
fn check(broker: &BrokerState, ack: &Ack, before_end: bool) -> Result<QueueKey, Refused> {
    let (topic, handle) = (&ack.topic, &ack.handle);
    let Some((_, config)) = broker.topics.find(topic, broker.index) else {
        let remark = format!("topic {topic} not exist, apply first please!");
        return Err(Refused::new(response::TOPIC_NOT_EXIST, remark));
    };
    if !(0..config.read_queues).contains(&handle.queue_id) {
        let remark = format!(
            "queueId[{}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{}]",
            handle.queue_id, config.read_queues
        );
        return Err(Refused::new(response::MESSAGE_ILLEGAL, remark));
    }
    let (min, max) = broker.store.bounds(broker.queue(topic, handle.queue_id));
    let end = if before_end { max - 1 } else { max };
    if !(min..=end).contains(&handle.queue_offset) {
        let remark = format!(
            "offset is illegal, key:{topic}, queueId:{}, offset:{}, commitOffset:[{min},{max}]",
            handle.queue_id, handle.queue_offset
        );
        return Err(Refused::new(response::NO_MESSAGE, remark));
    }
    let group = &ack.consumer_group;
    Ok(QueueKey::new(group, topic, handle.queue_id))
}
