//! What happens to a message after its handler ended: one table.

use std::time::Duration;

use super::retry::{Retry, When};

/// How a consumer consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Concurrent,
    Ordered,
    /// Every member gets every message; concurrent or ordered.
    Broadcasting,
}

/// How a handler ended.
#[derive(Debug)]
pub(crate) enum Outcome<'a> {
    Ok,
    Retry(&'a Retry),
    Panicked,
}

/// The settings that count here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Failures after which a message is a dead letter; `None` is the mode's default: 16 for
    /// concurrent, no limit for ordered consumers.
    pub(crate) max_reconsume: Option<u32>,
    /// How long an ordered queue waits after a failure: 1 s, 10 ms to 30 s.
    pub(crate) suspend: Duration,
}

/// What to do with the message. It is final with [`Done`](Settlement::Done) and
/// [`Dropped`](Settlement::Dropped), and with the others once a broker confirmed the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settlement {
    Done,
    /// It failed, and its mode has no retries: it is counted.
    Dropped,
    /// A copy is put into the retry topic (code 36) at this delay level; at 0 the broker chooses.
    SendBack {
        level: u32,
    },
    /// A copy is put into the dead letter topic (code 36 with the level -1).
    DeadLetter,
    /// It is handed out here again after the pause.
    RetryHere {
        pause: Duration,
    },
}

const DEFAULT_MAX: u32 = 16;
const LEAST_SUSPEND: Duration = Duration::from_millis(10);
const MOST_SUSPEND: Duration = Duration::from_secs(30);

/// Decides. `reconsume_times` counts the failures before this one, as the message has them; ordered
/// consumers add the failures here. So a handler gets an ordered message exactly `max_reconsume + 1`
/// times.
pub(crate) fn settle(
    mode: Mode,
    outcome: &Outcome<'_>,
    reconsume_times: u32,
    limits: &Limits,
) -> Settlement {
    let when = match outcome {
        Outcome::Ok => return Settlement::Done,
        Outcome::Retry(retry) => retry.when(),
        Outcome::Panicked => When::Later,
    };
    let most = match (mode, limits.max_reconsume) {
        (Mode::Broadcasting, _) => return Settlement::Dropped,
        (_, Some(most)) => most,
        (Mode::Concurrent, None) => DEFAULT_MAX,
        (Mode::Ordered, None) => u32::MAX,
    };
    if when == When::DeadLetter || reconsume_times >= most {
        return Settlement::DeadLetter;
    }
    match (mode, when) {
        (Mode::Ordered, When::Level(level)) => Settlement::RetryHere {
            pause: delay_of(level).min(MOST_SUSPEND),
        },
        (Mode::Ordered, _) => Settlement::RetryHere {
            pause: limits.suspend.clamp(LEAST_SUSPEND, MOST_SUSPEND),
        },
        (_, When::Level(level)) => Settlement::SendBack { level },
        _ => Settlement::SendBack { level: 0 },
    }
}

/// The delay levels that brokers have unless they are configured otherwise.
fn delay_of(level: u32) -> Duration {
    const SECONDS: [u64; 18] = [
        1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200,
    ];
    let last = SECONDS.len() - 1;
    Duration::from_secs(SECONDS[(level.max(1) as usize - 1).min(last)])
}

/// What to do when no broker confirmed the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// Ask the broker that stores the message again (code 36) after the pause.
    AskAgain { pause: Duration },
    /// Send the copy to `%RETRY%group` as an ordinary message, to any broker.
    SendCopy,
    /// Hand the message out here again after the pause, and count the failure.
    RunAgain { pause: Duration },
}

/// Decides after `failures` requests in a row left the copy unconfirmed. `holds_locks`: the group may
/// hold a queue lock at some broker (ordered consumption, or the hand-over lease). Brokers from 5.1.1
/// on then make a dead letter of every message that is sent to the retry topic.
pub(crate) fn fallback(mode: Mode, failures: u32, holds_locks: bool) -> Fallback {
    const TRIES: u32 = 3;
    const SECOND: Duration = Duration::from_secs(1);
    match mode {
        // The queue waits: no message may overtake this one.
        Mode::Ordered => Fallback::AskAgain { pause: SECOND },
        _ if failures < TRIES => Fallback::AskAgain { pause: SECOND },
        _ if failures == TRIES && !holds_locks => Fallback::SendCopy,
        _ => Fallback::RunAgain { pause: 5 * SECOND },
    }
}

#[cfg(test)]
mod tests {
    use super::Settlement::*;
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    #[rustfmt::skip]
    fn mode_result_and_tries_decide() {
        use Mode::*;
        let (later, level, dead) = (Retry::later(), Retry::level(5), Retry::dead_letter());
        let ok = Outcome::Ok;
        let (later, level, dead) = (Outcome::Retry(&later), Outcome::Retry(&level), Outcome::Retry(&dead));
        let panicked = Outcome::Panicked;
        let here = |n| RetryHere { pause: ms(n) };
        for (mode, outcome, times, most, expected) in [
            (Concurrent, &ok, 99, Some(3), Done),
            (Concurrent, &later, 0, None, SendBack { level: 0 }),
            (Concurrent, &later, 15, None, SendBack { level: 0 }),
            (Concurrent, &later, 16, None, DeadLetter),
            (Concurrent, &later, 2, Some(3), SendBack { level: 0 }),
            (Concurrent, &later, 3, Some(3), DeadLetter),
            (Concurrent, &later, 0, Some(0), DeadLetter),
            (Concurrent, &level, 0, None, SendBack { level: 5 }),
            (Concurrent, &level, 16, None, DeadLetter),
            (Concurrent, &dead, 0, None, DeadLetter),
            (Concurrent, &panicked, 0, None, SendBack { level: 0 }),
            (Concurrent, &panicked, 16, None, DeadLetter),
            (Ordered, &ok, 99, Some(3), Done),
            (Ordered, &later, 0, None, here(1000)),
            (Ordered, &later, u32::MAX - 1, None, here(1000)),
            (Ordered, &later, 2, Some(3), here(1000)),
            (Ordered, &later, 3, Some(3), DeadLetter),
            (Ordered, &later, 0, Some(0), DeadLetter),
            (Ordered, &level, 0, None, here(30_000)),
            (Ordered, &dead, 0, None, DeadLetter),
            (Ordered, &panicked, 0, None, here(1000)),
            (Broadcasting, &ok, 0, None, Done),
            (Broadcasting, &later, 0, None, Dropped),
            (Broadcasting, &level, 0, None, Dropped),
            (Broadcasting, &dead, 99, Some(0), Dropped),
            (Broadcasting, &panicked, 0, None, Dropped),
        ] {
            let limits = Limits { max_reconsume: most, suspend: ms(1000) };
            let got = settle(mode, outcome, times, &limits);
            assert_eq!(got, expected, "{mode:?} {outcome:?} {times} {most:?}");
        }
    }

    #[test]
    fn an_ordered_message_runs_once_more_than_its_limit() {
        for most in [0, 1, 5] {
            let limits = Limits {
                max_reconsume: Some(most),
                suspend: ms(0),
            };
            let outcome = |failures| settle(Mode::Ordered, &Outcome::Panicked, failures, &limits);
            let runs = 1
                + (0..)
                    .take_while(|failures| outcome(*failures) == RetryHere { pause: ms(10) })
                    .count();
            assert_eq!((runs, outcome(most)), (most as usize + 1, DeadLetter));
        }
    }

    #[test]
    fn pauses_of_an_ordered_queue_have_bounds() {
        let pause = |suspend, retry: Retry| {
            let limits = Limits {
                max_reconsume: None,
                suspend,
            };
            match settle(Mode::Ordered, &Outcome::Retry(&retry), 0, &limits) {
                RetryHere { pause } => pause,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(pause(ms(0), Retry::later()), ms(10));
        assert_eq!(pause(ms(99_000), Retry::later()), ms(30_000));
        let levels = [1, 2, 4, 5, 18, 99].map(|level| pause(ms(0), Retry::level(level)));
        assert_eq!(levels, [1000, 5000, 30_000, 30_000, 30_000, 30_000].map(ms));
        assert_eq!((delay_of(0), delay_of(18)), (ms(1000), ms(7_200_000)));
    }

    #[test]
    #[rustfmt::skip]
    fn an_unconfirmed_copy_is_never_final() {
        use Mode::*;
        let again = Fallback::AskAgain { pause: ms(1000) };
        let run = Fallback::RunAgain { pause: ms(5000) };
        for (mode, failures, locks, expected) in [
            (Concurrent, 1, false, again),
            (Concurrent, 2, true, again),
            (Concurrent, 3, false, Fallback::SendCopy),
            (Concurrent, 3, true, run),
            (Concurrent, 4, false, run),
            (Ordered, 1, true, again),
            (Ordered, 100, true, again),
        ] {
            assert_eq!(fallback(mode, failures, locks), expected, "{mode:?} {failures} {locks}");
        }
    }
}
