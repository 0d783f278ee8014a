use proptest::prelude::*;

use super::super::counters::{LONGEST, bucket};
use super::*;

const PARTS: [f64; 6] = [0.0, 0.5, 0.9, 0.99, 0.999, 1.0];

fn filled(nanos: &[u64]) -> Latency {
    let histogram = Histogram::new();
    for nanos in nanos {
        histogram.add(Duration::from_nanos(*nanos));
    }
    Latency::of(&histogram)
}

#[track_caller]
fn check(nanos: &[u64]) {
    let latency = filled(nanos);
    let mut sorted = nanos.to_vec();
    sorted.sort_unstable();
    assert_eq!(latency.count(), nanos.len() as u64);
    assert_eq!(latency.max(), Duration::from_nanos(*sorted.last().unwrap()));
    for part in PARTS {
        let place = ((sorted.len() as f64 * part).ceil() as usize).max(1);
        let exact = Duration::from_nanos(sorted[place - 1]);
        let found = latency.quantile(part).unwrap();
        let most = exact + exact / 16 + Duration::from_nanos(1 << UNIT_BITS);
        let most = match exact.as_nanos() >> UNIT_BITS >= u128::from(first_of(BUCKETS - 1)) {
            true => latency.max(),
            false => most,
        };
        assert!(
            exact <= found && found <= most,
            "{part}: {found:?} for {exact:?}"
        );
    }
}

#[test]
fn quantiles_are_at_most_a_sixteenth_too_long() {
    const SECOND: u64 = 1_000_000_000;
    check(&[0]);
    check(&[1, 1023, 1024, 1025]);
    check(&(0..2000).map(|i| i * 1000).collect::<Vec<_>>());
    check(&[3, 700 * SECOND, 800 * SECOND]);
    check(&(0..35).map(|bits| 1 << bits).collect::<Vec<_>>());
    check(&(1..35).map(|bits| (1 << bits) - 1).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn quantiles_of_anything_are_those_of_the_sorted_times(
        nanos in prop::collection::vec((0u64..40, any::<u64>()).prop_map(|(bits, n)| n & ((1 << bits) - 1)), 1..300)
    ) {
        check(&nanos);
    }
}

#[test]
fn every_bucket_ends_where_the_next_one_begins() {
    for index in 0..BUCKETS {
        assert_eq!(bucket(first_of(index)), index);
        assert_eq!(bucket((first_of(index + 1) - 1).min(LONGEST)), index);
    }
}

#[test]
fn without_answers_there_is_no_quantile() {
    let none = filled(&[]);
    assert_eq!((none.quantile(0.5), none.max()), (None, Duration::ZERO));
    assert_eq!(none.to_string(), "no answers");
}

#[test]
fn an_interval_has_the_times_of_that_interval() {
    let histogram = Histogram::new();
    (0..9).for_each(|_| histogram.add(Duration::from_secs(1)));
    let before = Latency::of(&histogram);
    histogram.add(Duration::from_millis(2));
    let since = Latency::of(&histogram).since(&before);
    assert_eq!(
        (since.count(), since.max() < Duration::from_micros(2126)),
        (1, true)
    );
    assert_eq!(since.quantile(0.5), Some(since.max()));
    let nothing = Latency::of(&histogram).since(&Latency::of(&histogram));
    assert_eq!((nothing.count(), nothing.max()), (0, Duration::ZERO));
}

#[test]
fn it_prints_the_usual_percentiles() {
    let nanos: Vec<u64> = (1..=1000).map(|i| i * 10_000).collect();
    let text = filled(&nanos).to_string();
    assert_eq!(
        text,
        "p50 5.2ms, p90 9.4ms, p99 10.0ms, p99.9 10.0ms, max 10.0ms"
    );
}
