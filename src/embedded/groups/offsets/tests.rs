use super::*;

fn key(queue_id: i32) -> QueueKey {
    QueueKey::new("g", "T", queue_id)
}

#[test]
fn the_last_commit_counts_a_lower_one_too() {
    let offsets = Offsets::new(0);
    assert_eq!(offsets.query(&key(0)), None);
    offsets.commit(&key(0), 5, 0);
    offsets.commit(&key(0), 3, 1);
    offsets.commit(&key(1), 7, 1);
    offsets.commit(&QueueKey::new("h", "T", 0), 1, 1);
    assert_eq!(offsets.query(&key(0)), Some(3));
    assert_eq!(offsets.of("g"), [(key(0), 3), (key(1), 7)]);
    offsets.remove("g");
    assert_eq!(offsets.of("g"), []);
    assert_eq!(offsets.of("h").len(), 1);
}

#[test]
fn a_kill_loses_what_was_committed_since_the_last_flush() {
    #[track_caller]
    fn check(commits: &[(i64, Millis)], killed: Millis, left: Option<i64>) {
        let offsets = Offsets::new(1_000);
        for (offset, at) in commits {
            offsets.commit(&key(0), *offset, *at);
        }
        offsets.forget(killed);
        assert_eq!(offsets.query(&key(0)), left, "{commits:?}");
        // Nothing more is lost by another one.
        offsets.forget(killed);
        assert_eq!(offsets.query(&key(0)), left);
    }
    // Flushes are at 6,000, 11,000, ..
    check(&[(1, 1_000)], 5_999, None);
    check(&[(1, 1_000)], 6_000, Some(1));
    check(&[(1, 1_000), (2, 5_999), (3, 6_000)], 10_999, Some(2));
    check(&[(1, 1_000), (2, 6_000), (3, 10_999)], 11_000, Some(3));
    check(&[(1, 1_000), (2, 6_000), (3, 10_999)], 10_999, Some(1));
    check(&[(9, 1_000), (2, 60_000)], 60_001, Some(9));
}

#[test]
fn a_flush_by_hand_saves_all() {
    let offsets = Offsets::new(0);
    offsets.commit(&key(0), 5, 1);
    offsets.flush();
    offsets.commit(&key(0), 6, 2);
    offsets.forget(3);
    assert_eq!(offsets.query(&key(0)), Some(5));
}

#[test]
fn a_reset_holds_until_the_next_pull() {
    let offsets = Offsets::new(0);
    offsets.commit(&key(0), 5, 0);
    offsets.reset(&key(0), 2, 1);
    assert!(offsets.is_reset(&key(0)) && !offsets.is_reset(&key(1)));
    assert_eq!(offsets.query(&key(0)), Some(2));
    assert_eq!(offsets.take_reset(&key(0)), Some(2));
    assert_eq!(offsets.take_reset(&key(0)), None);
    assert_eq!(offsets.query(&key(0)), Some(2), "it is committed too");
    offsets.reset(&key(0), 1, 1);
    offsets.forget(2);
    assert!(!offsets.is_reset(&key(0)));
}
