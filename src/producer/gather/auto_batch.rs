use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

const LONGEST_DELAY: Duration = Duration::from_secs(30);
const LARGEST_BATCH: usize = 2 * 1024 * 1024;

/// How single sends are gathered into batches; see
/// [`ProducerBuilder::auto_batch`](crate::producer::ProducerBuilder::auto_batch).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it does nothing until it is given to a producer's builder"]
pub struct AutoBatch {
    pub(super) max_delay: Duration,
    pub(super) max_bytes: usize,
    pub(super) max_total_bytes: usize,
}

impl AutoBatch {
    /// The defaults: 10 ms, 32 KiB, 32 MiB.
    pub fn new() -> AutoBatch {
        AutoBatch {
            max_delay: Duration::from_millis(10),
            max_bytes: 32 * 1024,
            max_total_bytes: 32 * 1024 * 1024,
        }
    }

    /// The longest time that a message waits for others (default 10 ms; 1 ms to 30 s, or the start
    /// fails with [`Config`](ErrorKind::Config)). It never waits longer than half of its send's timeout.
    #[doc(alias = "batchMaxDelayMs")]
    pub fn max_delay(mut self, delay: Duration) -> AutoBatch {
        self.max_delay = delay;
        self
    }

    /// The largest batch, encoded, in bytes (default 32 KiB; 1 byte to 2 MiB). A larger message is
    /// sent as a single message.
    #[doc(alias = "batchMaxBytes")]
    pub fn max_bytes(mut self, bytes: usize) -> AutoBatch {
        self.max_bytes = bytes;
        self
    }

    /// The most bytes of bodies that are gathered and not answered at a time (default 32 MiB; not
    /// zero). Messages beyond that are sent as single messages.
    #[doc(alias = "totalBatchMaxBytes")]
    pub fn max_total_bytes(mut self, bytes: usize) -> AutoBatch {
        self.max_total_bytes = bytes;
        self
    }

    pub(in crate::producer) fn check(&self) -> Result<()> {
        let config = |text: &str| Err(Error::new(ErrorKind::Config, text));
        if self.max_delay < Duration::from_millis(1) || self.max_delay > LONGEST_DELAY {
            return config("auto_batch: max_delay must be 1 ms to 30 s");
        }
        if self.max_bytes == 0 || self.max_bytes > LARGEST_BATCH {
            return config("auto_batch: max_bytes must be 1 byte to 2 MiB");
        }
        if self.max_total_bytes == 0 {
            return config("auto_batch: max_total_bytes must not be zero");
        }
        Ok(())
    }
}

impl Default for AutoBatch {
    fn default() -> AutoBatch {
        AutoBatch::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_javas_bounds() {
        #[track_caller]
        fn check(auto: AutoBatch, good: bool) {
            assert_eq!(auto.check().is_ok(), good, "{auto:?}");
        }
        let (new, ms) = (AutoBatch::new(), Duration::from_millis);
        check(new, true);
        check(new.max_delay(ms(1)).max_bytes(1).max_total_bytes(1), true);
        check(new.max_delay(ms(30_000)).max_bytes(2 << 20), true);
        check(new.max_delay(Duration::ZERO), false);
        check(new.max_delay(ms(30_001)), false);
        check(new.max_bytes(0), false);
        check(new.max_bytes((2 << 20) + 1), false);
        check(new.max_total_bytes(0), false);
    }
}
