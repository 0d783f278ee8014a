//! Acknowledging messages: until their broker has answered, their time is over, or the deadline has come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::delivery::Delivery;
use super::popped::{AckStatus, Acking};
use crate::consumer::fetch::growing;
use crate::consumer::pop::shared::{Answered, PopShared, Reply};
use crate::error::{Error, Result, SendFate};
use crate::protocol::code::{request, response};
use crate::protocol::consumer::pop::{Ack, BatchAck, Handle};
use crate::sync::channel::{self, Sender};
use crate::transport::{Deadline, Outcome, Request};

/// How long a broker has for one answer.
pub(super) const SOON: Duration = Duration::from_secs(3);

/// A message that is being acknowledged.
struct Open<'a> {
    delivery: &'a Delivery,
    acking: Acking,
    /// A request of its own: its broker does not take several at once.
    is_alone: bool,
    outcome: Option<Result<AckStatus>>,
}

/// Acknowledges messages, and returns what became of each, in their order. Those of one broker and topic
/// share a request.
pub(in crate::consumer) fn ack_all(
    shared: &PopShared,
    deliveries: &[&Delivery],
    deadline: Deadline,
) -> Vec<Result<AckStatus>> {
    let mut open: Vec<Open<'_>> = deliveries
        .iter()
        .map(|delivery| Open {
            delivery,
            acking: delivery.acking(deadline),
            is_alone: false,
            outcome: delivery.settled().map(Ok),
        })
        .collect();
    for round in 0.. {
        let now = Instant::now();
        for one in open.iter_mut().filter(|one| one.outcome.is_none()) {
            if !one.acking.may_send(now) || shared.has_ended() {
                one.outcome = Some(Ok(one.acking.give_up(now)));
            }
        }
        if open.iter().all(|one| one.outcome.is_some()) {
            break;
        }
        if round > 0 {
            let pause = growing(25, round).min(deadline.remaining(now));
            shared.pause(pause);
        }
        send(shared, &mut open, deadline);
    }
    let outcomes = open.into_iter().map(|one| {
        let outcome = one.outcome.unwrap_or(Ok(AckStatus::Unknown));
        if let Ok(status) = &outcome {
            one.delivery.settle(*status);
        }
        outcome
    });
    outcomes.collect()
}

/// Sends the acks of all that are open, and takes the answers.
fn send(shared: &PopShared, open: &mut [Open<'_>], deadline: Deadline) {
    let mut by_broker: BTreeMap<(String, Arc<str>), Vec<Member>> = BTreeMap::new();
    let mut alone = Vec::new();
    for (index, one) in open.iter().enumerate() {
        if one.outcome.is_some() {
            continue;
        }
        let handle = one.delivery.handle();
        let topic = one.delivery.topic.clone();
        match one.is_alone {
            true => alone.push((topic, (index, handle))),
            false => {
                let members = by_broker.entry((handle.broker.clone(), topic));
                members.or_default().push((index, handle));
            }
        }
    }
    let (replies, answers) = channel::unbounded();
    let sending = Sending {
        shared,
        replies,
        deadline: deadline.capped(Instant::now(), SOON),
    };
    for ((broker, topic), members) in by_broker {
        let left = match members.len() {
            1 => members,
            _ => sending.together(&broker, &topic, members),
        };
        alone.extend(left.into_iter().map(|member| (topic.clone(), member)));
    }
    for (topic, (index, handle)) in alone {
        sending.alone(&topic, index, handle);
    }
    // The answers end when all requests are answered.
    drop(sending);
    let mut asked: BTreeSet<usize> = (0..open.len())
        .filter(|n| open[*n].outcome.is_none())
        .collect();
    shared.gather(&answers, |about, (outcome, at)| {
        for index in &about.indexes {
            asked.remove(index);
            take(&mut open[*index], about.is_together, &outcome, at);
        }
    });
    for index in asked {
        open[index].acking.unanswered();
    }
}

/// The place of a message among all, and its handle.
type Member = (usize, Handle);

/// Which messages a request is about.
struct About {
    indexes: Vec<usize>,
    is_together: bool,
}

struct Sending<'a> {
    shared: &'a PopShared,
    replies: Sender<(About, Answered)>,
    deadline: Deadline,
}

impl Sending<'_> {
    /// Acknowledges messages of one broker with one request. Returns those that do not fit.
    fn together(&self, broker: &str, topic: &Arc<str>, members: Vec<Member>) -> Vec<Member> {
        let (indexes, handles): (Vec<usize>, Vec<Handle>) = members.into_iter().unzip();
        let (batch, left) = BatchAck::of(broker, topic, &self.shared.group, &handles);
        let (mut together, mut alone) = (Vec::new(), Vec::new());
        for (index, handle) in indexes.iter().zip(&handles) {
            match left.contains(&handle) {
                true => alone.push((*index, handle.clone())),
                false => together.push(*index),
            }
        }
        if !together.is_empty() {
            let about = About {
                indexes: together,
                is_together: true,
            };
            let body = Arc::new(batch.encode());
            let asked = Request::new(request::BATCH_ACK_MESSAGE, &()).with_body(&body);
            self.send(broker, topic, &asked, about);
        }
        alone
    }

    fn alone(&self, topic: &Arc<str>, index: usize, handle: Handle) {
        let broker = handle.broker.clone();
        let header = Ack::of(handle, topic, &self.shared.group);
        let about = About {
            indexes: vec![index],
            is_together: false,
        };
        let asked = Request::new(request::ACK_MESSAGE, &header);
        self.send(&broker, topic, &asked, about);
    }

    fn send(&self, broker: &str, topic: &Arc<str>, asked: &Request<'_>, about: About) {
        let reply = Reply(self.replies.clone(), about);
        match self.shared.master(broker) {
            Ok(address) => {
                let (shared, deadline) = (self.shared, self.deadline);
                shared.begin(&address, asked, deadline, Box::new(reply));
            }
            Err(error) => {
                self.shared.core.refresh_soon(topic);
                let Reply(replies, about) = reply;
                let _ = replies.send((about, (Err(error), Instant::now())));
            }
        }
    }
}

/// Takes an answer, or the lack of one.
fn take(one: &mut Open<'_>, is_together: bool, outcome: &Outcome, at: Instant) {
    match outcome {
        Ok(answer) if is_together && answer.code == response::REQUEST_CODE_NOT_SUPPORTED => {
            one.is_alone = true;
        }
        Ok(answer) if is_refusal(answer.code) => {
            let error = Error::response(answer.code, answer.remark.as_deref());
            one.outcome = Some(Err(error));
        }
        Ok(answer) => one.outcome = one.acking.answered(answer.code, at).map(Ok),
        Err(error) if error.fate() == SendFate::MaybeStored => one.acking.unanswered(),
        Err(_) => {}
    }
}

/// Whether the broker will answer in the same way again.
pub(super) fn is_refusal(code: i32) -> bool {
    matches!(
        code,
        response::NO_PERMISSION
            | response::REQUEST_CODE_NOT_SUPPORTED
            | response::SUBSCRIPTION_GROUP_NOT_EXIST
            | response::INVALID_PARAMETER
    )
}
