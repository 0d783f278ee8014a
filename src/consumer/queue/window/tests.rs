mod keys;
mod model;

use std::time::Duration;

use super::*;

fn fetched(offsets: impl IntoIterator<Item = u64>) -> Vec<Fetched<u64>> {
    let message = |offset| Fetched {
        offset,
        bytes: 10,
        key: None,
        payload: offset,
    };
    offsets.into_iter().map(message).collect()
}

fn window(offsets: impl IntoIterator<Item = u64>, next: u64) -> Window<u64> {
    let mut window = Window::new(1, 0, 8, None);
    let ask = window.ask().expect("there is capacity");
    window.answer(ask, fetched(offsets), next).expect("current");
    window
}

fn take(window: &mut Window<u64>, now: Instant) -> Handed<u64> {
    window.take(now).expect("a message is ready")
}

#[test]
fn the_low_water_is_the_lowest_unfinished_offset() {
    let now = Instant::now();
    let mut window = window([3, 4, 7], 9);
    assert_eq!(
        (window.low_water(), window.end(), window.bytes()),
        (3, 9, 30)
    );
    let [a, b, c] = std::array::from_fn(|_| take(&mut window, now));
    assert!(window.take(now).is_none());
    let low = |finished: Result<Finished, Stale>| finished.expect("current").low_water;
    assert_eq!(low(window.finish(b.ticket)), 3);
    assert_eq!((window.len(), window.bytes()), (3, 20));
    assert_eq!(window.head(), Some((3, Held::Running(now))));
    assert_eq!(low(window.finish(a.ticket)), 7);
    assert_eq!(low(window.finish(c.ticket)), 9);
    assert!(window.is_empty() && window.is_quiet());
}

#[test]
fn an_answer_without_messages_moves_the_low_water_of_an_empty_window_only() {
    let now = Instant::now();
    let mut window = window([], 500);
    assert_eq!(window.low_water(), 500);
    let ask = window.ask().expect("capacity");
    assert_eq!((ask.offset, window.ask()), (500, None));
    window.answer(ask, fetched([500]), 501).expect("current");
    let ask = window.ask().expect("capacity");
    window.answer(ask, fetched([]), 900).expect("current");
    assert_eq!((window.low_water(), window.end()), (500, 900));
    let only = take(&mut window, now);
    assert_eq!(window.finish(only.ticket).expect("current").low_water, 900);
}

#[test]
fn repeated_messages_are_refused_and_surplus_is_asked_for_again() {
    let mut window = window([2, 3], 4);
    let ask = window.ask().expect("capacity");
    assert_eq!(ask.capacity, 6);
    let answered = window.answer(ask, fetched([1, 3, 4, 5, 5, 6, 7, 8, 9, 12, 13]), 14);
    let expected = Answered {
        accepted: 6,
        bytes: 60,
        repeated: 3,
        surplus: 2,
    };
    assert_eq!(answered, Ok(expected));
    assert_eq!((window.end(), window.ask()), (12, None));
    let counts = window.counts();
    assert_eq!((counts.repeated, counts.surplus), (3, 2));
    let first = take(&mut window, Instant::now());
    window.finish(first.ticket).expect("current");
    assert_eq!(window.ask().expect("capacity").offset, 12);
}

#[test]
fn a_failed_request_is_made_again_from_the_same_offset() {
    let mut window = window([0], 1);
    let ask = window.ask().expect("capacity");
    window.no_answer(ask).expect("current");
    assert_eq!(window.ask().expect("capacity").offset, 1);
}

#[test]
fn a_message_that_was_put_back_is_handed_out_first_once_its_time_has_come() {
    let now = Instant::now();
    let at = |s| now + Duration::from_secs(s);
    let mut window = window([0, 1, 2], 3);
    let first = take(&mut window, now);
    assert_eq!(window.put_back(first.ticket, at(5)), Ok(0));
    assert_eq!(window.head(), Some((0, Held::Waiting(at(5)))));
    assert_eq!(take(&mut window, at(1)).offset, 1);
    assert_eq!(window.ready_at(at(1)), Some(at(1)));
    let again = take(&mut window, at(5));
    assert_eq!((again.offset, again.failures, again.payload), (0, 1, 0));
    assert_eq!(take(&mut window, at(5)).offset, 2);
    assert_eq!((window.ready_at(at(5)), window.handlers()), (None, 3));
}

#[test]
fn an_ordered_queue_hands_out_one_batch_at_a_time() {
    let now = Instant::now();
    let at = |ms| now + Duration::from_millis(ms);
    let mut window = window([0, 1, 5, 6], 7);
    let offsets = |batch: &[Handed<u64>]| -> Vec<u64> { batch.iter().map(|h| h.offset).collect() };
    assert_eq!(window.ordered_ready_at(now), Some(now));
    let batch = window.take_ordered(3, now);
    assert_eq!(offsets(&batch), [0, 1, 5]);
    assert!(window.take_ordered(3, now).is_empty() && window.ordered_ready_at(now).is_none());
    let [a, b, c] = <[Handed<u64>; 3]>::try_from(batch).expect("three");
    window.finish(a.ticket).expect("current");
    window.put_back(c.ticket, at(50)).expect("current");
    window.settle(&b.ticket).expect("current");
    assert!(
        window.take_ordered(3, at(60)).is_empty(),
        "a copy is on its way"
    );
    window.put_back(b.ticket, at(50)).expect("current");
    assert!(
        window.take_ordered(3, at(49)).is_empty(),
        "the first one waits"
    );
    assert_eq!(window.ordered_ready_at(at(49)), Some(at(50)));
    let batch = window.take_ordered(9, at(50));
    assert_eq!(offsets(&batch), [1, 5, 6]);
    let failures: Vec<u32> = batch.iter().map(|h| h.failures).collect();
    assert_eq!(failures, [1, 1, 0]);
}

#[test]
fn results_and_answers_of_an_older_generation_are_refused_and_counted() {
    let now = Instant::now();
    let mut window = window([0, 1], 2);
    let (a, b) = (take(&mut window, now), take(&mut window, now));
    let ask = window.ask().expect("capacity");
    assert_eq!(window.restart(2, 50), 20);
    assert_eq!(
        (window.low_water(), window.generation(), window.handlers()),
        (50, 2, 2)
    );
    assert_eq!(window.answer(ask, fetched([2]), 3), Err(Stale));
    let ask = window.ask().expect("capacity");
    window.answer(ask, fetched([50]), 51).expect("current");
    assert!(
        window.take_ordered(1, now).is_empty(),
        "old handlers are still inside"
    );
    assert_eq!(window.finish(a.ticket), Err(Stale));
    assert_eq!(window.put_back(b.ticket, now), Err(Stale));
    assert!(window.is_quiet());
    assert_eq!(window.take_ordered(1, now).len(), 1);
    let counts = window.counts();
    assert_eq!((counts.stale_results, counts.stale_answers), (2, 1));
}

#[test]
fn only_the_recall_decides_about_a_recalled_message() {
    let now = Instant::now();
    let mut window = window([0, 1], 2);
    let stuck = take(&mut window, now);
    assert_eq!(window.running().collect::<Vec<_>>(), [(0, now)]);
    assert_eq!((window.recall(1), window.recall(7)), (None, None));
    let ticket = window.recall(0).expect("it runs");
    assert_eq!((window.recall(0), window.handlers()), (None, 1));
    assert_eq!(window.finish(ticket).expect("current").low_water, 1);
    assert!(!window.is_quiet());
    assert_eq!(window.finish(stuck.ticket), Err(Stale));
    assert!(window.is_quiet());
}

#[test]
fn a_handler_that_was_recalled_does_not_decide_for_the_next_one() {
    let now = Instant::now();
    let mut window = window([0], 1);
    let stuck = take(&mut window, now);
    let ticket = window.recall(0).expect("it runs");
    window.put_back(ticket, now).expect("current");
    let next = take(&mut window, now);
    assert_eq!((next.offset, window.handlers()), (0, 2));
    assert_eq!(window.finish(stuck.ticket), Err(Stale));
    assert_eq!((window.low_water(), window.handlers()), (0, 1));
    assert_eq!(window.finish(next.ticket).expect("current").low_water, 1);
}

#[test]
fn a_queue_that_drains_hands_out_nothing_and_still_counts_results() {
    let now = Instant::now();
    let mut window = window([0, 1, 2, 3], 4);
    let [a, b] = std::array::from_fn(|_| take(&mut window, now));
    let ask = window.ask().expect("capacity");
    assert_eq!(window.drain(now + Duration::from_secs(1)), 20);
    assert!(window.take(now).is_none() && window.take_ordered(1, now).is_empty());
    assert_eq!(
        (window.ready_at(now), window.ordered_ready_at(now)),
        (None, None)
    );
    assert_eq!(window.answer(ask, fetched([4]), 5), Err(Stale));
    assert_eq!(window.ask(), None);
    assert_eq!(window.put_back(b.ticket, now), Ok(10));
    assert_eq!(window.finish(a.ticket).expect("current").low_water, 1);
    assert_eq!(
        (window.bytes(), window.is_quiet(), window.low_water()),
        (0, true, 1)
    );
}
