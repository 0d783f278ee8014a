use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::name;

/// When consumers may see a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Schedule {
    /// At once (the default).
    #[default]
    Now,
    /// After the broker's delay level of this number, from 1 on; 0 means at once.
    Level(u32),
    /// This long after the broker stored it; sent in whole milliseconds.
    After(Duration),
    /// At this time; sent in whole milliseconds. A time in the past means at once.
    At(SystemTime),
}

impl Schedule {
    /// Whether the broker is told to deliver later. It decides whether that is in the past.
    pub(crate) fn is_later(&self) -> bool {
        !matches!(self, Schedule::Now | Schedule::Level(0))
    }

    /// The property that tells the broker, if one is needed.
    pub(crate) fn property(&self) -> Option<(&'static str, u64)> {
        match self {
            Schedule::Now | Schedule::Level(0) => None,
            // Brokers clamp levels, but read no more than 31 bits.
            Schedule::Level(level) => Some((name::DELAY, u64::from((*level).min(i32::MAX as u32)))),
            // They refuse too long a delay, but add it to the time first: the sum must not
            // overflow.
            Schedule::After(delay) => {
                let most = i64::MAX as u64 / 2;
                Some((name::TIMER_DELAY_MS, millis(*delay).min(most)))
            }
            Schedule::At(time) => {
                let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                Some((name::TIMER_DELIVER_MS, millis(since)))
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    /// A broker would answer an overflow with a retryable failure, or deliver at once.
    #[test]
    fn schedules_beyond_what_brokers_can_read_stay_within() {
        let property = |message: Message| message.get_schedule().property().map(|(_, n)| n);
        let message = || Message::new("T", "x");
        assert_eq!(
            property(message().delay_level(u32::MAX)),
            Some(i32::MAX as u64)
        );
        for forever in [Duration::MAX, Duration::from_millis(i64::MAX as u64)] {
            assert_eq!(
                property(message().deliver_after(forever)),
                Some(i64::MAX as u64 / 2)
            );
        }
        assert!(message().delay_level(0).can_be_batched());
    }
}
