use proptest::prelude::*;

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn judged(code: i32, next: i64, min: i64, max: i64, offsets: &[i64], asked: u64) -> Verdict {
    let answer = PullAnswer {
        code,
        next: Some(next),
        min: Some(min),
        max: Some(max),
        offsets,
    };
    judge(&answer, asked, 0)
}

#[test]
#[rustfmt::skip]
fn each_answer_has_its_meaning() {
    use Verdict::*;
    const BACK: &str = "the next offset lies below the asked one";
    const RISE: &str = "the messages' offsets do not rise";
    const BEHIND: &str = "the next offset does not lie behind the messages";
    const ABOVE: &str = "the next offset lies above the maximum";
    const SIGN: &str = "nextBeginOffset or maxOffset is missing or negative";
    const NONE: &str = "an answer without messages has messages";
    let broken = |what| Broken { what, pause: SECOND };
    let nothing = |next| Nothing { next, pause: ms(0) };
    for (code, next, (min, max), offsets, asked, expected) in [
        // Found: contiguous, with gaps, the end filtered, a batch that begins below.
        (0, 13, (0, 20), &[10, 11, 12][..], 10, Found { next: 13 }),
        (0, 13, (0, 13), &[10, 12], 10, Found { next: 13 }),
        (0, 19, (0, 20), &[12, 14], 10, Found { next: 19 }),
        (0, 13, (0, 20), &[8, 9, 10, 11, 12], 10, Found { next: 13 }),
        // Stored after the broker read its maximum.
        (0, 13, (0, 11), &[10, 11, 12], 10, Found { next: 13 }),
        // Found, and everything was filtered.
        (0, 900, (0, 900), &[], 10, nothing(900)),
        (0, 10, (0, 900), &[], 10, nothing(10)),
        // Nothing new, nothing that matches.
        (19, 10, (0, 10), &[], 10, nothing(10)),
        (19, 0, (0, 0), &[], 0, nothing(0)),
        (20, 810, (0, 5000), &[], 10, nothing(810)),
        // A slave that is behind.
        (20, 10, (0, 4), &[], 10, nothing(10)),
        // Hostile.
        (0, 9, (0, 20), &[], 10, broken(BACK)),
        (19, 9, (0, 20), &[], 10, broken(BACK)),
        (0, 10, (0, 20), &[10], 10, broken(BEHIND)),
        (0, 10, (0, 20), &[7, 8], 10, broken(BEHIND)),
        (0, 12, (0, 20), &[10, 11, 12], 10, broken(BEHIND)),
        (0, 13, (0, 20), &[10, 12, 11], 10, broken(RISE)),
        (0, 13, (0, 20), &[10, 10], 10, broken(RISE)),
        (0, 13, (0, 20), &[-1, 10], 10, broken(RISE)),
        (0, 10_000, (0, 20), &[10], 10, broken(ABOVE)),
        (0, i64::MAX, (0, 20), &[], 10, broken(ABOVE)),
        (20, 822, (0, 20), &[], 10, broken(ABOVE)),
        (0, i64::MAX, (0, 20), &[i64::MAX], 10, broken(BEHIND)),
        (0, -1, (0, 20), &[], 10, broken(SIGN)),
        (19, 10, (0, -1), &[], 10, broken(SIGN)),
        (19, 11, (0, 11), &[10], 10, broken(NONE)),
        (20, 11, (0, 11), &[10], 10, broken(NONE)),
        // Moved.
        (21, 50, (50, 90), &[], 10, Moved(super::Moved::TooSmall { min: 50 })),
        (21, 90, (50, 90), &[], 100, Moved(super::Moved::TooLarge { min: 50, max: 90 })),
        (21, 0, (0, 0), &[], 100, Moved(super::Moved::TooLarge { min: 0, max: 0 })),
        (21, 0, (3, 9), &[], 100, Moved(super::Moved::TooLarge { min: 3, max: 9 })),
        (21, 70, (50, 90), &[], 60, Moved(super::Moved::Reset { to: 70 })),
        (21, 60, (50, 90), &[], 70, Moved(super::Moved::Reset { to: 60 })),
        (21, 70, (50, 90), &[], 10, Moved(super::Moved::Reset { to: 70 })),
        (21, 70, (50, 90), &[], 100, Moved(super::Moved::Reset { to: 70 })),
        (21, -1, (50, 90), &[], 10, broken("an offset of a moved queue is missing or negative")),
        (21, 5, (-1, 90), &[], 10, broken("an offset of a moved queue is missing or negative")),
        // Other codes, whatever the offsets say.
        (1, 99, (0, 0), &[], 10, Failed { pause: SECOND }),
        (2, 99, (0, 0), &[], 10, Busy { pause: ms(20) }),
        (13, 99, (0, 0), &[], 10, Failed { pause: SECOND }),
        (14, 99, (0, 0), &[], 10, Failed { pause: SECOND }),
        (16, 99, (0, 0), &[], 10, Refused { pause: SECOND }),
        (17, 99, (0, 0), &[], 10, Gone { pause: SECOND }),
        (23, 99, (0, 0), &[], 10, Refused { pause: SECOND }),
        (24, 99, (0, 0), &[], 10, HeartbeatFirst { pause: ms(100) }),
        (25, 99, (0, 0), &[], 10, HeartbeatFirst { pause: ms(100) }),
        (26, 99, (0, 0), &[], 10, Refused { pause: SECOND }),
        (27, 99, (0, 0), &[], 10, HeartbeatFirst { pause: ms(100) }),
        (28, 99, (0, 0), &[], 10, HeartbeatFirst { pause: ms(100) }),
        (29, 99, (0, 0), &[], 10, Gone { pause: SECOND }),
        (206, 99, (0, 0), &[], 10, Failed { pause: SECOND }),
        (209, 99, (0, 0), &[], 10, Busy { pause: SECOND }),
        (210, 99, (0, 0), &[], 10, nothing(10)),
        (215, 99, (0, 0), &[], 10, Busy { pause: ms(20) }),
        (501, 99, (0, 0), &[], 10, NotMine { pause: SECOND }),
        (-1, 99, (0, 0), &[], 10, Failed { pause: SECOND }),
        (32767, 99, (0, 0), &[], 10, Failed { pause: SECOND }),
    ] {
        let got = judged(code, next, min, max, offsets, asked);
        assert_eq!(got, expected, "{code} {next} {min}..{max} {offsets:?} from {asked}");
    }
}

#[test]
fn a_missing_offset_is_not_zero() {
    for code in [0, 19, 20, 21] {
        for missing in 0..3 {
            let field = |i, value| (i != missing).then_some(value);
            let answer = PullAnswer {
                code,
                next: field(0, 5),
                min: field(1, 0),
                max: field(2, 9),
                offsets: &[],
            };
            let is_broken = matches!(judge(&answer, 5, 0), Verdict::Broken { .. });
            assert_eq!(
                is_broken,
                missing != 1 || code == 21,
                "{code}, field {missing}"
            );
        }
    }
}

#[test]
fn pauses_grow_without_progress() {
    let pauses = |code: i32| -> Vec<u64> {
        let answer = PullAnswer {
            code,
            next: Some(5),
            min: Some(0),
            max: Some(5),
            offsets: &[],
        };
        let pause = |streak| match judge(&answer, 5, streak) {
            Verdict::Nothing { pause, .. }
            | Verdict::Busy { pause }
            | Verdict::HeartbeatFirst { pause } => pause.as_millis() as u64,
            other => panic!("{other:?}"),
        };
        [0, 1, 2, 3, 8, 9, 10, u32::MAX].map(pause).to_vec()
    };
    assert_eq!(pauses(19), [0, 10, 20, 40, 1000, 1000, 1000, 1000]);
    assert_eq!(pauses(20), pauses(19));
    assert_eq!(pauses(2), [20, 40, 80, 160, 1000, 1000, 1000, 1000]);
    assert_eq!(pauses(24), [100, 100, 100, 100, 100, 100, 1000, 1000]);
}

#[test]
fn a_streak_counts_answers_without_progress() {
    let mut streak = Streak::default();
    let nothing = |next| Verdict::Nothing { next, pause: ms(0) };
    let failed = Verdict::Failed { pause: SECOND };
    let refused = Verdict::Refused { pause: SECOND };
    let steps = [
        (nothing(5), 0, 1, false),
        (nothing(5), 499, 2, false),
        (nothing(5), 500, 0, false),
        (nothing(6), 0, 0, false),
        (failed, 0, 1, false),
        (failed, 0, 2, false),
        (failed, 0, 3, true),
        (failed, 0, 4, false),
        (Verdict::Found { next: 7 }, 0, 0, false),
        (refused, 0, 1, true),
        (refused, 0, 2, false),
    ];
    for (i, (verdict, took, count, event)) in steps.into_iter().enumerate() {
        assert_eq!(streak.note(&verdict, 5, ms(took)), event, "step {i}");
        assert_eq!(streak.count(), count, "step {i}");
    }
}

proptest! {
    #![proptest_config(crate::consumer::cases(256, 100_000))]
    /// Whatever a broker answers: an accepted answer goes forward, covers its messages, and goes no
    /// further than the broker can have read.
    #[test]
    fn an_accepted_answer_skips_nothing(
        code in prop_oneof![Just(0), Just(19), Just(20), any::<i32>()],
        next in prop_oneof![0i64..60, any::<i64>()],
        max in prop_oneof![0i64..60, any::<i64>()],
        offsets in prop::collection::vec(prop_oneof![0i64..60, any::<i64>()], 0..6),
        asked in 0u64..50,
        streak: u32,
    ) {
        let answer = PullAnswer { code, next: Some(next), min: Some(0), max: Some(max), offsets: &offsets };
        match judge(&answer, asked, streak) {
            Verdict::Found { next } => {
                prop_assert!(next > asked && offsets.iter().all(|o| (*o as u64) < next));
                let last = *offsets.last().expect("found") as u64;
                prop_assert!(next <= (max as u64).max(last + 1) + SCANNED_BY_BROKER);
            }
            Verdict::Nothing { next, pause } => {
                prop_assert!(next >= asked && (code == 210 || offsets.is_empty()));
                prop_assert!(next > asked || streak == 0 || !pause.is_zero());
            }
            Verdict::Moved(_) => prop_assert_eq!(code, 21),
            Verdict::Busy { pause } | Verdict::HeartbeatFirst { pause } | Verdict::NotMine { pause }
            | Verdict::Gone { pause } | Verdict::Refused { pause } | Verdict::Failed { pause }
            | Verdict::Broken { pause, .. } => prop_assert!(!pause.is_zero()),
        }
    }
}
