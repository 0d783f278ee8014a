//! What to do after an attempt. Pure: one table, a row a rule.

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

/// The pause before a busy broker, or the only one, is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// The pause before a name server is asked once more about a queue that is gone.
const NEWS_PAUSE: Duration = Duration::from_millis(200);

/// The configured part of the decision.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) codes: BTreeSet<i32>,
    pub(super) another_broker_when_not_stored: bool,
    pub(super) retry_maybe_stored: bool,
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome<'a> {
    Stored(SendStatus),
    Refused { code: i32, remark: &'a str },
    Failed(&'a Error),
}

/// Where the send stands after an attempt.
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
    /// The peer has already said "go away" to this attempt.
    pub(super) went_away: bool,
    /// Nobody was asked: after a refusal the address is left alone for so long yet, which is within
    /// the deadline. Said once for an attempt.
    pub(super) held_back: Option<Duration>,
    /// In several attempts in a row nobody was asked.
    pub(super) all_left_alone: bool,
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
        // With one queue to go to, an attempt is not over before somebody was asked.
        Outcome::Failed(_) if at.fixed_queue && at.held_back.is_some() => Verdict::Resend {
            pause: at.held_back.unwrap_or_default(),
        },
        _ if !may_retry => Verdict::Fail,
        Outcome::Refused { code, remark } if is_wrong_queue(code, remark) => {
            // Brokers tell name servers a moment later.
            let pause = if at.refreshed {
                NEWS_PAUSE
            } else {
                Duration::ZERO
            };
            Verdict::RefreshAndRetry { pause }
        }
        Outcome::Refused { code, remark } => {
            let may_duplicate = may_be_stored(code, Some(remark));
            // No retry can mend a signature.
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
            ErrorKind::Connect | ErrorKind::Tls if !at.other_broker || at.all_left_alone => {
                // A broker is left alone for a while; trying earlier would fail at once.
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

/// The queue is not there (any more). Brokers 4.x answer that too with the code that means nothing in
/// particular.
fn is_wrong_queue(code: i32, remark: &str) -> bool {
    match code {
        response::INVALID_PARAMETER => true,
        response::SYSTEM_ERROR => {
            remark.starts_with("request queueId[") && remark.contains("is illegal")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Wait;

    const NOW: Verdict = Verdict::Retry {
        pause: Duration::ZERO,
    };
    const RESEND: Verdict = Verdict::Resend {
        pause: Duration::ZERO,
    };
    const PAUSE: Verdict = Verdict::Retry { pause: BUSY_PAUSE };

    fn policy() -> Policy {
        Policy {
            codes: DEFAULT_CODES.into(),
            another_broker_when_not_stored: false,
            retry_maybe_stored: true,
        }
    }

    #[test]
    fn what_may_be_stored_is_not_sent_again_if_that_is_not_wanted() {
        let policy = Policy {
            retry_maybe_stored: false,
            ..policy()
        };
        let refused = |code, remark| {
            let outcome = Outcome::Refused { code, remark };
            judge(&policy, &situation(), outcome)
        };
        assert_eq!(refused(response::SYSTEM_ERROR, ""), Verdict::Fail);
        assert_eq!(refused(response::SYSTEM_BUSY, ""), PAUSE);
        assert_eq!(refused(response::NO_PERMISSION, ""), NOW);
    }

    fn situation() -> Situation {
        Situation {
            left: 1,
            fixed_queue: false,
            other_broker: true,
            refreshed: false,
            went_away: false,
            held_back: None,
            all_left_alone: false,
        }
    }

    #[track_caller]
    fn check(at: Situation, outcome: Outcome<'_>, expected: Verdict) {
        assert_eq!(
            judge(&policy(), &at, outcome),
            expected,
            "{at:?} {outcome:?}"
        );
    }

    fn refused(code: i32) -> Outcome<'static> {
        Outcome::Refused { code, remark: "" }
    }

    #[test]
    fn one_code_leaves_open_whether_the_message_is_stored() {
        for (code, remark, open) in [
            (1, None, true),
            (1, Some("odd"), true),
            (
                1,
                Some("org.apache.rocketmq.acl.common.AclException: no"),
                false,
            ),
            (
                1,
                Some("request queueId[5] is illegal, TopicConfig .."),
                false,
            ),
            (2, Some("odd"), false),
            (16, None, false),
        ] {
            assert_eq!(may_be_stored(code, remark), open, "{code} {remark:?}");
        }
    }

    #[test]
    fn stored_is_accepted_and_codes_follow_the_list() {
        check(
            situation(),
            Outcome::Stored(SendStatus::Ok),
            Verdict::Accept,
        );
        check(
            situation(),
            Outcome::Stored(SendStatus::FlushDiskTimeout),
            Verdict::Accept,
        );
        for (code, expected) in [
            (1, NOW),
            (2, PAUSE),
            (14, PAUSE),
            (16, NOW),
            (17, NOW),
            (204, NOW),
            (205, NOW),
            (3, Verdict::Fail),
            (13, Verdict::Fail),
            (215, Verdict::Fail),
            (-1, Verdict::Fail),
            (32767, Verdict::Fail),
        ] {
            check(situation(), refused(code), expected);
            check(
                Situation {
                    left: 0,
                    ..situation()
                },
                refused(code),
                Verdict::Fail,
            );
            check(
                Situation {
                    fixed_queue: true,
                    ..situation()
                },
                refused(code),
                Verdict::Fail,
            );
        }
        let acl = Outcome::Refused {
            code: 1,
            remark: "org.x.AclException: no",
        };
        check(situation(), acl, Verdict::Fail);
    }

    #[test]
    fn not_stored_well_goes_to_another_broker_only_if_asked_for() {
        let eager = Policy {
            another_broker_when_not_stored: true,
            ..policy()
        };
        let outcome = Outcome::Stored(SendStatus::SlaveNotAvailable);
        let last = Situation {
            left: 0,
            ..situation()
        };
        assert_eq!(judge(&eager, &situation(), outcome), NOW);
        assert_eq!(judge(&eager, &last, outcome), Verdict::Accept);
        assert_eq!(
            judge(&eager, &situation(), Outcome::Stored(SendStatus::Ok)),
            Verdict::Accept
        );
    }

    #[test]
    fn go_away_is_resent_once_even_on_a_fixed_queue_without_attempts_left() {
        let fixed = Situation {
            fixed_queue: true,
            left: 0,
            ..situation()
        };
        check(fixed, refused(1500), RESEND);
        check(
            Situation {
                went_away: true,
                ..fixed
            },
            refused(1500),
            Verdict::Fail,
        );
        check(
            Situation {
                went_away: true,
                ..situation()
            },
            refused(1500),
            NOW,
        );
    }

    #[test]
    fn a_wrong_queue_is_retried_with_a_new_route_for_which_the_second_time_it_waits() {
        let first = Verdict::RefreshAndRetry {
            pause: Duration::ZERO,
        };
        let later = Verdict::RefreshAndRetry { pause: NEWS_PAUSE };
        let again = Situation {
            refreshed: true,
            ..situation()
        };
        let last = Situation { left: 0, ..again };
        let fixed = Situation {
            fixed_queue: true,
            ..situation()
        };
        // As brokers 4.x have it.
        let old = Outcome::Refused {
            code: 1,
            remark: "request queueId[5] is illegal, TopicConfig [..]",
        };
        for outcome in [refused(29), old] {
            check(situation(), outcome, first);
            check(again, outcome, later);
            check(last, outcome, Verdict::Fail);
            check(fixed, outcome, Verdict::Fail);
        }
    }

    #[test]
    fn failures_of_the_network_are_retried() {
        let failed = |error: &Error, at, expected| check(at, Outcome::Failed(error), expected);
        let timeout = Error::timeout(Wait::Response).maybe_stored();
        failed(&timeout, situation(), NOW);
        failed(
            &timeout,
            Situation {
                left: 0,
                ..situation()
            },
            Verdict::Fail,
        );
        failed(
            &timeout,
            Situation {
                fixed_queue: true,
                ..situation()
            },
            Verdict::Fail,
        );
        let connect = Error::new(ErrorKind::Connect, "");
        failed(&connect, situation(), NOW);
        let alone = Situation {
            other_broker: false,
            ..situation()
        };
        failed(&connect, alone, PAUSE);
        let hint = Duration::from_millis(70);
        let hinted = connect.retriable_after(hint);
        failed(&hinted, alone, Verdict::Retry { pause: hint });
        let fixed = Situation {
            fixed_queue: true,
            left: 0,
            ..situation()
        };
        failed(&hinted, fixed, Verdict::Fail);
        let held_back = Situation {
            held_back: Some(hint),
            ..fixed
        };
        failed(&hinted, held_back, Verdict::Resend { pause: hint });
        for kind in [
            ErrorKind::Tls,
            ErrorKind::Dns,
            ErrorKind::Disconnected,
            ErrorKind::Protocol,
        ] {
            failed(&Error::new(kind, ""), situation(), NOW);
        }
        for kind in [
            ErrorKind::NoBroker,
            ErrorKind::Closed,
            ErrorKind::Busy,
            ErrorKind::Invalid,
            ErrorKind::Io,
        ] {
            failed(&Error::new(kind, ""), situation(), Verdict::Fail);
        }
    }

    #[test]
    fn what_may_be_stored_is_not_retried_if_that_is_switched_off() {
        let careful = Policy {
            retry_maybe_stored: false,
            ..policy()
        };
        let lost = Error::new(ErrorKind::Disconnected, "");
        let judge = |error: &Error| judge(&careful, &situation(), Outcome::Failed(error));
        assert_eq!(judge(&lost), NOW);
        assert_eq!(judge(&lost.maybe_stored()), Verdict::Fail);
    }
}
