//! Changing when a message comes again, and giving it up as a dead letter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::acks::{SOON, ack_all, is_refusal};
use super::delivery::Delivery;
use super::popped::AckStatus;
use crate::consumer::fetch::growing;
use crate::consumer::pop::shared::{PopShared, Reply};
use crate::error::{Error, Result, SendFate};
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::consumer::back::SendBack;
use crate::protocol::consumer::pop::{Ack, ChangeAnswer, ChangeInvisible, Handle};
use crate::sync::channel;
use crate::transport::{Deadline, Outcome, Request};

/// The delay level of dead letters.
const DEAD_LETTER: i32 = -1;

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    Again,
    /// The broker knows no such delivery.
    Expired,
    Refused,
}

fn judge(code: i32) -> Verdict {
    match code {
        response::SUCCESS => Verdict::Done,
        response::MESSAGE_ILLEGAL | response::TOPIC_NOT_EXIST | response::NO_MESSAGE => {
            Verdict::Expired
        }
        code if is_refusal(code) => Verdict::Refused,
        _ => Verdict::Again,
    }
}

/// Hides a message for this time from now on.
///
/// # Errors
/// The broker refuses.
pub(in crate::consumer) fn hide(
    shared: &PopShared,
    delivery: &Delivery,
    invisible: Duration,
    deadline: Deadline,
) -> Result<AckStatus> {
    let outcome = hide_all(shared, &[delivery], invisible, deadline).pop();
    outcome.unwrap_or(Ok(AckStatus::Unknown))
}

/// A message that is being hidden.
struct Open<'a> {
    delivery: &'a Delivery,
    /// The answer to some request was not read.
    was_lost: bool,
    /// The handle in the open request, and when that was sent.
    sent: Option<(Handle, Instant)>,
    outcome: Option<Result<AckStatus>>,
}

/// Hides messages for this time from now on, all at once. Returns the outcome of each, in their order.
pub(in crate::consumer) fn hide_all(
    shared: &PopShared,
    deliveries: &[&Delivery],
    invisible: Duration,
    deadline: Deadline,
) -> Vec<Result<AckStatus>> {
    let mut open: Vec<Open<'_>> = deliveries
        .iter()
        .map(|delivery| Open {
            delivery,
            was_lost: false,
            sent: None,
            // There is nothing to hide any more.
            outcome: delivery.settled().map(|status| match status {
                AckStatus::Unknown => Ok(AckStatus::Unknown),
                _ => Ok(AckStatus::Expired),
            }),
        })
        .collect();
    for round in 0.. {
        let now = Instant::now();
        let is_late = deadline.has_passed(now) || shared.has_ended();
        for one in open.iter_mut().filter(|one| one.outcome.is_none()) {
            one.outcome = match one.delivery.is_expired(now) {
                true if one.was_lost => Some(Ok(AckStatus::Unknown)),
                true => Some(Ok(AckStatus::Expired)),
                false => is_late.then_some(Ok(AckStatus::Unknown)),
            };
        }
        if open.iter().all(|one| one.outcome.is_some()) {
            break;
        }
        if round > 0 {
            shared.pause(growing(25, round - 1).min(deadline.remaining(now)));
        }
        change(shared, &mut open, invisible, deadline);
    }
    let outcomes = open.into_iter();
    let outcomes = outcomes.map(|one| one.outcome.unwrap_or(Ok(AckStatus::Unknown)));
    outcomes.collect()
}

/// Sends the requests of all that are open, and takes the answers.
fn change(shared: &PopShared, open: &mut [Open<'_>], invisible: Duration, deadline: Deadline) {
    let (replies, answers) = channel::unbounded();
    for (index, one) in open.iter_mut().enumerate() {
        if one.outcome.is_some() {
            continue;
        }
        let (old, now) = (one.delivery.handle(), Instant::now());
        let Ok(address) = master(shared, one.delivery) else {
            continue;
        };
        let header = ChangeInvisible {
            ack: Ack::of(old.clone(), &one.delivery.topic, &shared.group),
            invisible_time: invisible.as_millis() as i64,
        };
        one.sent = Some((old, now));
        let asked = Request::new(request::CHANGE_MESSAGE_INVISIBLETIME, &header);
        let reply = Box::new(Reply(replies.clone(), index));
        shared.begin(&address, &asked, deadline.capped(now, SOON), reply);
    }
    // The answers end when all requests are answered.
    drop(replies);
    shared.gather(&answers, |index, (outcome, at)| {
        let one: &mut Open<'_> = &mut open[index];
        if let Some((old, sent)) = one.sent.take() {
            one.outcome = one.answered(outcome, &old, sent, at, invisible);
        }
    });
    for one in open.iter_mut().filter(|one| one.sent.is_some()) {
        one.sent = None;
        one.was_lost = true;
        one.delivery.renewal_was_lost();
    }
}

impl Open<'_> {
    /// The outcome, if this answer decides it.
    fn answered(
        &mut self,
        outcome: Outcome,
        old: &Handle,
        sent: Instant,
        at: Instant,
        invisible: Duration,
    ) -> Option<Result<AckStatus>> {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(error) => {
                if error.fate() == SendFate::MaybeStored {
                    self.was_lost = true;
                    self.delivery.renewal_was_lost();
                }
                return None;
            }
        };
        match judge(answer.code) {
            Verdict::Done => {
                let changed = ChangeAnswer::decode(&answer.ext).ok();
                let is_late = self.delivery.is_expired(at);
                let Some(handle) = changed.and_then(|changed| changed.handle(old)) else {
                    // It was acknowledged already, if it could be read.
                    return Some(Ok(match changed {
                        Some(_) => AckStatus::Expired,
                        None => AckStatus::Unknown,
                    }));
                };
                self.delivery.renewed(handle, invisible, sent);
                Some(Ok(match is_late || self.was_lost {
                    true => AckStatus::Unknown,
                    false => AckStatus::Confirmed,
                }))
            }
            Verdict::Expired if self.was_lost => Some(Ok(AckStatus::Unknown)),
            Verdict::Expired => Some(Ok(AckStatus::Expired)),
            Verdict::Refused => Some(Err(refusal(&answer))),
            Verdict::Again => None,
        }
    }
}

/// Puts a copy of the message into the group's dead letter topic, and acknowledges it.
///
/// # Errors
/// The broker refuses.
pub(in crate::consumer) fn dead_letter(
    shared: &PopShared,
    delivery: &Delivery,
    deadline: Deadline,
) -> Result<AckStatus> {
    if let Some(status) = delivery.settled() {
        return Ok(match status {
            AckStatus::Unknown => AckStatus::Unknown,
            _ => AckStatus::Expired,
        });
    }
    let handle = delivery.handle();
    let header = SendBack {
        offset: delivery.commit_log_offset,
        group: shared.group.to_string(),
        delay_level: DEAD_LETTER,
        origin_message_id: Some(delivery.message_id().to_owned()),
        origin_topic: Some(handle.mark.real_topic(&delivery.topic, &shared.group)),
        unit_mode: false,
        max_reconsume_times: Some(0),
        broker_name: Some(handle.broker.clone()),
    };
    let asked = Request::new(request::CONSUMER_SEND_MSG_BACK, &header);
    for round in 0.. {
        let now = Instant::now();
        if delivery.is_expired(now) {
            return Ok(AckStatus::Expired);
        }
        if deadline.has_passed(now) || shared.has_ended() {
            break;
        }
        if let Ok((answer, _)) = ask(shared, delivery, &asked, deadline) {
            match judge(answer.code) {
                Verdict::Done => {
                    let acked = ack_all(shared, &[delivery], deadline).pop();
                    return acked.unwrap_or(Ok(AckStatus::Unknown));
                }
                Verdict::Refused => return Err(refusal(&answer)),
                Verdict::Expired | Verdict::Again => {}
            }
        }
        shared.pause(growing(25, round).min(deadline.remaining(Instant::now())));
    }
    Ok(AckStatus::Unknown)
}

fn ask(
    shared: &PopShared,
    delivery: &Delivery,
    asked: &Request<'_>,
    deadline: Deadline,
) -> Result<(Command, Instant)> {
    let address = master(shared, delivery)?;
    let deadline = deadline.capped(Instant::now(), SOON);
    shared.ask(&address, asked, deadline)
}

/// The address of the broker that has the message.
fn master(shared: &PopShared, delivery: &Delivery) -> Result<Arc<str>> {
    shared.master(&delivery.handle().broker).inspect_err(|_| {
        shared.core.refresh_soon(&delivery.topic);
    })
}

fn refusal(answer: &Command) -> Error {
    Error::response(answer.code, answer.remark.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_means_done_again_expired_or_refused() {
        use Verdict::{Again, Done, Expired, Refused};
        for (code, expected) in [
            (0, Done),
            (1, Again),
            (2, Again),
            (215, Again),
            (1500, Again),
            (13, Expired),
            (17, Expired),
            (208, Expired),
            (3, Refused),
            (16, Refused),
            (26, Refused),
            (29, Refused),
        ] {
            assert_eq!(judge(code), expected, "{code}");
        }
    }
}
