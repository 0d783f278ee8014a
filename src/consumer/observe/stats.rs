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

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The counters of one consumer.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Count,)*
        }

        /// The counts of a consumer since its start. Its `Display` is one line for a log.
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
            /// The counts since an earlier snapshot.
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
    /// Failed messages that a broadcasting consumer dropped.
    dropped,
    /// Messages that a broker put into the retry topic.
    sent_back,
    /// Messages that a broker put into the dead letter topic.
    dead_lettered,
    /// Failed requests to put a message into one of these topics; they are repeated.
    send_back_failures,
    /// Failed messages that were handled again here because no broker took them back.
    run_again,
    /// Results of handlers that came after their queue was given up, and changed nothing.
    late_results,
    /// Messages whose tag did not match, and which were skipped.
    filtered,
    /// Messages that could not be read.
    corrupt,
    /// Messages that a handler had for longer than the consume timeout.
    stuck,
    /// Fetched messages.
    fetched,
    /// Their bytes.
    fetched_bytes,
    /// Requests for messages.
    pulls,
    /// Requests for messages that failed or were refused.
    pull_failures,
    /// Commits that brokers confirmed.
    commits,
    /// Commits that failed; they are repeated.
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
