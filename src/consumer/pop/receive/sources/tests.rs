use super::*;
use crate::error::ErrorKind;

fn source(topic: &str, broker: &str) -> Source {
    Source {
        topic: topic.into(),
        broker: broker.into(),
        queue: ANY_QUEUE,
    }
}

fn error() -> Error {
    Error::new(ErrorKind::Connect, "no")
}

#[test]
fn each_source_is_popped_once_and_asked_while_it_has_nothing() {
    let now = Instant::now();
    let all = ["a", "b", "c"].map(|broker| source("T", broker));
    let mut sources = Sources::default();
    for one in &all {
        assert_eq!(sources.turn(&all, now), Turn::Pop(one.clone()));
        sources.nothing(one, now, false, now);
    }
    assert_eq!(sources.turn(&all, now), Turn::Ask(all.to_vec()));
    assert_eq!(sources.turn(&all, now), Turn::Wait(None), "all are asked");
    sources.noticed(&all[1], Noticed::Message, now);
    assert_eq!(sources.turn(&all, now), Turn::Pop(all[1].clone()));
    sources.found(&all[1], now);
    assert_eq!(sources.turn(&all, now), Turn::Pop(all[1].clone()), "more");
    sources.nothing(&all[1], now, false, now);
    sources.noticed(&all[2], Noticed::Nothing, now);
    let again = Turn::Ask(vec![all[2].clone(), all[1].clone()]);
    assert_eq!(sources.turn(&all, now), again);
}

#[test]
fn sources_with_messages_have_turns() {
    let now = Instant::now();
    let all = ["T", "U"].map(|topic| source(topic, "a"));
    let mut sources = Sources::default();
    let mut popped = Vec::new();
    for _ in 0..4 {
        let Turn::Pop(one) = sources.turn(&all, now) else {
            panic!("there are messages");
        };
        sources.found(&one, now);
        popped.push(one.topic.to_string());
    }
    assert_eq!(popped, ["T", "U", "T", "U"]);
}

#[test]
fn one_source_alone_is_popped_and_never_asked() {
    let now = Instant::now();
    let all = [source("T", "a")];
    let mut sources = Sources::default();
    for _ in 0..2 {
        assert_eq!(sources.turn(&all, now), Turn::Pop(all[0].clone()));
        sources.nothing(&all[0], now, false, now);
    }
    // One whose broker answers at once, again and again, has a pause.
    let Turn::Wait(Some(until)) = sources.turn(&all, now) else {
        panic!("a pause");
    };
    assert_eq!(until, now + Duration::from_millis(20));
    assert_eq!(sources.turn(&all, until), Turn::Pop(all[0].clone()));
    sources.nothing(&all[0], until, true, until);
    assert_eq!(
        sources.turn(&all, until),
        Turn::Pop(all[0].clone()),
        "it was held"
    );
}

#[test]
fn pops_at_the_same_time_that_bring_nothing_count_as_one() {
    let zero = Instant::now();
    let at = |ms| zero + Duration::from_millis(ms);
    let all = [source("T", "a")];
    let mut sources = Sources::default();
    let mut nothing = |sent, answered| {
        sources.nothing(&all[0], at(sent), false, at(answered));
        sources.turn(&all, at(answered))
    };
    let pop = || Turn::Pop(all[0].clone());
    assert_eq!(nothing(1, 4), pop(), "the first one");
    assert_eq!(nothing(2, 5), pop(), "beside it");
    assert_eq!(nothing(3, 6), pop(), "beside both");
    // Of two threads in turn, one pop is always in flight.
    let pause = Some(at(7) + Duration::from_millis(20));
    assert_eq!(nothing(4, 7), Turn::Wait(pause), "after the first one");
    assert_eq!(nothing(5, 8), Turn::Wait(pause), "beside that");
}

#[test]
fn a_pop_that_brings_nothing_hides_no_messages_that_a_later_one_has_found() {
    let zero = Instant::now();
    let at = |ms| zero + Duration::from_millis(ms);
    let source = source("T", "a");
    let mut sources = Sources::default();
    assert!(sources.is_ready(&source), "it was never popped");
    sources.found(&source, at(5));
    sources.nothing(&source, at(4), false, at(6));
    assert!(sources.is_ready(&source));
    sources.nothing(&source, at(6), false, at(7));
    assert!(!sources.is_ready(&source));
}

#[test]
fn failures_are_told_if_all_fail_and_pause_their_source() {
    let now = Instant::now();
    let all = ["a", "b"].map(|broker| source("T", broker));
    let mut sources = Sources::default();
    assert_eq!(sources.turn(&all, now), Turn::Pop(all[0].clone()));
    sources.failed(&all[0], error(), now);
    assert_eq!(sources.turn(&all, now), Turn::Pop(all[1].clone()));
    assert!(sources.failure(&all).is_none());
    sources.failed(&all[1], error(), now);
    assert!(sources.failure(&all).is_some());
    let pause = now + Duration::from_millis(50);
    assert_eq!(sources.turn(&all, now), Turn::Wait(Some(pause)));
    assert_eq!(sources.turn(&all, pause), Turn::Ask(all.to_vec()));
    sources.noticed(&all[0], Noticed::Failed(error()), pause);
    assert!(sources.failure(&all).is_some());
    sources.noticed(&all[1], Noticed::Nothing, pause);
    assert!(sources.failure(&all).is_none());
    assert!(sources.failure(&[]).is_none());
}

#[test]
fn a_refusal_pauses_its_source_alone_and_is_new_once() {
    let zero = Instant::now();
    let all = ["T", "U"].map(|topic| source(topic, "a"));
    let mut sources = Sources::default();
    let refusal = |code| Error::response(code, None);
    assert!(sources.refused(&all[0], refusal(16), zero));
    let mut now = zero;
    let mut pauses = Vec::new();
    for _ in 0..7 {
        assert_eq!(sources.turn(&all, now), Turn::Pop(all[1].clone()));
        sources.found(&all[1], now);
        let until = sources.states[&all[0]].not_before.expect("a pause");
        pauses.push(until.duration_since(now).as_millis());
        now = until;
        // The broker says that there is a message, or would say so of anything that it refuses.
        sources.states.get_mut(&all[1]).expect("it").is_ready = false;
        assert_eq!(sources.turn(&all, now), Turn::Ask(all.to_vec()));
        sources.noticed(&all[0], Noticed::Message, now);
        sources.noticed(&all[1], Noticed::Message, now);
        assert!(!sources.refused(&all[0], refusal(16), now), "again");
    }
    assert_eq!(pauses, [50, 100, 200, 400, 800, 1_000, 1_000]);
    assert!(sources.refused(&all[0], refusal(23), now), "another code");
    sources.noticed(&all[0], Noticed::Nothing, now);
    assert!(!sources.refused(&all[0], refusal(23), now), "nobody popped");
    sources.nothing(&all[0], now, false, now);
    assert!(sources.refused(&all[0], refusal(23), now), "it was over");
}

#[test]
fn an_attempt_whose_answer_was_lost_is_repeated() {
    let now = Instant::now();
    let all = ["a", "b"].map(|broker| source("T", broker));
    let mut sources = Sources::default();
    let first = sources.begin_attempt(&all[0], "me", now);
    let second = sources.begin_attempt(&all[0], "me", now);
    assert_ne!(first, second);
    for one in &all {
        assert_eq!(sources.turn(&all, now), Turn::Pop(one.clone()));
        sources.nothing(one, now, false, now);
    }
    sources.lost_attempt(&all[0], first.clone(), now);
    assert_eq!(
        sources.turn(&all, now),
        Turn::Pop(all[0].clone()),
        "not asked"
    );
    assert_eq!(sources.begin_attempt(&all[0], "me", now), first);
    assert_ne!(sources.begin_attempt(&all[0], "me", now), first);
}

#[test]
fn name_servers_are_asked_less_and_less_often_for_missing_topics() {
    let mut sources = Sources::default();
    let start = Instant::now();
    let mut asked = Vec::new();
    let mut now = start;
    while asked.len() < 9 {
        let (is_due, next) = sources.learn(now);
        if is_due {
            asked.push(now.duration_since(start).as_millis());
            assert!(!sources.learn(now).0, "just asked");
        }
        now = next;
    }
    let expected = [0, 200, 600, 1_400, 3_000, 6_200, 12_600, 22_600, 32_600];
    assert_eq!(asked, expected);
}

#[test]
fn sources_that_are_gone_are_forgotten() {
    let now = Instant::now();
    let all = ["a", "b"].map(|broker| source("T", broker));
    let mut sources = Sources::default();
    assert_eq!(sources.turn(&all, now), Turn::Pop(all[0].clone()));
    assert_eq!(sources.turn(&all, now), Turn::Pop(all[1].clone()));
    assert_eq!(sources.turn(&all[..1], now), Turn::Pop(all[0].clone()));
    assert_eq!(sources.states.len(), 1);
    sources.noticed(&all[1], Noticed::Message, now);
    assert_eq!(sources.states.len(), 1);
}
