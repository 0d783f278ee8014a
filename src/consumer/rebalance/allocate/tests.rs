use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::consumer::rebalance::Duplicates::{self, KeptAsJava, Removed};

fn division(queues: &[MessageQueue], members: &[&str], me: &str, d: Duplicates) -> Division {
    let members = members.iter().map(|id| Arc::from(*id)).collect();
    Division::new("g".into(), me.into(), queues.to_vec(), members, d)
}

/// `broker:n broker:n ..`.
fn queues(text: &str) -> Vec<MessageQueue> {
    let of_broker = |part: &str| {
        let (broker, n) = part.rsplit_once(':').expect("broker:n");
        let n: i32 = n.parse().expect("a number");
        let broker: Arc<str> = broker.into();
        (0..n).map(move |id| MessageQueue::new("TopicTest", broker.clone(), id))
    };
    text.split(' ').flat_map(of_broker).collect()
}

/// For each queue, in order, the position of its owner among the sorted members.
fn owners(allocation: &Allocation, queues: &[MessageQueue], members: &[&str]) -> String {
    let mut owner = HashMap::new();
    let all = division(queues, members, "", KeptAsJava);
    let mut asked: Vec<&Arc<str>> = all.members().iter().collect();
    asked.dedup();
    for id in asked {
        let mine = division(queues, members, id, KeptAsJava);
        for queue in allocation.allocate(&mine).expect("a member") {
            let twice = owner.insert(queue.clone(), mine.index().expect("a member"));
            assert_eq!(twice, None, "{queue} has two owners");
        }
    }
    let digit = |queue| {
        owner
            .get(queue)
            .map_or('-', |i| char::from(b'0' + *i as u8))
    };
    all.queues().iter().map(digit).collect()
}

fn by_name(name: &str) -> Allocation {
    match name {
        "AVG" => Allocation::averagely(),
        "AVG_BY_CIRCLE" => Allocation::by_circle(),
        "CONSISTENT_HASH" => Allocation::consistent_hash(),
        "MACHINE_ROOM" => Allocation::machine_rooms(["r1", "r3", ""]),
        name => {
            let inner = name
                .strip_prefix("MACHINE_ROOM_NEARBY-")
                .expect("a strategy");
            let room = |name: &str| match name.split('@').next().unwrap_or_default() {
                "" => "none".to_owned(),
                room => room.to_owned(),
            };
            let of_queue = move |queue: &MessageQueue| room(queue.broker());
            Allocation::nearby(by_name(inner), of_queue, move |id| room(id))
        }
    }
}

/// Printed by a program around the strategy classes of Java 5.4.0, which sorted as its rebalance
/// does.
#[rustfmt::skip]
const OF_JAVA: &[(&str, &str, &str, &str)] = &[
    ("AVG", "broker-a:8", "10.0.0.1@1 10.0.0.2@2 10.0.0.3@3", "00011122"),
    ("AVG", "broker-10:3 broker-2:4 broker-a:3", "10.0.0.2@7#1 10.0.0.10@7#1 10.0.0.1@9#22", "0000111222"),
    ("AVG", "broker-a:1 broker-b:1", "10.0.0.1@1 10.0.0.2@2 10.0.0.3@3 10.0.0.4@4 10.0.0.5@5", "01"),
    ("AVG", "r1@a:5 r2@a:3 r3@b:4 @x:2 r1@:1 r1@y@:2 r1@y@z:1 plain:2", "r1@c1 r2@c2 r1@c3", "00000001111111222222"),
    ("AVG", "r1@a:7 r2@a:6 r4@b:5", "r2@c1 r2@c2 r5@c3 r1@c4", "000001111122223333"),
    ("AVG", "\u{e000}:3 \u{1f600}:3 z:2", "\u{ffff}@1 \u{1f600}@2 a@3", "00011122"),
    ("AVG", "broker-a:6 broker-b:6", "10.0.0.1@1 10.0.0.1@1 10.0.0.2@2", "0000----2222"),
    ("AVG", "broker-a:16 broker-b:16", "10.1.2.3@1#5 10.1.2.3@2#6 10.1.2.4@1#5 10.1.2.4@2#7 10.1.2.5@1#1", "00000001111111222222333333444444"),
    ("AVG_BY_CIRCLE", "broker-a:8", "10.0.0.1@1 10.0.0.2@2 10.0.0.3@3", "01201201"),
    ("AVG_BY_CIRCLE", "broker-10:3 broker-2:4 broker-a:3", "10.0.0.2@7#1 10.0.0.10@7#1 10.0.0.1@9#22", "0120120120"),
    ("AVG_BY_CIRCLE", "broker-a:1 broker-b:1", "10.0.0.1@1 10.0.0.2@2 10.0.0.3@3 10.0.0.4@4 10.0.0.5@5", "01"),
    ("AVG_BY_CIRCLE", "r1@a:5 r2@a:3 r3@b:4 @x:2 r1@:1 r1@y@:2 r1@y@z:1 plain:2", "r1@c1 r2@c2 r1@c3", "01201201201201201201"),
    ("AVG_BY_CIRCLE", "r1@a:7 r2@a:6 r4@b:5", "r2@c1 r2@c2 r5@c3 r1@c4", "012301230123012301"),
    ("AVG_BY_CIRCLE", "\u{e000}:3 \u{1f600}:3 z:2", "\u{ffff}@1 \u{1f600}@2 a@3", "01201201"),
    ("AVG_BY_CIRCLE", "broker-a:6 broker-b:6", "10.0.0.1@1 10.0.0.1@1 10.0.0.2@2", "0-20-20-20-2"),
    ("AVG_BY_CIRCLE", "broker-a:16 broker-b:16", "10.1.2.3@1#5 10.1.2.3@2#6 10.1.2.4@1#5 10.1.2.4@2#7 10.1.2.5@1#1", "01234012340123401234012340123401"),
    ("CONSISTENT_HASH", "broker-a:8", "10.0.0.1@1 10.0.0.2@2 10.0.0.3@3", "20020020"),
    ("CONSISTENT_HASH", "broker-10:3 broker-2:4 broker-a:3", "10.0.0.2@7#1 10.0.0.10@7#1 10.0.0.1@9#22", "2211112101"),
    ("CONSISTENT_HASH", "broker-a:1 broker-b:1", "10.0.0.1@1 10.0.0.2@2 10.0.0.3@3 10.0.0.4@4 10.0.0.5@5", "24"),
    ("CONSISTENT_HASH", "r1@a:5 r2@a:3 r3@b:4 @x:2 r1@:1 r1@y@:2 r1@y@z:1 plain:2", "r1@c1 r2@c2 r1@c3", "21012000021201011021"),
    ("CONSISTENT_HASH", "r1@a:7 r2@a:6 r4@b:5", "r2@c1 r2@c2 r5@c3 r1@c4", "033113312110203002"),
    ("CONSISTENT_HASH", "\u{e000}:3 \u{1f600}:3 z:2", "\u{ffff}@1 \u{1f600}@2 a@3", "20021121"),
    ("CONSISTENT_HASH", "broker-a:6 broker-b:6", "10.0.0.1@1 10.0.0.1@1 10.0.0.2@2", "000000002000"),
    ("CONSISTENT_HASH", "broker-a:16 broker-b:16", "10.1.2.3@1#5 10.1.2.3@2#6 10.1.2.4@1#5 10.1.2.4@2#7 10.1.2.5@1#1", "33413434330233031424204332410000"),
    ("MACHINE_ROOM", "r1@a:5 r2@a:3 r3@b:4 @x:2 r1@:1 r1@y@:2 r1@y@z:1 plain:2", "r1@c1 r2@c2 r1@c3", "00---0011112----2220"),
    ("MACHINE_ROOM", "r1@a:7 r2@a:6 r4@b:5", "r2@c1 r2@c2 r5@c3 r1@c4", "0123012-----------"),
    ("MACHINE_ROOM_NEARBY-AVG", "broker-a:8", "10.0.0.1@1 10.0.0.2@2 10.0.0.3@3", "00011122"),
    ("MACHINE_ROOM_NEARBY-AVG", "broker-10:3 broker-2:4 broker-a:3", "10.0.0.2@7#1 10.0.0.10@7#1 10.0.0.1@9#22", "0120012012"),
    ("MACHINE_ROOM_NEARBY-AVG", "broker-a:1 broker-b:1", "10.0.0.1@1 10.0.0.2@2 10.0.0.3@3 10.0.0.4@4 10.0.0.5@5", "00"),
    ("MACHINE_ROOM_NEARBY-AVG", "r1@a:5 r2@a:3 r3@b:4 @x:2 r1@:1 r1@y@:2 r1@y@z:1 plain:2", "r1@c1 r2@c2 r1@c3", "01010000011112220012"),
    ("MACHINE_ROOM_NEARBY-AVG", "r1@a:7 r2@a:6 r4@b:5", "r2@c1 r2@c2 r5@c3 r1@c4", "000000011122200123"),
    ("MACHINE_ROOM_NEARBY-AVG", "\u{e000}:3 \u{1f600}:3 z:2", "\u{ffff}@1 \u{1f600}@2 a@3", "01111012"),
    ("MACHINE_ROOM_NEARBY-AVG", "broker-a:6 broker-b:6", "10.0.0.1@1 10.0.0.1@1 10.0.0.2@2", "00--2200--22"),
    ("MACHINE_ROOM_NEARBY-AVG", "broker-a:16 broker-b:16", "10.1.2.3@1#5 10.1.2.3@2#6 10.1.2.4@1#5 10.1.2.4@2#7 10.1.2.5@1#1", "00001112223334440000111222333444"),
    ("MACHINE_ROOM_NEARBY-AVG_BY_CIRCLE", "broker-a:8", "10.0.0.1@1 10.0.0.2@2 10.0.0.3@3", "01201201"),
    ("MACHINE_ROOM_NEARBY-AVG_BY_CIRCLE", "broker-10:3 broker-2:4 broker-a:3", "10.0.0.2@7#1 10.0.0.10@7#1 10.0.0.1@9#22", "0120120012"),
    ("MACHINE_ROOM_NEARBY-AVG_BY_CIRCLE", "broker-a:1 broker-b:1", "10.0.0.1@1 10.0.0.2@2 10.0.0.3@3 10.0.0.4@4 10.0.0.5@5", "00"),
    ("MACHINE_ROOM_NEARBY-AVG_BY_CIRCLE", "r1@a:5 r2@a:3 r3@b:4 @x:2 r1@:1 r1@y@:2 r1@y@z:1 plain:2", "r1@c1 r2@c2 r1@c3", "01010101010102220120"),
    ("MACHINE_ROOM_NEARBY-AVG_BY_CIRCLE", "r1@a:7 r2@a:6 r4@b:5", "r2@c1 r2@c2 r5@c3 r1@c4", "000000012121201230"),
    ("MACHINE_ROOM_NEARBY-AVG_BY_CIRCLE", "\u{e000}:3 \u{1f600}:3 z:2", "\u{ffff}@1 \u{1f600}@2 a@3", "01111012"),
    ("MACHINE_ROOM_NEARBY-AVG_BY_CIRCLE", "broker-a:6 broker-b:6", "10.0.0.1@1 10.0.0.1@1 10.0.0.2@2", "0-20-20-20-2"),
    ("MACHINE_ROOM_NEARBY-AVG_BY_CIRCLE", "broker-a:16 broker-b:16", "10.1.2.3@1#5 10.1.2.3@2#6 10.1.2.4@1#5 10.1.2.4@2#7 10.1.2.5@1#1", "01234012340123400123401234012340"),
];

#[test]
fn every_strategy_divides_as_in_java() {
    for (name, text, members, expected) in OF_JAVA {
        let allocation = by_name(name);
        assert_eq!(allocation.name(), *name);
        let members: Vec<&str> = members.split(' ').collect();
        let got = owners(&allocation, &queues(text), &members);
        assert_eq!(got, *expected, "{name} {text:?} {members:?}");
    }
}

#[test]
#[rustfmt::skip]
fn the_worked_examples_give_the_expected_shares() {
    for (n, m, averagely, circle, machine_room) in [
        (8, 3, "00011122", "01201201", "00112201"),
        (7, 3, "0001122", "0120120", "0011220"),
        (5, 2, "00011", "01010", "00110"),
        (10, 4, "0001112233", "0123012301", "0011223301"),
        (4, 6, "0123", "0123", "0123"),
    ] {
        let queues = queues(&format!("r1@a:{n}"));
        let members = &["a", "b", "c", "d", "e", "f"][..m];
        assert_eq!(owners(&Allocation::averagely(), &queues, members), averagely);
        assert_eq!(owners(&Allocation::by_circle(), &queues, members), circle);
        let rooms = Allocation::machine_rooms(["r1"]);
        assert_eq!(owners(&rooms, &queues, members), machine_room);
    }
}

#[test]
fn configured_queues_are_taken_where_the_topic_has_them() {
    let allocation = Allocation::configured([
        MessageQueue::new("TopicTest", "a", 1),
        MessageQueue::new("TopicTest", "a", 7),
        MessageQueue::new("Other", "a", 0),
    ]);
    let ask = |topic: &str, me: &str| {
        let of_topic = |id| MessageQueue::new(topic, "a", id);
        let queues: Vec<_> = (0..2).map(of_topic).collect();
        let ours = allocation.allocate(&division(&queues, &["x", "y"], me, Removed));
        let ids: Vec<i32> = ours
            .expect("a member")
            .iter()
            .map(MessageQueue::id)
            .collect();
        ids
    };
    assert_eq!(ask("TopicTest", "x"), [1]);
    assert_eq!(ask("TopicTest", "y"), [1]);
    assert_eq!(ask("Third", "x"), [0i32; 0]);
    // The queues of the retry topic cannot be named in advance.
    assert_eq!(
        (ask("%RETRY%g", "x"), ask("%RETRY%g", "y")),
        (vec![0], vec![1])
    );
}

#[test]
fn a_closure_divides_and_is_checked() {
    let two = queues("a:2");
    let ask = |allocation: Allocation| allocation.allocate(&division(&two, &["x"], "x", Removed));
    let all = Allocation::custom("all", |division| {
        assert_eq!((division.group(), division.member()), ("g", "x"));
        let mut all = division.queues().to_vec();
        all.extend(division.queues().to_vec());
        all
    });
    assert_eq!(ask(all.clone()).expect("fine"), two);
    assert_eq!(format!("{all:?}"), "Allocation(all)");
    let foreign = Allocation::custom("bad", |_| vec![MessageQueue::new("T", "z", 3)]);
    let error = ask(foreign).expect_err("a foreign queue");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.to_string(), "bad: the topic has no queue T@z:3");
    let error = ask(Allocation::custom("worse", |_| panic!("of the user"))).expect_err("a panic");
    assert_eq!(error.to_string(), "worse: the allocation panicked");
}

#[test]
fn a_room_without_name_is_an_error() {
    let nearby = |of_queue: &'static str, of_member: &'static str| {
        let of_queue = move |_: &MessageQueue| of_queue.to_owned();
        let of_member = move |_: &str| match of_member {
            "panic" => panic!("of the user"),
            room => room.to_owned(),
        };
        let allocation = Allocation::nearby(Allocation::averagely(), of_queue, of_member);
        let all = allocation.allocate(&division(&queues("a:2"), &["x"], "x", Removed));
        all.map(|queues| queues.len()).map_err(|e| e.to_string())
    };
    assert_eq!(nearby("r", "r"), Ok(2));
    assert_eq!(nearby("r", "other"), Ok(2));
    let error = nearby("", "r").expect_err("no name");
    assert_eq!(
        error,
        "MACHINE_ROOM_NEARBY-AVG: the room of TopicTest@a:0 has no name"
    );
    let error = nearby("r", "").expect_err("no name");
    assert_eq!(error, "MACHINE_ROOM_NEARBY-AVG: the room of x has no name");
    let error = nearby("r", "panic").expect_err("a panic");
    assert_eq!(error, "MACHINE_ROOM_NEARBY-AVG: the allocation panicked");
}

#[test]
fn a_member_that_is_not_listed_gets_an_error_instead_of_no_queues() {
    let ask = |members: &[&str]| {
        let division = division(&queues("a:2"), members, "x", Removed);
        Allocation::averagely().allocate(&division)
    };
    assert!(ask(&["y"]).is_err() && ask(&[]).is_err());
    assert_eq!(ask(&["x"]).expect("listed").len(), 2);
    let none = division(&[], &["x"], "x", Removed);
    assert_eq!(
        Allocation::consistent_hash()
            .allocate(&none)
            .expect("listed"),
        []
    );
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,2}(@[a-c]?){0,2}",
        "[a\u{e000}\u{ffff}\u{10000}\u{1f600}]{1,3}"
    ]
}

const PARTITIONING: [&str; 5] = [
    "AVG",
    "AVG_BY_CIRCLE",
    "CONSISTENT_HASH",
    "MACHINE_ROOM_NEARBY-AVG",
    "MACHINE_ROOM_NEARBY-CONSISTENT_HASH",
];

proptest! {
    #![proptest_config(crate::consumer::cases(50, 5_000))]
    #[test]
    fn each_queue_has_exactly_one_owner_whatever_the_order(
        brokers in prop::collection::vec((any_name(), 0i32..9), 1..5),
        mut members in prop::collection::vec(any_name(), 1..9),
        seed: u64,
    ) {
        let of = |(broker, n): &(String, i32)| {
            let broker: Arc<str> = broker.as_str().into();
            (0..*n).map(|id| MessageQueue::new("T", broker.clone(), id)).collect::<Vec<_>>()
        };
        let mut queues: Vec<MessageQueue> = brokers.iter().flat_map(of).collect();
        let shuffled = |len: usize, i: usize| (i as u64 ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) as usize % len.max(1);
        for name in PARTITIONING {
            let allocation = by_name(name);
            let mut owner: HashMap<MessageQueue, String> = HashMap::new();
            let ids: BTreeSet<String> = members.iter().cloned().collect();
            for id in &ids {
                // Each member has its lists in another order.
                for i in 0..queues.len() {
                    let other = shuffled(queues.len(), i);
                    queues.swap(i, other);
                }
                for i in 0..members.len() {
                    let other = shuffled(members.len(), i);
                    members.swap(i, other);
                }
                let listed: Vec<&str> = members.iter().map(String::as_str).collect();
                let mine = division(&queues, &listed, id, Removed);
                for queue in allocation.allocate(&mine).expect("a member") {
                    prop_assert_eq!(owner.insert(queue, id.clone()), None);
                }
            }
            let all: HashSet<&MessageQueue> = queues.iter().collect();
            prop_assert_eq!(owner.len(), all.len(), "{}", name);
        }
    }

    #[test]
    fn shares_differ_by_one_at_most(n in 0i32..40, m in 1usize..12) {
        let queues: Vec<_> = (0..n).map(|id| MessageQueue::new("T", "b", id)).collect();
        let ids: Vec<String> = (0..m).map(|i| format!("c{i:02}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        for name in ["AVG", "AVG_BY_CIRCLE"] {
            let share = |id: &&str| by_name(name).allocate(&division(&queues, &ids, id, Removed)).expect("a member").len();
            let shares: Vec<usize> = ids.iter().map(share).collect();
            let (least, most) = (shares.iter().min().expect("one"), shares.iter().max().expect("one"));
            prop_assert!(most - least <= 1, "{:?}", shares);
        }
    }

    #[test]
    fn a_member_that_leaves_the_ring_moves_only_its_own_queues(
        ids in prop::collection::btree_set("[a-z]{4}", 2..8),
        n in 1i32..60,
    ) {
        let queues: Vec<_> = (0..n).map(|id| MessageQueue::new("T", "b", id)).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let share = |ids: &[&str], id: &str| {
            Allocation::consistent_hash().allocate(&division(&queues, ids, id, Removed)).expect("a member")
        };
        for id in &ids[1..] {
            let (before, after) = (share(&ids, id), share(&ids[1..], id));
            prop_assert!(before.iter().all(|queue| after.contains(queue)));
        }
    }
}
