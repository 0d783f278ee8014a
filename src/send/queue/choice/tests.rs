use super::*;

fn queues(names: &str) -> Vec<MessageQueue> {
    let queue = |(i, name): (usize, char)| MessageQueue::new("T", name.to_string(), i as i32);
    names.chars().enumerate().map(queue).collect()
}

#[track_caller]
fn check(names: &str, avoid: Option<&str>, expected: &[usize]) {
    let queues = queues(names);
    let reachable = |queue: &MessageQueue| queue.broker() != "z";
    let got: Vec<usize> = (0..queues.len())
        .map(|first| next(&queues, first, avoid, reachable))
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn takes_turns_and_skips_the_broker_to_avoid_if_there_is_another() {
    check("aabb", None, &[0, 1, 2, 3]);
    check("aabb", Some("a"), &[2, 2, 2, 3]);
    check("aaa", Some("a"), &[0, 1, 2]);
    check("azb", None, &[0, 2, 2]);
    check("azb", Some("b"), &[0, 0, 0]);
    check("zz", None, &[0, 1]);
    check("az", Some("a"), &[0, 0]);
}

#[test]
fn the_index_wraps_without_a_panic_and_without_skipping() {
    let queues = queues("aab");
    PLACES.set(vec![("wrap".into(), usize::MAX)]);
    let mut seen: Vec<i32> = (0..3)
        .map(|_| round_robin("wrap", &queues, None, |_| true).id())
        .collect();
    seen.sort();
    assert_eq!(seen, [0, 1, 2]);
}

#[test]
fn a_thread_takes_turns_per_topic() {
    let queues = queues("aaaa");
    let mut seen: Vec<i32> = Vec::new();
    for _ in 0..4 {
        seen.push(round_robin("select-test-1", &queues, None, |_| true).id());
        round_robin("select-test-2", &queues, None, |_| true);
    }
    seen.sort();
    assert_eq!(seen, [0, 1, 2, 3]);
    for i in 0..100 {
        round_robin(&format!("select-test-many-{i}"), &queues, None, |_| true);
    }
    assert!(PLACES.take().len() <= TOPICS_PER_THREAD);
}

/// Hashes printed by Java's `String.hashCode`.
#[test]
fn keys_hash_as_in_java() {
    for (text, hash) in [
        ("", 0),
        ("a", 97),
        ("OrderID188", -1_566_895_736),
        ("polygenelubricants", i32::MIN),
        ("\u{1F600}", 1_772_899),
    ] {
        assert_eq!(java_hash(text), hash, "{text}");
    }
    assert_eq!(by_key("polygenelubricants", &queues("abc")).id(), 2);
    assert_eq!(by_key("a", &queues("abc")).id(), 1);
}
