//! Messages of one key are handed out one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::super::*;

/// A window of messages with these keys, of which so many may be out at once.
fn window(most: usize, keys: &[Option<u64>]) -> Window<Option<u64>> {
    let mut window = Window::new(1, 0, keys.len(), Some(most));
    let ask = window.ask().expect("capacity");
    let messages = keys.iter().zip(0..).map(|(key, offset)| Fetched {
        offset,
        bytes: 1,
        key: *key,
        payload: *key,
    });
    let next = keys.len() as u64;
    window.answer(ask, messages, next).expect("current");
    window
}

/// Nothing may start now; the time of what was put back.
#[track_caller]
fn check_idle(window: &mut Window<Option<u64>>, now: Instant, until: Option<Instant>) {
    assert!(window.take(now).is_none());
    assert_eq!(window.ready_at(now), until);
}

fn take(window: &mut Window<Option<u64>>, now: Instant) -> Handed<Option<u64>> {
    window.take(now).expect("a message may start")
}

#[test]
fn messages_of_one_key_wait_for_each_other_and_those_of_others_do_not() {
    let now = Instant::now();
    let mut window = window(10, &[Some(1), Some(1), Some(2), None, Some(1), None]);
    let out: Vec<_> = std::iter::from_fn(|| window.take(now)).collect();
    let offsets = |out: &[Handed<_>]| out.iter().map(|one| one.offset).collect::<Vec<u64>>();
    assert_eq!(offsets(&out), [0, 2, 3, 5]);
    assert_eq!(window.ready_at(now), None, "the others wait for the first");
    let mut out = out.into_iter();
    window
        .finish(out.next().expect("the first").ticket)
        .expect("current");
    assert_eq!(window.ready_at(now), Some(now));
    assert_eq!(take(&mut window, now).offset, 1);
    assert!(window.take(now).is_none());
}

#[test]
fn a_message_that_is_put_back_holds_up_its_key_only() {
    let now = Instant::now();
    let later = now + Duration::from_secs(1);
    let mut window = window(10, &[Some(1), Some(1), Some(2), Some(2)]);
    let (first, second) = (take(&mut window, now), take(&mut window, now));
    window.put_back(first.ticket, later).expect("current");
    window.finish(second.ticket).expect("current");
    assert_eq!(take(&mut window, now).offset, 3);
    check_idle(&mut window, now, Some(later));
    let again = take(&mut window, later);
    assert_eq!((again.offset, again.failures), (0, 1));
    assert!(window.take(later).is_none());
    window.finish(again.ticket).expect("current");
    assert_eq!(take(&mut window, later).offset, 1);
}

#[test]
fn no_more_than_the_limit_are_out_those_included_whose_copies_are_sent() {
    let now = Instant::now();
    let mut window = window(2, &[Some(1), Some(2), Some(3)]);
    let (first, _second) = (take(&mut window, now), take(&mut window, now));
    check_idle(&mut window, now, None);
    window.settle(&first.ticket).expect("current");
    check_idle(&mut window, now, None);
    window.finish(first.ticket).expect("current");
    assert_eq!(take(&mut window, now).offset, 2);
}

/// What a handler has of before a seek may be of any key.
#[test]
fn after_a_restart_nothing_starts_until_the_handlers_of_before_have_ended() {
    let now = Instant::now();
    let mut window = window(2, &[Some(1), Some(2)]);
    let before = take(&mut window, now);
    window.restart(2, 0);
    let ask = window.ask().expect("capacity");
    let message = Fetched {
        offset: 0,
        bytes: 1,
        key: Some(1),
        payload: Some(1),
    };
    window.answer(ask, [message], 1).expect("current");
    check_idle(&mut window, now, None);
    assert!(window.finish(before.ticket).is_err(), "it does not count");
    assert_eq!(take(&mut window, now).offset, 0);
}

#[test]
fn a_queue_that_drains_still_hands_out_what_was_overtaken() {
    let now = Instant::now();
    let until = now + Duration::from_secs(1);
    let mut window = window(2, &[Some(1), Some(1), Some(2), Some(3), Some(1), Some(4)]);
    let (first, second) = (take(&mut window, now), take(&mut window, now));
    assert_eq!((first.offset, second.offset), (0, 2));
    window.finish(second.ticket).expect("current");
    let third = take(&mut window, now);
    assert_eq!(third.offset, 3);
    // Two were never reached, and are forgotten.
    assert_eq!(window.drain(until), 2);
    check_idle(&mut window, now, None);
    window.finish(first.ticket).expect("current");
    assert_eq!(window.ready_at(now), Some(now));
    check_idle(&mut window, until, None);
    let overtaken = take(&mut window, now);
    assert_eq!(overtaken.offset, 1);
    window.finish(third.ticket).expect("current");
    check_idle(&mut window, now, None);
    let finished = window.finish(overtaken.ticket).expect("current");
    assert_eq!((finished.low_water, window.is_quiet()), (4, true));
    check_idle(&mut window, now, None);
}

/// A thread may look at the time before it has the lock.
#[test]
fn a_queue_that_is_closed_hands_out_nothing_more() {
    let now = Instant::now();
    let later = now + Duration::from_secs(1);
    let mut window = window(2, &[Some(1), Some(1), Some(2)]);
    let (first, _second) = (take(&mut window, now), take(&mut window, now));
    window.drain(later);
    window.finish(first.ticket).expect("current");
    assert_eq!(window.ready_at(now), Some(now));
    window.close(later);
    check_idle(&mut window, now, None);
    window.drain(later);
    check_idle(&mut window, now, None);
}

/// It may fail for ever.
#[test]
fn a_queue_that_drains_does_not_hand_out_again_what_has_failed() {
    let now = Instant::now();
    let until = now + Duration::from_secs(1);
    let mut window = window(3, &[Some(1), Some(2), Some(1)]);
    let (first, second) = (take(&mut window, now), take(&mut window, now));
    window.put_back(first.ticket, now).expect("current");
    assert_eq!(window.drain(until), 2);
    assert_eq!(window.put_back(second.ticket, now), Ok(1));
    check_idle(&mut window, now, None);
    assert_eq!((window.low_water(), window.is_quiet()), (0, true));
}

proptest! {
    #![proptest_config(crate::consumer::cases(256, 5_000))]

    /// Whatever handlers do: messages of one key never overlap or overtake each other, no more than the limit are
    /// out, and each becomes final.
    #[test]
    fn each_key_keeps_its_order_and_all_messages_become_final(
        most in 1_usize..5,
        keys in prop::collection::vec(prop::option::weighted(0.8, 0_u64..4), 1..40),
        steps in prop::collection::vec((0_usize..5, 0_u64..3, 0_usize..4), 0..200),
    ) {
        let mut now = Instant::now();
        let mut window = window(most, &keys);
        let mut out: Vec<Handed<Option<u64>>> = Vec::new();
        // The offset that each key has reached.
        let mut reached: BTreeMap<u64, u64> = BTreeMap::new();
        let mut is_final = vec![false; keys.len()];
        // In the end all succeed.
        let last = std::iter::repeat_n([(0, 2, 0), (1, 0, 0)], 4 * keys.len()).flatten();
        for (what, pause, which) in steps.into_iter().chain(last) {
            now += Duration::from_millis(pause);
            if what == 0 {
                let ready = window.ready_at(now).is_some_and(|at| at <= now);
                let taken = window.take(now);
                prop_assert_eq!(taken.is_some(), ready);
                let Some(taken) = taken else { continue };
                if let Some(key) = taken.payload {
                    prop_assert!(out.iter().all(|other| other.payload != Some(key)));
                    let reached = reached.entry(key).or_default();
                    prop_assert!(taken.offset >= *reached, "it has overtaken another one");
                    *reached = taken.offset;
                    let before = keys[..taken.offset as usize].iter().zip(&is_final);
                    let mut open = before.filter(|(of, is_final)| **of == Some(key) && !**is_final);
                    prop_assert_eq!(open.next(), None);
                }
                out.push(taken);
                prop_assert!(out.len() <= most);
            } else if !out.is_empty() {
                let one = out.remove(which % out.len());
                if what == 2 {
                    let again = now + Duration::from_millis(pause);
                    prop_assert!(window.put_back(one.ticket, again).is_ok());
                } else {
                    is_final[one.offset as usize] = true;
                    prop_assert!(window.finish(one.ticket).is_ok());
                }
            }
        }
        prop_assert!(is_final.iter().all(|is_final| *is_final));
        prop_assert_eq!(window.low_water(), keys.len() as u64);
    }

    /// Whatever had ended when the queue began to drain: nothing of it is handled twice.
    #[test]
    fn a_queue_that_drains_leaves_no_finished_message_behind_an_unfinished_one(
        most in 1_usize..5,
        keys in prop::collection::vec(prop::option::weighted(0.8, 0_u64..4), 1..40),
        steps in prop::collection::vec((any::<bool>(), 0_usize..4), 0..100),
    ) {
        let now = Instant::now();
        let mut window = window(most, &keys);
        let mut out = Vec::new();
        // The number behind the last message that was handed out.
        let mut behind = 0;
        for (take, which) in steps {
            if take {
                out.extend(window.take(now));
                behind = out.iter().map(|one| one.offset + 1).fold(behind, u64::max);
            } else if !out.is_empty() {
                let one = out.remove(which % out.len());
                prop_assert!(window.finish(one.ticket).is_ok());
            }
        }
        window.drain(now + Duration::from_secs(1));
        while !window.is_quiet() || window.ready_at(now).is_some() {
            out.extend(window.take(now));
            let one = out.pop().expect("one is out");
            prop_assert!(one.offset < behind);
            prop_assert!(window.finish(one.ticket).is_ok());
        }
        prop_assert_eq!(window.low_water(), behind);
    }
}
