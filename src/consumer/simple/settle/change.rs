//! Changing when a message comes again, and giving it up as a dead letter.

use std::time::{Duration, Instant};

use super::acks::{SOON, ack_all, is_refusal};
use super::delivery::Delivery;
use super::popped::AckStatus;
use crate::consumer::fetch::growing;
use crate::consumer::simple::shared::SimpleShared;
use crate::error::{Error, Result, SendFate};
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::consumer::back::SendBack;
use crate::protocol::consumer::pop::{Ack, ChangeAnswer, ChangeInvisible};
use crate::transport::{Deadline, Request};

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
pub(in crate::consumer::simple) fn hide(
    shared: &SimpleShared,
    delivery: &Delivery,
    invisible: Duration,
    deadline: Deadline,
) -> Result<AckStatus> {
    if let Some(status) = delivery.settled() {
        // There is nothing to hide any more.
        return Ok(match status {
            AckStatus::Unknown => AckStatus::Unknown,
            _ => AckStatus::Expired,
        });
    }
    let mut was_lost = false;
    for round in 0.. {
        let sent = Instant::now();
        if delivery.is_expired(sent) {
            break;
        }
        if deadline.has_passed(sent) || shared.has_ended() {
            return Ok(AckStatus::Unknown);
        }
        let old = delivery.handle();
        let header = ChangeInvisible {
            ack: Ack::of(old.clone(), &delivery.topic, &shared.group),
            invisible_time: invisible.as_millis() as i64,
        };
        let asked = Request::new(request::CHANGE_MESSAGE_INVISIBLETIME, &header);
        match ask(shared, delivery, &asked, deadline) {
            Ok((answer, at)) => match judge(answer.code) {
                Verdict::Done => {
                    let changed = ChangeAnswer::decode(&answer.ext).ok();
                    let is_late = delivery.is_expired(at);
                    let Some(handle) = changed.and_then(|changed| changed.handle(&old)) else {
                        // It was acknowledged already, if it could be read.
                        return Ok(match changed {
                            Some(_) => AckStatus::Expired,
                            None => AckStatus::Unknown,
                        });
                    };
                    delivery.renewed(handle, invisible, sent);
                    return Ok(match is_late || was_lost {
                        true => AckStatus::Unknown,
                        false => AckStatus::Confirmed,
                    });
                }
                Verdict::Expired if was_lost => return Ok(AckStatus::Unknown),
                Verdict::Expired => return Ok(AckStatus::Expired),
                Verdict::Refused => return Err(refusal(&answer)),
                Verdict::Again => {}
            },
            Err(error) if error.fate() == SendFate::MaybeStored => {
                was_lost = true;
                delivery.renewal_was_lost();
            }
            Err(_) => {}
        }
        shared.pause(growing(25, round).min(deadline.remaining(Instant::now())));
    }
    Ok(match was_lost {
        true => AckStatus::Unknown,
        false => AckStatus::Expired,
    })
}

/// Puts a copy of the message into the group's dead letter topic, and acknowledges it.
///
/// # Errors
/// The broker refuses.
pub(in crate::consumer::simple) fn dead_letter(
    shared: &SimpleShared,
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
        origin_message_id: Some(delivery.message_id.clone()),
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
    shared: &SimpleShared,
    delivery: &Delivery,
    asked: &Request<'_>,
    deadline: Deadline,
) -> Result<(Command, Instant)> {
    let address = shared.master(&delivery.handle().broker).inspect_err(|_| {
        shared.core.refresh_soon(&delivery.topic);
    })?;
    let deadline = deadline.capped(Instant::now(), SOON);
    shared.ask(&address, asked, deadline)
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
