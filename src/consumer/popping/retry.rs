//! When a failed message that was popped comes again.

use std::time::Duration;

/// The pauses by the number of failures before, as Java has them: those of retry topics.
const SECONDS: [u64; 16] = [
    10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200,
];

/// The pause of a delay level, from 1 on (see [`Retry::level`](crate::Retry::level)). Java takes the level
/// as an index into the table above, with which level 1 means 30 s.
const LEVELS: [u64; 18] = [
    1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200,
];

/// For how long a message is hidden after it failed. Level 0: as the failures before this one say.
pub(crate) fn pause(level: u32, failures: u32) -> Duration {
    let at = |table: &[u64], index: u32| {
        let last = table.len() - 1;
        Duration::from_secs(table[usize::try_from(index).unwrap_or(last).min(last)])
    };
    match level.checked_sub(1) {
        None => at(&SECONDS, failures),
        Some(index) => at(&LEVELS, index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_or_the_number_of_failures_decides() {
        for (level, failures, seconds) in [
            (0, 0, 10),
            (0, 1, 30),
            (0, 2, 60),
            (0, 11, 600),
            (0, 12, 1200),
            (0, 15, 7200),
            (0, 99, 7200),
            (1, 0, 1),
            (1, 9, 1),
            (2, 0, 5),
            (3, 0, 10),
            (18, 0, 7200),
            (99, 0, 7200),
        ] {
            let expected = Duration::from_secs(seconds);
            assert_eq!(pause(level, failures), expected, "{level} {failures}");
        }
    }
}
