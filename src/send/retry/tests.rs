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
fn a_maybe_stored_message_is_not_retried_if_that_is_off() {
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
        all_in_backoff: false,
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
fn a_doubtful_receipt_is_retried_only_on_request() {
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
    for outcome in [refused(29), refused(501), old] {
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
fn retries_of_maybe_stored_messages_can_be_switched_off() {
    let careful = Policy {
        retry_maybe_stored: false,
        ..policy()
    };
    let lost = Error::new(ErrorKind::Disconnected, "");
    let judge = |error: &Error| judge(&careful, &situation(), Outcome::Failed(error));
    assert_eq!(judge(&lost), NOW);
    assert_eq!(judge(&lost.maybe_stored()), Verdict::Fail);
}
