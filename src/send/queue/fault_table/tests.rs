use super::*;

fn queues(brokers: &str) -> Vec<MessageQueue> {
    let queue = |(i, b): (usize, char)| MessageQueue::new("T", b.to_string(), i as i32);
    brokers.chars().enumerate().map(queue).collect()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A table after these reports at time `now`.
fn table(now: Instant, reports: &[(&str, Report)]) -> FaultTable {
    let mut table = FaultTable::default();
    for (broker, report) in reports {
        table.record(&(*broker).into(), *report, &FaultStrategy::default(), now);
    }
    table
}

/// The brokers chosen when each of the queues in turn is the first candidate.
#[track_caller]
fn check(table: &mut FaultTable, brokers: &str, last: Option<&str>, now: Instant, want: &str) {
    let queues = queues(brokers);
    let got: String = (0..want.len())
        .map(|i| queues[table.pick(&queues, i, last, now, &|_| true)].broker())
        .collect();
    assert_eq!(got, want);
}

#[test]
fn latency_has_the_levels_of_java() {
    let five = FaultStrategy::default();
    let four = FaultStrategy::v4();
    for (latency, secs5, secs4) in [
        (0, 0, 0),
        (549, 0, 0),
        (550, 2, 30),
        (1800, 5, 60),
        (3000, 6, 180),
        (10_000, 10, 180),
        (15_000, 30, 600),
        (1_000_000, 30, 600),
    ] {
        assert_eq!(
            five.avoid_for(ms(latency)),
            Duration::from_secs(secs5),
            "{latency}"
        );
        assert_eq!(
            four.avoid_for(ms(latency)),
            Duration::from_secs(secs4),
            "{latency}"
        );
    }
    assert_eq!(
        five.avoid_for(five.failure_counts_as),
        Duration::from_secs(10)
    );
    assert_eq!(
        four.avoid_for(four.failure_counts_as),
        Duration::from_secs(600)
    );
    let own = FaultStrategy::default().levels([(ms(9), ms(90)), (ms(5), ms(50))]);
    assert_eq!(
        [4, 5, 9].map(|l| own.avoid_for(ms(l))),
        [ms(0), ms(50), ms(90)]
    );
}

#[test]
fn available_brokers_come_first_and_time_makes_them_available_again() {
    let now = Instant::now();
    let mut table = table(
        now,
        &[("a", Report::Unreachable), ("b", Report::Stored(ms(600)))],
    );
    check(&mut table, "abc", None, now, "ccc");
    check(&mut table, "abc", None, now + Duration::from_secs(2), "bbc");
    check(
        &mut table,
        "abc",
        None,
        now + Duration::from_secs(10),
        "abc",
    );
}

#[test]
fn reachable_ones_come_next_and_the_last_broker_is_avoided() {
    let now = Instant::now();
    let reports = [("a", Report::Unreachable), ("b", Report::Refused)];
    let mut table = table(now, &reports);
    check(&mut table, "aabb", None, now, "aaa");
    check(&mut table, "aabb", Some("a"), now, "bbbb");
    check(&mut table, "a", Some("a"), now, "a");
}

#[test]
fn when_all_are_bad_the_better_half_takes_turns() {
    let now = Instant::now();
    let mut table = FaultTable::default();
    for (broker, counts) in [
        ("a", 5000),
        ("b", 1800),
        ("c", 15_000),
        ("d", 3000),
        ("x", 1),
    ] {
        let strategy = FaultStrategy::default().failure_counts_as(ms(counts));
        table.record(&broker.into(), Report::Refused, &strategy, now);
    }
    // Of b, d, a, c (x has no queue of this topic) the better half is b and d.
    check(&mut table, "abcd", None, now, "bdbd");
    check(&mut table, "abcd", Some("b"), now, "ddd");
}

#[test]
fn a_probe_makes_a_broker_reachable_and_the_detector_leaves_that_to_it() {
    let now = Instant::now();
    let mut table = FaultTable::default();
    let strategy = FaultStrategy::default().detector(ms(1), ms(1));
    table.record(&"a".into(), Report::Unreachable, &strategy, now);
    assert_eq!(table.unreachable(), ["a".into()]);
    table.probed("a");
    assert!(table.unreachable().is_empty());
    table.forget("a");
    assert!(table.is_available("a", now));
}

#[test]
fn an_index_near_the_end_of_its_type_is_no_problem_once_reduced() {
    let queues = queues("aab");
    let place = usize::MAX % queues.len();
    let mut table = FaultTable::default();
    assert_eq!(
        table.pick(&queues, place, Some("a"), Instant::now(), &|_| true),
        2
    );
}
