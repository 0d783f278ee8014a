use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn ids(text: &str) -> Vec<Arc<str>> {
    text.chars().map(|c| c.to_string().into()).collect()
}

fn queues(ids: impl IntoIterator<Item = i32>) -> Vec<MessageQueue> {
    let queue = |id| MessageQueue::new("T", "b", id);
    ids.into_iter().map(queue).collect()
}

#[test]
#[rustfmt::skip]
fn lists_of_members_that_differ_are_in_doubt() {
    use Doubt::*;
    // "-" is a broker that did not answer.
    for (me, answers, expected, doubt) in [
        ("a", &[][..], "", Some(Unanswered)),
        ("a", &["-", "-"], "", Some(Unanswered)),
        ("a", &["", "-"], "", Some(Empty)),
        ("a", &["bc", ""], "", Some(WithoutUs)),
        ("a", &["abc"], "abc", None),
        ("a", &["-", "abc"], "abc", None),
        ("a", &["cba", "abc"], "abc", None),
        ("a", &["abc", ""], "abc", Some(Differ)),
        ("a", &["abc", "ab"], "abc", Some(Differ)),
        ("a", &["bc", "ab"], "abc", Some(Differ)),
        // The same members, one of them twice: not a difference.
        ("a", &["abc", "abca"], "abca", None),
        ("a", &["aa"], "aa", None),
    ] {
        let answer = |text: &&str| (*text != "-").then(|| ids(text));
        let answers: Vec<_> = answers.iter().map(answer).collect();
        let got = judge(me, &answers);
        assert_eq!((got.ids, got.doubt), (ids(expected), doubt), "{answers:?}");
    }
}

#[test]
#[rustfmt::skip]
fn only_an_assignment_without_doubt_drops_a_queue() {
    use Doubt::*;
    for (assigned, doubt, keep, give_up, take) in [
        (Some(vec![1, 2, 3]), None, vec![1, 2], vec![0], vec![3]),
        (Some(vec![0, 1, 2]), None, vec![0, 1, 2], vec![], vec![]),
        (Some(vec![]), None, vec![], vec![0, 1, 2], vec![]),
        (Some(vec![1, 2, 3]), Some(Differ), vec![0, 1, 2], vec![], vec![3]),
        (Some(vec![3]), Some(Empty), vec![0, 1, 2], vec![], vec![]),
        (None, Some(Unanswered), vec![0, 1, 2], vec![], vec![]),
        (None, None, vec![0, 1, 2], vec![], vec![]),
    ] {
        let assigned = assigned.map(queues);
        let got = diff(&queues([0, 1, 2]), assigned.as_deref(), doubt);
        let expected = Diff { keep: queues(keep), give_up: queues(give_up), take: queues(take), doubt };
        assert_eq!(got, expected);
    }
    assert!(diff(&queues([0]), Some(&queues([0])), None).is_balanced());
    assert!(!diff(&queues([0]), Some(&queues([0])), Some(Differ)).is_balanced());
}

#[test]
fn without_a_usable_answer_a_round_changes_nothing() {
    let (group, me) = (Arc::from("g"), Arc::from("a"));
    let all = queues(0..4);
    let mut round = Round {
        group: &group,
        me: &me,
        mine: &all[..3],
        queues: None,
        answers: &[Some(ids("ab"))],
        duplicates: Duplicates::Removed,
    };
    let run = |round: &Round<'_>, allocation: &Allocation| {
        let (diff, error) = rebalance(allocation, round);
        (
            diff.give_up.len(),
            diff.take.len(),
            diff.doubt,
            error.is_some(),
        )
    };
    let averagely = Allocation::averagely();
    assert_eq!(run(&round, &averagely), (0, 0, Some(Doubt::NoRoute), false));
    round.queues = Some(&[]);
    assert_eq!(
        run(&round, &averagely),
        (0, 0, Some(Doubt::NoQueues), false)
    );
    round.queues = Some(&all);
    assert_eq!(run(&round, &averagely), (1, 0, None, false));
    let bad = Allocation::custom("bad", |_| panic!("of the user"));
    assert_eq!(run(&round, &bad), (0, 0, Some(Doubt::Allocation), true));
    let empty = [Some(Vec::new())];
    round.answers = &empty;
    assert_eq!(run(&round, &averagely), (0, 0, Some(Doubt::Empty), false));
    assert!(Doubt::Empty.needs_heartbeat() && !Doubt::Unanswered.needs_heartbeat());

    assert_eq!(take_all(&all[..1], Some(&all)).take, all[1..]);
    assert_eq!(take_all(&all, Some(&all[..1])).give_up, all[1..]);
    assert_eq!(take_all(&all, None).keep, all);
    assert_eq!(take_all(&all, Some(&[])).doubt, Some(Doubt::NoQueues));
}

#[derive(Debug, Clone)]
enum Step {
    /// A member joins or leaves.
    Toggle(usize),
    /// A member rebalances, and broker `usize` answers with only some of the members.
    Round {
        member: usize,
        forgets: Option<(usize, u8)>,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let round = (
        0..6usize,
        prop::option::weighted(0.4, (0..2usize, any::<u8>())),
    );
    let step = prop_oneof![
        1 => (0..6usize).prop_map(Step::Toggle),
        4 => round.prop_map(|(member, forgets)| Step::Round { member, forgets }),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(crate::consumer::cases(100, 20_000))]
    /// Members that rebalance in any order, with wrong lists in between: a queue is taken only
    /// while it is free (otherwise the lock refuses it), is never given up for a doubtful list, and
    /// once the lists are right again each queue has exactly one owner.
    #[test]
    fn members_end_with_each_queue_owned_once(steps in steps()) {
        let all = queues(0..7);
        let names: Vec<Arc<str>> = (0..6).map(|i| format!("c{i}").into()).collect();
        let group: Arc<str> = "g".into();
        let mut alive: BTreeMap<usize, Vec<MessageQueue>> = BTreeMap::from([(0, Vec::new())]);
        let run = |alive: &mut BTreeMap<usize, Vec<MessageQueue>>, member: usize, forgets: Option<(usize, u8)>| {
            let listed: Vec<Arc<str>> = alive.keys().map(|i| names[*i].clone()).collect();
            let mut answers = vec![Some(listed.clone()), Some(listed)];
            if let Some((broker, mask)) = forgets {
                let list = answers[broker].as_mut().expect("there");
                list.retain(|id| mask >> id[1..].parse::<u32>().expect("a digit") & 1 == 1);
            }
            let Some(mine) = alive.get(&member).cloned() else { return };
            let round = Round {
                group: &group, me: &names[member], mine: &mine, queues: Some(&all),
                answers: &answers, duplicates: Duplicates::Removed,
            };
            let (diff, error) = rebalance(&Allocation::averagely(), &round);
            assert!(error.is_none());
            assert!(diff.doubt.is_none() || diff.give_up.is_empty());
            let mut ours = diff.keep;
            ours.extend(diff.take.into_iter().filter(|q| !alive.values().flatten().any(|held| held == q)));
            alive.insert(member, ours);
        };
        for step in steps {
            match step {
                Step::Toggle(0) => {}
                Step::Toggle(i) => if alive.remove(&i).is_none() { alive.insert(i, Vec::new()); },
                Step::Round { member, forgets } => run(&mut alive, member, forgets),
            }
            let owned: Vec<&MessageQueue> = alive.values().flatten().collect();
            let once: HashSet<&MessageQueue> = owned.iter().copied().collect();
            prop_assert_eq!(owned.len(), once.len());
        }
        for _ in 0..2 {
            for i in 0..6 {
                run(&mut alive, i, None);
            }
        }
        prop_assert_eq!(alive.values().flatten().count(), all.len());
    }
}
