use proptest::prelude::*;

use super::*;
use Granted::{Again, Kept, New};
use Need::{Preferred, Required};

/// What happens, and what is seen then.
#[derive(Debug, Clone, Copy)]
enum Do {
    Ask,
    Grant(Option<Granted>),
    Refuse,
    Fail,
    Break,
    /// The broker has no master.
    Gone,
    Release,
    /// Whether a message may be handed out.
    HandOut(bool),
    /// When the next request is due, in ms.
    Next(Option<u64>),
    /// When hand-outs start or stop by themselves, in ms.
    Changes(Option<u64>),
    /// Whether another member may have gone on.
    Doubt(bool),
    Checked,
    /// Whether the broker has said that another member has it.
    Waited(bool),
}
use Do::*;

#[track_caller]
fn check(name: &str, need: Need, script: &[(u64, Do)]) {
    let zero = Instant::now();
    let at = |ms| zero + Duration::from_millis(ms);
    let mut lock = QueueLock::new(need, zero);
    for (i, (ms, what)) in script.iter().enumerate() {
        let now = at(*ms);
        let place = format!("{name}, line {i}: {what:?}");
        match *what {
            Ask => {
                assert!(lock.ask_at().is_some_and(|due| due <= now), "{place}");
                lock.ask(now);
            }
            Grant(expected) => assert_eq!(lock.granted(), expected, "{place}"),
            Refuse => lock.refused(now),
            Fail => lock.failed(),
            Break => lock.link_broke(now),
            Gone => lock.master_is_gone(now),
            Release => lock.released(now),
            HandOut(expected) => assert_eq!(lock.may_hand_out(now), expected, "{place}"),
            Doubt(expected) => assert_eq!(lock.is_in_doubt(now), expected, "{place}"),
            Checked => lock.offset_checked(now),
            Waited(expected) => assert_eq!(lock.had_to_wait(), expected, "{place}"),
            Next(expected) => assert_eq!(lock.ask_at(), expected.map(at), "{place}"),
            Changes(expected) => {
                assert_eq!(lock.changes_at(now), expected.map(at), "{place}");
            }
        }
    }
}

#[test]
#[rustfmt::skip]
fn a_lock_is_asked_for_renewed_and_lost() {
    check("had at once, renewed each 20 s", Required, &[
        (0, HandOut(false)), (0, Next(Some(0))), (0, Ask), (0, Next(None)), (40, HandOut(false)),
        (50, Grant(Some(New))), (50, HandOut(true)), (50, Next(Some(20_000))), (50, Changes(Some(30_000))),
        (20_000, Ask), (20_100, HandOut(true)), (20_100, Grant(Some(Kept))), (49_999, HandOut(true)),
        (49_999, Next(Some(40_000))), (50_000, HandOut(false)), (50_000, Changes(None)),
    ]);
    check("refused until it is free", Required, &[
        (0, Ask), (10, Refuse), (10, HandOut(false)), (10, Next(Some(500))), (500, Ask), (510, Refuse),
        (510, Next(Some(1_000))), (1_000, Ask), (1_010, Grant(Some(New))), (1_010, HandOut(true)),
        // Never without it.
        (90_000, HandOut(false)),
    ]);
    check("renewal fails: counts for 30 s, asked each 500 ms", Required, &[
        (0, Ask), (0, Grant(Some(New))), (20_000, Ask), (21_000, Fail), (21_000, Next(Some(20_500))),
        (21_000, Ask), (22_000, Fail), (29_999, HandOut(true)), (30_000, HandOut(false)),
        (30_000, Ask), (30_100, Grant(Some(Kept))), (30_100, HandOut(true)),
    ]);
    check("confirmed too late for the broker", Required, &[
        (0, Ask), (0, Grant(Some(New))), (20_000, Ask), (21_000, Fail), (60_000, Ask),
        (60_100, Grant(Some(Again))), (60_100, HandOut(true)),
    ]);
    check("the time of the request counts, not of the answer", Required, &[
        (0, Ask), (900, Grant(Some(New))), (29_999, HandOut(true)), (30_000, HandOut(false)),
    ]);
    check("the link breaks", Required, &[
        (0, Ask), (0, Grant(Some(New))), (5_000, Break), (5_000, HandOut(false)), (5_000, Next(Some(5_000))),
        (5_001, Ask), (5_010, Grant(Some(Again))), (5_010, HandOut(true)), (5_010, Next(Some(25_001))),
    ]);
    check("the link breaks with a request in flight", Required, &[
        (0, Ask), (5, Break), (6, Grant(None)), (6, HandOut(false)), (6, Ask), (7, Grant(Some(New))),
    ]);
    check("taken away", Required, &[
        (0, Ask), (0, Grant(Some(New))), (20_000, Ask), (20_010, Refuse), (20_010, HandOut(false)),
        (20_010, Next(Some(20_500))), (20_500, Ask), (20_600, Grant(Some(Again))), (20_600, HandOut(true)),
    ]);
    check("given back", Required, &[
        (0, Ask), (0, Grant(Some(New))), (100, Release), (100, HandOut(false)), (100, Ask),
        (101, Grant(Some(New))),
    ]);
    check("a lease is waited for 3.5 s", Preferred, &[
        (0, Ask), (10, Refuse), (3_499, HandOut(false)), (3_499, Changes(Some(3_500))), (3_500, HandOut(true)),
        (5_000, Changes(None)), (5_000, Ask), (5_010, Grant(Some(New))), (5_010, HandOut(true)), (5_010, Changes(Some(35_000))),
    ]);
    check("a lease that is lost is waited for anew", Preferred, &[
        (0, Ask), (0, Grant(Some(New))), (10_000, Break), (10_000, HandOut(false)), (13_499, HandOut(false)),
        (13_500, HandOut(true)),
    ]);
    check("a lease that expires is waited for anew", Preferred, &[
        (0, Ask), (0, Grant(Some(New))), (20_000, Ask), (21_000, Fail), (30_000, HandOut(false)),
        (31_000, Ask), (32_000, Fail), (32_000, Changes(Some(33_500))), (33_499, HandOut(false)), (33_500, HandOut(true)),
        (36_000, Ask), (36_010, Refuse), (36_010, HandOut(true)),
    ]);
    check("a lease that is refused at its renewal", Preferred, &[
        (0, Ask), (0, Grant(Some(New))), (20_000, Ask), (20_010, Refuse), (20_010, HandOut(false)),
        (23_509, HandOut(false)), (23_510, HandOut(true)),
    ]);
}

#[test]
#[rustfmt::skip]
fn a_lock_that_was_lost_is_in_doubt_until_it_is_had_again_or_the_offset_was_checked_without_it() {
    check("never held", Preferred, &[
        (0, Ask), (10, Refuse), (10, Doubt(false)), (6_000, HandOut(true)), (6_000, Doubt(false)),
    ]);
    check("the link breaks", Required, &[
        (0, Ask), (0, Grant(Some(New))), (0, Doubt(false)), (5_000, Break), (5_000, Doubt(true)), (5_001, Ask),
        (5_002, Doubt(true)), (5_010, Grant(Some(Again))), (5_010, Doubt(false)),
    ]);
    check("not renewed in time, and kept by the broker all the same", Required, &[
        (0, Ask), (0, Grant(Some(New))), (29_999, Doubt(false)), (30_000, Doubt(true)), (30_000, Checked),
        (30_000, Doubt(true)), (30_000, Ask), (30_010, Grant(Some(Kept))), (30_010, Doubt(false)),
    ]);
    check("a broken link is no time to wait in", Preferred, &[
        (0, Ask), (0, Grant(Some(New))), (5_000, Break), (6_000, Break), (9_000, Break), (9_000, HandOut(false)),
        (9_010, Ask), (9_020, Refuse), (12_499, HandOut(false)), (12_500, HandOut(true)), (12_500, Doubt(true)),
    ]);
    check("another one has it, and the queue goes without it", Preferred, &[
        (0, Ask), (0, Grant(Some(New))), (20_000, Ask), (20_010, Refuse), (20_010, Doubt(true)),
        (23_509, Checked), (23_509, Doubt(true)), (23_510, Checked), (23_510, Doubt(false)), (23_510, HandOut(true)),
        (23_510, Ask), (23_520, Grant(Some(Again))), (23_520, Doubt(false)),
    ]);
    check("slaves serve it while the master is gone", Preferred, &[
        (0, Ask), (0, Grant(Some(New))), (5_000, Gone), (6_000, Gone), (8_499, HandOut(false)), (8_500, HandOut(true)),
        (8_500, Doubt(true)), (8_500, Checked), (9_000, Gone), (9_000, Doubt(false)), (9_000, HandOut(true)),
        (10_000, Break), (10_000, Doubt(true)), (10_000, HandOut(false)),
    ]);
}

#[test]
#[rustfmt::skip]
fn another_member_has_it_as_long_as_the_link_stands_over_which_the_broker_said_so() {
    check("nobody had it", Required, &[(0, Ask), (5, Grant(Some(New))), (5, Waited(false))]);
    check("unlocked", Required, &[(0, Ask), (5, Refuse), (500, Ask), (505, Grant(Some(New))), (505, Waited(true))]);
    check("the broker forgot it", Required, &[
        (0, Ask), (5, Refuse), (5, Waited(true)), (100, Break), (100, Waited(false)), (100, Ask), (105, Grant(Some(New))),
        (105, Waited(false)),
    ]);
    check("a new broker", Required, &[(0, Ask), (5, Refuse), (100, Gone), (100, Waited(false))]);
}

/// A broker's entry for the queue: its holder and when that asked last.
pub(in crate::consumer::queue) struct Broker {
    pub(in crate::consumer::queue) holder: Option<(usize, Instant)>,
}

impl Broker {
    pub(in crate::consumer::queue) fn lock(&mut self, who: usize, now: Instant) -> bool {
        let free = match self.holder {
            Some((holder, at)) => holder == who || now - at >= COUNTS_AT_BROKER,
            None => true,
        };
        if free {
            self.holder = Some((who, now));
        }
        free
    }
}

proptest! {
    #![proptest_config(crate::consumer::cases(100, 20_000))]
    /// Two members, a slow network that loses requests and answers, a broker that restarts (both
    /// links break then): never may both hand out.
    #[test]
    fn two_members_never_hold_a_lock_at_the_same_time(
        steps in prop::collection::vec((0u64..3_000, 0u8..12, 0..2usize), 1..300)
    ) {
        let mut now = Instant::now();
        let mut broker = Broker { holder: None };
        let mut locks = [QueueLock::new(Required, now), QueueLock::new(Required, now)];
        // The broker's answer, on its way to the member.
        let mut answers = [None, None];
        for (ms, kind, who) in steps {
            now += Duration::from_millis(ms);
            match kind {
                0..=6 => match answers[who].take() {
                    Some(true) => { locks[who].granted(); }
                    Some(false) => locks[who].refused(now),
                    None if locks[who].ask_at().is_some_and(|at| at <= now) => {
                        locks[who].ask(now);
                        now += Duration::from_millis(ms);
                        answers[who] = Some(broker.lock(who, now));
                    }
                    None => {}
                },
                7 => {
                    let lost = answers[who].take();
                    if lost.is_some() {
                        locks[who].failed();
                    }
                }
                8 => locks[who].link_broke(now),
                9 => {
                    locks[who].released(now);
                    answers[who] = None;
                    if broker.holder.is_some_and(|(holder, _)| holder == who) {
                        broker.holder = None;
                    }
                }
                10 => {
                    broker.holder = None;
                    answers = [None, None];
                    locks.iter_mut().for_each(|lock| lock.link_broke(now));
                }
                _ => {}
            }
            let holders = locks.iter().filter(|lock| lock.may_hand_out(now)).count();
            prop_assert!(holders <= 1);
            for lock in &locks {
                if let Some(at) = lock.changes_at(now) {
                    prop_assert!(lock.may_hand_out(at) != lock.may_hand_out(now));
                }
            }
        }
    }
}
