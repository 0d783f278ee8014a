//! The meaning of the answer to a pull (or pop). A value that would skip messages is not used, and no
//! answer leads to a loop without a pause.

use std::time::Duration;

/// The response codes that have a meaning for a pull or pop.
mod code {
    pub(super) const SUCCESS: i32 = 0;
    pub(super) const SYSTEM_BUSY: i32 = 2;
    pub(super) const NO_PERMISSION: i32 = 16;
    pub(super) const TOPIC_NOT_EXIST: i32 = 17;
    pub(super) const PULL_NOT_FOUND: i32 = 19;
    pub(super) const PULL_RETRY_IMMEDIATELY: i32 = 20;
    pub(super) const PULL_OFFSET_MOVED: i32 = 21;
    pub(super) const SUBSCRIPTION_PARSE_FAILED: i32 = 23;
    pub(super) const SUBSCRIPTION_NOT_EXIST: i32 = 24;
    pub(super) const SUBSCRIPTION_NOT_LATEST: i32 = 25;
    pub(super) const SUBSCRIPTION_GROUP_NOT_EXIST: i32 = 26;
    pub(super) const FILTER_DATA_NOT_EXIST: i32 = 27;
    pub(super) const FILTER_DATA_NOT_LATEST: i32 = 28;
    pub(super) const INVALID_PARAMETER: i32 = 29;
    pub(super) const POLLING_FULL: i32 = 209;
    pub(super) const POLLING_TIMEOUT: i32 = 210;
    pub(super) const FLOW_CONTROL: i32 = 215;
    pub(super) const NOT_LEADER_FOR_QUEUE: i32 = 501;
}

const SECOND: Duration = Duration::from_secs(1);

/// A broker that filters reads up to 800 entries of its queue for one answer. Some of them may have
/// been stored after it read the maximum.
const SCANNED_BY_BROKER: u64 = 800;

/// A broker's answer to a request for messages from an offset on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PullAnswer<'a> {
    pub(crate) code: i32,
    /// `nextBeginOffset`.
    pub(crate) next: Option<i64>,
    /// `minOffset`.
    pub(crate) min: Option<i64>,
    /// `maxOffset`: the next offset to be written.
    pub(crate) max: Option<i64>,
    /// The offsets of the messages in the body, in their order. An inner batch may begin below the
    /// asked offset.
    pub(crate) offsets: &'a [i64],
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There are messages; the next request begins at `next`.
    Found { next: u64 },
    /// There are none, or all were filtered; the next request begins at `next`, after the pause.
    Nothing { next: u64, pause: Duration },
    /// The asked offset does not exist.
    Moved(Moved),
    /// The broker is overloaded.
    Busy { pause: Duration },
    /// The broker does not know the group or its subscription (yet): send a heartbeat, then ask again.
    HeartbeatFirst { pause: Duration },
    /// Another broker has this queue of a static topic: the route is looked up.
    NotMine { pause: Duration },
    /// The topic or queue does not exist: the route is looked up.
    Gone { pause: Duration },
    /// A person has to change a permission, a filter or the group: an event at once.
    Refused { pause: Duration },
    /// Any other code: an event after the third time.
    Failed { pause: Duration },
    /// The answer contradicts itself or the protocol. It is not used, and the same offset is asked for
    /// again.
    Broken { what: &'static str, pause: Duration },
}

/// Why the asked offset does not exist, and where the queue begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    /// It lies below the minimum: the messages have expired.
    TooSmall { min: u64 },
    /// It lies above the maximum: a replica that is behind, a queue that lost its end, or a topic
    /// that was created again.
    TooLarge { min: u64, max: u64 },
    /// An operator reset the offset of the group.
    Reset { to: u64 },
}

/// The meaning of the answer to a pull from `asked` on. `streak` counts the latest answers without
/// progress ([`Streak`]): pauses grow with it.
pub(crate) fn judge(answer: &PullAnswer<'_>, asked: u64, streak: u32) -> Verdict {
    match answer.code {
        code::SUCCESS | code::PULL_NOT_FOUND | code::PULL_RETRY_IMMEDIATELY => {
            checked(answer, asked, streak)
        }
        // Answers of POP without messages and offsets.
        code::POLLING_TIMEOUT => Verdict::Nothing {
            next: asked,
            pause: idle_pause(streak),
        },
        code::POLLING_FULL => Verdict::Busy { pause: SECOND },
        code::PULL_OFFSET_MOVED => moved(answer, asked),
        code::SYSTEM_BUSY | code::FLOW_CONTROL => Verdict::Busy {
            pause: growing(20, streak),
        },
        code::SUBSCRIPTION_NOT_EXIST
        | code::SUBSCRIPTION_NOT_LATEST
        | code::FILTER_DATA_NOT_EXIST
        | code::FILTER_DATA_NOT_LATEST => Verdict::HeartbeatFirst {
            pause: if streak < 10 { SECOND / 10 } else { SECOND },
        },
        code::NOT_LEADER_FOR_QUEUE => Verdict::NotMine { pause: SECOND },
        code::TOPIC_NOT_EXIST | code::INVALID_PARAMETER => Verdict::Gone { pause: SECOND },
        code::NO_PERMISSION
        | code::SUBSCRIPTION_PARSE_FAILED
        | code::SUBSCRIPTION_GROUP_NOT_EXIST => Verdict::Refused { pause: SECOND },
        _ => Verdict::Failed { pause: SECOND },
    }
}

/// An answer with a next offset, whose messages and offsets must fit together.
fn checked(answer: &PullAnswer<'_>, asked: u64, streak: u32) -> Verdict {
    let broken = |what| Verdict::Broken {
        what,
        pause: SECOND,
    };
    let [Some(next), Some(max)] = [answer.next, answer.max].map(offset) else {
        return broken("nextBeginOffset or maxOffset is missing or negative");
    };
    if next < asked {
        return broken("the next offset lies below the asked one");
    }
    let rising = answer.offsets.windows(2).all(|pair| pair[0] < pair[1]);
    if !rising || answer.offsets.first().is_some_and(|first| *first < 0) {
        return broken("the messages' offsets do not rise");
    }
    let last = answer
        .offsets
        .last()
        .copied()
        .and_then(|last| offset(Some(last)));
    let behind_last = last.map_or(0, |last| last.saturating_add(1));
    if answer.code != code::SUCCESS && last.is_some() {
        return broken("an answer without messages has messages");
    }
    if last.is_some() && next == asked || next < behind_last {
        return broken("the next offset does not lie behind the messages");
    }
    // A slave that is behind answers with the asked offset, which may lie above its maximum.
    let most = max.max(behind_last).saturating_add(SCANNED_BY_BROKER);
    if next > asked && next > most {
        return broken("the next offset lies above the maximum");
    }
    match (last, next > asked) {
        (Some(_), _) => Verdict::Found { next },
        (None, true) => Verdict::Nothing {
            next,
            pause: Duration::ZERO,
        },
        (None, false) => Verdict::Nothing {
            next,
            pause: idle_pause(streak),
        },
    }
}

fn moved(answer: &PullAnswer<'_>, asked: u64) -> Verdict {
    let offsets = [answer.next, answer.min, answer.max].map(offset);
    let [Some(next), Some(min), Some(max)] = offsets else {
        return Verdict::Broken {
            what: "an offset of a moved queue is missing or negative",
            pause: SECOND,
        };
    };
    Verdict::Moved(if asked < min && next == min {
        Moved::TooSmall { min }
    } else if asked > max && (next == max || next == 0) {
        Moved::TooLarge { min, max }
    } else {
        Moved::Reset { to: next }
    })
}

fn offset(value: Option<i64>) -> Option<u64> {
    value.and_then(|value| u64::try_from(value).ok())
}

/// A broker that answers at once without messages, instead of parking the pull, is asked less often.
fn idle_pause(streak: u32) -> Duration {
    match streak {
        0 => Duration::ZERO,
        _ => growing(10, streak - 1),
    }
}

/// Doubles each time, up to a second.
pub(crate) fn growing(first_ms: u64, streak: u32) -> Duration {
    Duration::from_millis(first_ms << streak.min(10)).min(SECOND)
}

/// The latest answers of a queue in a row that came at once and made no progress.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Streak(u32);

impl Streak {
    /// An answer without progress that came faster than this was not parked by the broker.
    const AT_ONCE: Duration = Duration::from_millis(500);

    pub(crate) fn count(self) -> u32 {
        self.0
    }

    /// Notes an answer that came after `took`. Returns whether it is worth an event: the first refusal,
    /// or the third failure.
    pub(crate) fn note(&mut self, verdict: &Verdict, asked: u64, took: Duration) -> bool {
        let before = self.0;
        let (progress, event) = match verdict {
            Verdict::Found { .. } | Verdict::Moved(_) => (true, false),
            Verdict::Nothing { next, .. } => (*next > asked || took >= Self::AT_ONCE, false),
            Verdict::Refused { .. } | Verdict::Gone { .. } => (false, before == 0),
            Verdict::Failed { .. } | Verdict::Broken { .. } => (false, before == 2),
            Verdict::Busy { .. } | Verdict::HeartbeatFirst { .. } | Verdict::NotMine { .. } => {
                (false, false)
            }
        };
        self.0 = if progress {
            0
        } else {
            before.saturating_add(1)
        };
        event
    }
}

#[cfg(test)]
mod tests;
