use std::time::Duration;

/// The back-off of an address after this many failures in a row: 50 ms, doubled each time up to 500
/// ms, minus up to a quarter at random, so that clients do not return in step.
///
/// `random` is any number.
pub(crate) fn delay(failures: u32, random: u64) -> Duration {
    const FIRST: u64 = 50_000;
    const MOST: u64 = 500_000;
    let doublings = failures.saturating_sub(1).min(8);
    let micros = (FIRST << doublings).min(MOST);
    Duration::from_micros(micros - random % (micros / 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_from_50_to_500_ms_with_a_quarter_of_jitter() {
        for (failures, most) in [
            (0, 50),
            (1, 50),
            (2, 100),
            (3, 200),
            (4, 400),
            (5, 500),
            (u32::MAX, 500),
        ] {
            for random in [0, 1, 12_345, u64::MAX] {
                let delay = delay(failures, random);
                assert!(
                    delay <= Duration::from_millis(most),
                    "{failures}: {delay:?}"
                );
                assert!(
                    delay > Duration::from_millis(most * 3 / 4),
                    "{failures}: {delay:?}"
                );
            }
        }
    }
}
