use super::*;

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
        assert_eq!(string_hash(text), hash, "{text}");
    }
    let queues: Vec<_> = (0..3).map(|id| MessageQueue::new("T", "b", id)).collect();
    assert_eq!(by_key("polygenelubricants", &queues).id(), 2);
    assert_eq!(by_key("a", &queues).id(), 1);
}
