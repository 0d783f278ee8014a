//! The counters of a consumer.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A struct of numbers, with `since` and a `Display` of one line. Those that are counted never decrease; `now`
/// has those of the moment.
macro_rules! numbers {
    (
        $(#[$of:meta])* pub struct $Numbers:ident;
        counted { $($(#[$doc:meta])* $name:ident),* $(,)? }
        now { $($(#[$doc_now:meta])* $now:ident),* $(,)? }
    ) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $Numbers {
            $($(#[$doc])* pub $name: u64,)*
            $($(#[$doc_now])* pub $now: u64,)*
        }

        impl $Numbers {
            /// The counts since an earlier snapshot. What is a number of the moment stays.
            #[must_use]
            pub fn since(&self, earlier: &$Numbers) -> $Numbers {
                $Numbers {
                    $($name: self.$name.saturating_sub(earlier.$name),)*
                    $($now: self.$now,)*
                }
            }
        }

        impl std::fmt::Display for $Numbers {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let numbers = [
                    $((stringify!($name), self.$name),)*
                    $((stringify!($now), self.$now),)*
                ];
                $crate::consumer::observe::write_numbers(f, &numbers)
            }
        }
    };
}

pub(crate) use numbers;

/// The numbers that are not 0, on one line.
pub(crate) fn write_numbers(f: &mut fmt::Formatter<'_>, numbers: &[(&str, u64)]) -> fmt::Result {
    let mut is_first = true;
    for (name, number) in numbers.iter().filter(|(_, number)| *number > 0) {
        if !std::mem::take(&mut is_first) {
            f.write_str(", ")?;
        }
        write!(f, "{} {number}", name.replace('_', " "))?;
    }
    match is_first {
        true => f.write_str("nothing yet"),
        false => Ok(()),
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The counters of one consumer.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Count,)*
        }

        numbers! {
            /// The counts of a consumer since its start. Its `Display` is one line for a log.
            pub struct ConsumerStats;
            counted { $($(#[$doc])* $name,)* }
            now {}
        }

        impl Counters {
            pub(crate) fn read(&self) -> ConsumerStats {
                ConsumerStats {
                    $($name: self.$name.get(),)*
                }
            }
        }
    };
}

counters! {
    /// Messages whose handler returned `Ok`.
    handled,
    /// Messages whose handler returned an error.
    failed,
    /// Messages whose handler panicked.
    panicked,
    /// Failed messages that a broadcasting consumer dropped.
    dropped,
    /// Messages that a broker put into the retry topic, and popped ones that it hid until they come again.
    sent_back,
    /// Messages that a broker put into the dead letter topic.
    dead_lettered,
    /// Failed requests to put a message into one of these topics; they are repeated.
    send_back_failures,
    /// Failed messages that were handled again here because no broker took them back.
    run_again,
    /// Results of handlers that changed nothing, because they came after their queue was given up, or after
    /// the invisible time of their popped message.
    late_results,
    /// Messages whose tag did not match, and which were skipped.
    filtered,
    /// Popped messages whose invisible time was over before a handler could get them: they come again.
    expired,
    /// Messages that could not be read.
    corrupt,
    /// Messages that a handler had for longer than the consume timeout.
    stuck,
    /// Fetched messages.
    fetched,
    /// Their bytes.
    fetched_bytes,
    /// Requests for messages (for popped ones: receives, of up to 15 s each).
    pulls,
    /// Requests for messages that failed or were refused.
    pull_failures,
    /// Commits, and acks of popped messages, that brokers confirmed.
    commits,
    /// Commits that failed, which are repeated, and acks that failed in the end.
    commit_failures,
    /// Rebalances.
    rebalances,
    /// Rebalances in which the members were in doubt.
    doubtful_rebalances,
    /// Queues that were taken.
    queues_taken,
    /// Queues that were given up.
    queues_given_up,
    /// Queues that stood still by a bug of this crate, and were restarted.
    stalls,
    /// Events that were dropped because the listener was slow.
    events_dropped,
    /// Records of [message trace](crate::consumer::PushConsumerBuilder::trace) that were lost.
    trace_lost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_a_line_and_can_be_compared_with_earlier_ones() {
        let counters = Counters::default();
        assert_eq!(counters.read().to_string(), "nothing yet");
        counters.handled.add(3);
        let before = counters.read();
        counters.handled.add(2);
        counters.sent_back.add(1);
        assert_eq!(counters.read().to_string(), "handled 5, sent back 1");
        let since = counters.read().since(&before);
        assert_eq!(since.to_string(), "handled 2, sent back 1");
    }
}
