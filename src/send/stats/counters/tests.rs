use super::*;
use crate::send::ProducerStats;

#[test]
fn every_kind_of_error_has_its_counter() {
    for (i, kind) in ErrorKind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, i);
        let counters = Counters::new();
        counters.begin(Size::of(2, 10));
        let result = Err::<(), _>(Error::new(kind, "").maybe_stored());
        counters.end(Size::of(2, 10), &result);
        let stats = ProducerStats::of(&counters, "g");
        assert_eq!(stats.failed_by_kind, [(kind, 2)]);
        let all = (stats.begun, stats.failed, stats.maybe_stored);
        assert_eq!(
            (all, stats.in_flight, stats.in_flight_bytes),
            ((2, 2, 2), 0, 0)
        );
    }
}

#[test]
fn a_limited_number_of_brokers_is_counted_separately() {
    let counters = Counters::new();
    for round in 1..=2 {
        for broker in 0..MOST_BROKERS + 9 {
            let took = Duration::from_millis(round);
            counters.answered(&format!("broker-{broker}").into(), took);
        }
    }
    let stats = ProducerStats::of(&counters, "g");
    assert_eq!(stats.brokers.len(), MOST_BROKERS + 1);
    for broker in stats.brokers {
        let expected = if *broker.broker == *OTHERS { 18 } else { 2 };
        assert_eq!(broker.attempts, expected, "{}", broker.broker);
    }
}

#[test]
fn threads_that_meet_a_new_broker_together_count_it_once() {
    let counters = Counters::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for broker in ["a", "b", "c"] {
                    counters.accepted(&broker.into());
                }
            });
        }
    });
    let stats = ProducerStats::of(&counters, "g");
    let counted: Vec<_> = stats
        .brokers
        .iter()
        .map(|b| (&*b.broker, b.attempts))
        .collect();
    assert_eq!(counted, [("a", 8), ("b", 8), ("c", 8)]);
}
