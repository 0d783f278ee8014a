//! The decision after an attempt. Pure: one table, one row per rule.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::error::{Error, ErrorKind, SendFate, is_wrong_signature};
use crate::message::SendStatus;
use crate::protocol::code::response;

/// Java's retryable codes (`DefaultMQProducer`, 5.4.0).
pub(super) const DEFAULT_CODES: [i32; 8] = [
    response::TOPIC_NOT_EXIST,
    response::SERVICE_NOT_AVAILABLE,
    response::SYSTEM_ERROR,
    response::SYSTEM_BUSY,
    response::NO_PERMISSION,
    response::NO_BUYER_ID,
    response::NOT_IN_CURRENT_UNIT,
    response::GO_AWAY,
];

/// The pause before a retry at a busy broker, or at the only one.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// The pause before a name server is asked once more about a queue that is gone.
const NEWS_PAUSE: Duration = Duration::from_millis(200);

/// The configured part of the decision.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) codes: BTreeSet<i32>,
    pub(crate) another_broker_when_not_stored: bool,
    pub(crate) retry_maybe_stored: bool,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome<'a> {
    Stored(SendStatus),
    Refused { code: i32, remark: &'a str },
    Failed(&'a Error),
}

/// The state of the send after an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    /// Attempts that may still be made.
    pub(super) left: u32,
    /// The queue was given, or chosen by a key or selector: it never changes, and order would
    /// suffer from a retry.
    pub(super) fixed_queue: bool,
    /// Another broker has queues of this topic.
    pub(super) other_broker: bool,
    /// The route was looked up anew because of this send.
    pub(super) refreshed: bool,
    /// The peer has already answered GO_AWAY to this attempt.
    pub(super) went_away: bool,
    /// No broker was reached: the address is in back-off for this long yet, which is within the deadline.
    /// Said once for an attempt.
    pub(super) held_back: Option<Duration>,
    /// Several attempts in a row reached no broker.
    pub(super) all_in_backoff: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The message is stored: return the receipt.
    Accept,
    /// It was not executed: the same once more over a new connection, not counted as an attempt.
    Resend { pause: Duration },
    /// Look the route up after a pause, then make another attempt.
    RefreshAndRetry { pause: Duration },
    /// Another attempt, on another broker if there is one.
    Retry { pause: Duration },
    /// Return the error.
    Fail,
}

pub(super) fn judge(policy: &Policy, at: &Situation, outcome: Outcome<'_>) -> Verdict {
    let now = Verdict::Retry {
        pause: Duration::ZERO,
    };
    let may_retry = at.left > 0 && !at.fixed_queue;
    match outcome {
        Outcome::Stored(SendStatus::Ok) => Verdict::Accept,
        Outcome::Stored(_) if policy.another_broker_when_not_stored && may_retry => now,
        Outcome::Stored(_) => Verdict::Accept,
        Outcome::Refused {
            code: response::GO_AWAY,
            ..
        } if !at.went_away => Verdict::Resend {
            pause: Duration::ZERO,
        },
        // With only one queue, an attempt does not end before its broker was reached.
        Outcome::Failed(_) if at.fixed_queue && at.held_back.is_some() => Verdict::Resend {
            pause: at.held_back.unwrap_or_default(),
        },
        _ if !may_retry => Verdict::Fail,
        Outcome::Refused { code, remark } if is_wrong_queue(code, remark) => {
            // Brokers inform name servers a moment later.
            let pause = if at.refreshed {
                NEWS_PAUSE
            } else {
                Duration::ZERO
            };
            Verdict::RefreshAndRetry { pause }
        }
        Outcome::Refused { code, remark } => {
            let may_duplicate = may_be_stored(code, Some(remark));
            // No retry can fix a signature.
            let in_vain = !policy.codes.contains(&code) || is_wrong_signature(code.into(), remark);
            if in_vain || (may_duplicate && !policy.retry_maybe_stored) {
                Verdict::Fail
            } else if matches!(
                code,
                response::SYSTEM_BUSY | response::SERVICE_NOT_AVAILABLE
            ) {
                Verdict::Retry { pause: BUSY_PAUSE }
            } else {
                now
            }
        }
        Outcome::Failed(error) => match error.kind() {
            _ if error.fate() == SendFate::MaybeStored && !policy.retry_maybe_stored => {
                Verdict::Fail
            }
            ErrorKind::Connect | ErrorKind::Tls if !at.other_broker || at.all_in_backoff => {
                // Its address is in back-off; trying earlier would fail at once.
                Verdict::Retry {
                    pause: error.retry_after().unwrap_or(BUSY_PAUSE),
                }
            }
            ErrorKind::Connect
            | ErrorKind::Tls
            | ErrorKind::Dns
            | ErrorKind::Disconnected
            | ErrorKind::Timeout
            | ErrorKind::Protocol => now,
            _ => Verdict::Fail,
        },
    }
}

/// Whether an answer without a receipt leaves open that the broker stored the message: one code does.
pub(super) fn may_be_stored(code: i32, remark: Option<&str>) -> bool {
    let remark = remark.unwrap_or_default();
    let refused = is_wrong_signature(code.into(), remark) || is_wrong_queue(code, remark);
    code == response::SYSTEM_ERROR && !refused
}

/// The queue is not there (any more): a logical one may have moved. Brokers 4.x answer that too with the code that means nothing in
/// particular.
fn is_wrong_queue(code: i32, remark: &str) -> bool {
    match code {
        response::INVALID_PARAMETER | response::NOT_LEADER_FOR_QUEUE => true,
        response::SYSTEM_ERROR => {
            remark.starts_with("request queueId[") && remark.contains("is illegal")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
