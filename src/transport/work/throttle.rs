use std::fmt;
use std::time::{Duration, Instant};

use log::Level;

use crate::sync::Mutex;

/// So many events are warnings, in each second.
const MOST: u32 = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// Keeps events that can occur once per message from flooding the log: excess events are logged at
/// `debug`, and the next warning has their number.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<Window>);

#[derive(Default)]
struct Window {
    since: Option<Instant>,
    warnings: u32,
    left_out: u64,
}

/// The number of events below warning since the last warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftOut(u64);

impl Throttle {
    /// The level of an event at this moment, and the suffix of its line.
    pub(crate) fn level(&self, now: Instant) -> (Level, LeftOut) {
        let mut window = self.0.lock();
        let is_over = |since: Instant| now.saturating_duration_since(since) >= WINDOW;
        if window.since.is_none_or(is_over) {
            (window.since, window.warnings) = (Some(now), 0);
        }
        if window.warnings == MOST {
            window.left_out += 1;
            return (Level::Debug, LeftOut(0));
        }
        window.warnings += 1;
        (Level::Warn, LeftOut(std::mem::take(&mut window.left_out)))
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            n => write!(f, " ({n} more before this at debug)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_in_a_second_are_warnings_and_the_next_one_counts_the_others() {
        let throttle = Throttle::default();
        let start = Instant::now();
        let mut warnings = Vec::new();
        for ms in (0..2500).step_by(10) {
            let now = start + Duration::from_millis(ms);
            if let (Level::Warn, left_out) = throttle.level(now) {
                warnings.push((ms, left_out.0));
            }
        }
        assert_eq!(warnings.len(), 30);
        let counted: Vec<_> = warnings
            .iter()
            .filter(|(_, left_out)| *left_out > 0)
            .collect();
        assert_eq!(counted, [&(1000, 90), &(2000, 90)]);
        assert_eq!(LeftOut(90).to_string(), " (90 more before this at debug)");
        assert_eq!(LeftOut(0).to_string(), "");
    }
}
