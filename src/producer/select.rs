//! Which queue gets a message. Pure but for the index that each thread keeps for itself.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use crate::error::{Error, Result};
use crate::message::{MessageQueue, string_hash};
use crate::panics::caught;

/// How many topics a thread remembers its place in.
const TOPICS_PER_THREAD: usize = 16;

thread_local! {
    /// The thread's place in the queues of the topics it sent to last. Round robin per thread needs
    /// no shared counter; where a thread starts is random.
    static PLACES: Cell<Vec<(String, usize)>> = const { Cell::new(Vec::new()) };
}

/// The next queue in turn: one that can be reached, not of the broker to avoid, if there is one.
/// `queues` is not empty.
pub(crate) fn round_robin<'a>(
    topic: &str,
    queues: &'a [MessageQueue],
    avoid: Option<&str>,
    is_reachable: impl Fn(&MessageQueue) -> bool,
) -> &'a MessageQueue {
    in_turn(topic, queues, |first| {
        next(queues, first, avoid, is_reachable)
    })
}

/// The queue that `choose` finds, which is told whose turn it is. `queues` is not empty.
pub(super) fn in_turn<'a>(
    topic: &str,
    queues: &'a [MessageQueue],
    choose: impl FnOnce(usize) -> usize,
) -> &'a MessageQueue {
    // At the end of the thread, when a value of its may yet send, there are none any more.
    let mut places = PLACES.try_with(Cell::take).unwrap_or_default();
    let found = places.iter().position(|(known, _)| known == topic);
    let i = found.unwrap_or_else(|| {
        if places.len() == TOPICS_PER_THREAD {
            places.remove(0);
        }
        let start = RandomState::new().hash_one(topic) as usize;
        places.push((topic.to_owned(), start));
        places.len() - 1
    });
    // Reduced first: an index that wraps at the end of its type would skip queues there.
    let first = (places[i].1 % queues.len() + 1) % queues.len();
    let chosen = choose(first);
    places[i].1 = chosen;
    let _ = PLACES.try_with(|kept| kept.set(places));
    &queues[chosen % queues.len()]
}

fn next(
    queues: &[MessageQueue],
    first: usize,
    avoid: Option<&str>,
    is_reachable: impl Fn(&MessageQueue) -> bool,
) -> usize {
    let candidates = || (first..first + queues.len()).map(|at| at % queues.len());
    let reachable = |at: &usize| is_reachable(&queues[*at]);
    let good = |at: &usize| Some(queues[*at].broker()) != avoid && reachable(at);
    let found = candidates()
        .find(good)
        .or_else(|| candidates().find(reachable));
    found.unwrap_or(first)
}

/// The queue of a sharding key, as Java's `SelectMessageQueueByHash` finds it. `queues` is not
/// empty.
pub(crate) fn by_key<'a>(key: &str, queues: &'a [MessageQueue]) -> &'a MessageQueue {
    // A topic has at most 65,536 queues. Java takes the remainder first and then its amount.
    let remainder = i64::from(string_hash(key)) % queues.len() as i64;
    &queues[remainder.unsigned_abs() as usize]
}

/// The queue that a caller's function chooses. Its panic is the caller's error, not ours.
pub(super) fn by_function(
    choose: impl FnOnce(&[MessageQueue]) -> usize,
    queues: &[MessageQueue],
) -> Result<&MessageQueue> {
    let chosen = caught(|| choose(queues));
    let index = chosen.map_err(|_| Error::invalid("the selector panicked"))?;
    queues.get(index).ok_or_else(|| {
        let text = format!(
            "the selector chose index {index} of {} queues",
            queues.len()
        );
        Error::invalid(text)
    })
}

#[cfg(test)]
mod tests {
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
            assert_eq!(string_hash(text), hash, "{text}");
        }
        assert_eq!(by_key("polygenelubricants", &queues("abc")).id(), 2);
        assert_eq!(by_key("a", &queues("abc")).id(), 1);
    }
}
