//! What a consumer counts.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// One number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The numbers of one consumer, as they are counted.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Count,)*
        }

        /// What a consumer has counted since its start. Its `Display` is one line for a log.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct ConsumerStats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> ConsumerStats {
                ConsumerStats {
                    $($name: self.$name.get(),)*
                }
            }
        }

        impl ConsumerStats {
            /// What was counted since an earlier look.
            #[must_use]
            pub fn since(&self, earlier: &ConsumerStats) -> ConsumerStats {
                ConsumerStats {
                    $($name: self.$name.saturating_sub(earlier.$name),)*
                }
            }
        }

        impl fmt::Display for ConsumerStats {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let numbers = [$((stringify!($name), self.$name),)*];
                let mut is_first = true;
                for (name, number) in numbers.into_iter().filter(|(_, number)| *number > 0) {
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
    /// Messages that were dropped after that: those of a broadcasting consumer.
    dropped,
    /// Messages that a broker put into the retry topic.
    sent_back,
    /// Messages that a broker put into the dead letter topic.
    dead_lettered,
    /// Requests to put a message into one of these that failed; they are made again.
    send_back_failures,
    /// Messages that failed and were handled again here, as no broker took them back.
    run_again,
    /// Results of handlers that came after their queue was gone, and changed nothing.
    late_results,
    /// Messages that were not for this subscription, and were left out.
    filtered,
    /// Messages that could not be read.
    corrupt,
    /// Messages that a handler had for longer than the consume timeout.
    stuck,
    /// Messages that came.
    fetched,
    /// Their bytes.
    fetched_bytes,
    /// Requests for messages.
    pulls,
    /// Those that failed or were refused.
    pull_failures,
    /// Commits that brokers confirmed.
    commits,
    /// Commits that failed; they are made again.
    commit_failures,
    /// Rebalances.
    rebalances,
    /// Rebalances after which it was not sure who the members are.
    doubtful_rebalances,
    /// Queues that were taken.
    queues_taken,
    /// Queues that were given up.
    queues_given_up,
    /// Queues that did nothing although they could have: a bug of this crate, repaired.
    stalls,
    /// Events that a slow listener missed.
    events_dropped,
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
