use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a caller that waits alone on a connection looks out for its answer before it sleeps.
///
/// Between two threads on a machine, or in one rack, an answer comes sooner than a sleeping thread
/// is woken. What this costs is bounded: it is done by one caller of a connection at a time, for at
/// most [`Patience::MOST`], and not at all where answers usually take longer.
#[derive(Default)]
pub(super) struct Patience {
    /// A running mean of how long such callers waited, in nanoseconds; 0 before the first one.
    usual: AtomicU64,
}

impl Patience {
    /// Looking out for longer would cost more than being woken.
    const MOST: Duration = Duration::from_micros(100);
    /// An answer that usually takes longer is not looked out for.
    const WORTH: Duration = Duration::from_micros(80);
    /// One answer counts for so much of the mean.
    const WEIGHT: u64 = 8;

    /// For how long to look out; zero is not at all.
    pub(super) fn look_out(&self) -> Duration {
        match self.usual() {
            usual if usual > Patience::WORTH => Duration::ZERO,
            Duration::ZERO => Patience::MOST,
            usual => (usual * 2).min(Patience::MOST),
        }
    }

    pub(super) fn note(&self, waited: Duration) {
        // What was far longer says no more than that, or one outlier would count for long.
        let waited = waited.min(Patience::WORTH * 4).as_nanos() as u64;
        let usual = match self.usual.load(Ordering::Relaxed) {
            0 => waited,
            usual => usual - usual / Patience::WEIGHT + waited / Patience::WEIGHT,
        };
        // A lost update of another caller does not matter.
        self.usual.store(usual.max(1), Ordering::Relaxed);
    }

    fn usual(&self) -> Duration {
        Duration::from_nanos(self.usual.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_answers_are_slept_for_and_fast_ones_looked_out_for_again() {
        let patience = Patience::default();
        let micros = Duration::from_micros;
        assert_eq!(patience.look_out(), Patience::MOST);
        patience.note(micros(20));
        assert_eq!(patience.look_out(), micros(40));
        patience.note(Duration::from_secs(3));
        assert!(
            patience.look_out() > micros(40),
            "one outlier counts for little"
        );
        (0..40).for_each(|_| patience.note(micros(500)));
        assert_eq!(patience.look_out(), Duration::ZERO);
        (0..40).for_each(|_| patience.note(micros(10)));
        assert!(patience.look_out() > Duration::ZERO);
        assert!(patience.look_out() < micros(30));
    }
}
