//! Push consumers on real brokers that pop: their shares of queues, topics that are pulled beside them, and
//! messages whose time is over.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;
use rocketmq_blocking::consumer::PushConsumerBuilder;
use rocketmq_blocking::{PushConsumer, Retry, StartFrom};

use crate::servers::heard::{AGAIN, next, take};
use crate::servers::topic::Topic;
use crate::servers::{PATIENCE, Server, Version, eventually, within};
use crate::support::{skipped, start_heard};

fn consumer(server: &Server, group: &str, topic: &Topic) -> PushConsumerBuilder {
    PushConsumer::builder(group)
        .name_server(&server.name_server)
        .subscribe(topic.name, "*")
        .start_from(StartFrom::First)
        .broker_assignment(true)
}

/// The numbers of a member's queues of a topic; -1 is any.
fn ids(consumer: &PushConsumer, topic: &Topic) -> Vec<i32> {
    let queues = consumer.assignment().into_iter();
    let own = queues.filter(|queue| queue.topic() == topic.name);
    own.map(|queue| queue.id()).collect()
}

/// Brokers 4.x have no POP, which `popped` tests. True: there is nothing to be tested.
fn has_none(server: &Server) -> bool {
    if server.version == Version::V4 {
        skipped("brokers 4.x have no POP");
    }
    server.version == Version::V4
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn members_pop_own_queues_and_those_of_the_next_member() {
    let server = Server::from_env();
    if has_none(&server) {
        return;
    }
    let (group, topic) = ("pop-share", Topic::create(&server, "PopShare", 4));
    let admin = topic.admin().group(group);
    admin.set_pop(topic.name, 1).expect("the mode");
    let member = |name: &str| {
        let builder = consumer(&server, group, &topic).instance_name(name);
        // They look again before a broker says so.
        let builder = builder.rebalance_interval(Duration::from_secs(2));
        start_heard(builder, |_| Ok(()))
    };
    let (one, of_one) = member("1");
    // All of them.
    assert_eq!(ids(&one, &topic), [-1]);
    let (two, of_two) = member("2");
    let (three, of_three) = member("3");
    // Two, one and one, and those of the next member.
    eventually("each has its share", || {
        let shares = [&one, &two, &three].map(|member| ids(member, &topic));
        shares == [vec![0, 1, 2], vec![2, 3], vec![0, 1, 3]]
    });
    topic.send(0..60);
    let handled = || of_one.len() + of_two.len() + of_three.len();
    within(AGAIN, "all are handled", || handled() >= 60);
    let mut all = Vec::new();
    for (member, seen, share) in [
        (one, of_one, [0, 1, 2].as_slice()),
        (two, of_two, &[2, 3]),
        (three, of_three, &[0, 1, 3]),
    ] {
        assert!(member.shutdown_within(PATIENCE).is_clean());
        for message in seen {
            // One that came again has the queue of its retry topic.
            let is_first = message.reconsume_times() == 0;
            assert!(
                !is_first || share.contains(&message.queue_id()),
                "{message}"
            );
            all.push(message.text().expect("text").to_owned());
        }
    }
    assert_eq!(all.len(), 60, "each once");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 60);
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn one_topic_is_popped_while_another_is_pulled_and_the_lag_has_both() {
    let server = Server::from_env();
    if has_none(&server) {
        return;
    }
    let group = "pop-both";
    let popped = Topic::create(&server, "PopBothPopped", 2);
    let pulled = Topic::create(&server, "PopBothPulled", 2);
    let admin = popped.admin().group(group);
    admin.set_pop(popped.name, 0).expect("the mode");
    let (open, gate) = unbounded::<()>();
    let builder = consumer(&server, group, &popped).subscribe(pulled.name, "*");
    let builder = builder.consume_threads(1).pull_batch(1);
    let (both, seen) = start_heard(builder, move |_| {
        // Until the other end is dropped.
        let _ = gate.recv();
        Ok(())
    });
    assert_eq!(ids(&both, &popped), [-1]);
    assert_eq!(ids(&both, &pulled), [0, 1]);
    assert_eq!(both.lag().messages(), Some(0), "{}", both.lag());
    popped.send(0..10);
    assert_eq!(next(&seen).topic(), popped.name);
    pulled.send(10..13);
    let lag_of = |topic: &Topic| -> Option<u64> {
        let lag = both.lag();
        let own = lag
            .queues
            .iter()
            .filter(|of| of.queue.topic() == topic.name);
        own.map(|of| of.messages).sum()
    };
    // One has the handler, and another one waits for it. What is pulled counts until it is consumed.
    eventually("two are popped, and three wait", || {
        (lag_of(&popped), lag_of(&pulled)) == (Some(8), Some(3))
    });
    let state = both.describe();
    let of_popped = state.queues.iter().find(|queue| queue.is_popped);
    assert_eq!(of_popped.expect("one").held, 2, "{state}");
    drop(open);
    let rest = take(&seen, 12);
    assert!(
        ["10", "11", "12"]
            .iter()
            .all(|n| rest.contains(&(*n).to_owned()))
    );
    eventually("nothing is left", || both.lag().messages() == Some(0));
    assert!(both.shutdown_within(PATIENCE).is_clean());
    assert_eq!(pulled.committed(group), [2, 1]);

    // The mode is that of the start, and what was popped is not pulled again.
    admin.set_pull(popped.name).expect("the mode");
    let builder = consumer(&server, group, &popped).subscribe(pulled.name, "*");
    let (later, more) = start_heard(builder, |_| Ok(()));
    assert_eq!(ids(&later, &popped), [0, 1]);
    popped.send(13..15);
    assert_eq!(take(&more, 2), ["13", "14"]);
    assert!(later.shutdown_within(PATIENCE).is_clean());
    assert!(more.is_empty());
    assert_eq!(popped.committed(group), [6, 6]);
}

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_message_that_waits_too_long_for_a_handler_comes_again_and_a_last_failure_makes_it_dead() {
    const HIDDEN: Duration = Duration::from_secs(10);
    let server = Server::from_env();
    if has_none(&server) {
        return;
    }
    let (group, topic) = ("pop-late", Topic::create(&server, "PopLate", 1));
    let admin = topic.admin().group(group);
    admin.set_pop(topic.name, 0).expect("the mode");
    topic.send(0..3);
    let (open, gate) = unbounded::<()>();
    let builder = consumer(&server, group, &topic).invisible_time(HIDDEN);
    let builder = builder.consume_threads(1).pull_batch(1).max_reconsume(2);
    let (popping, seen) = start_heard(builder, move |message| {
        let _ = gate.recv();
        match message.text()? {
            "2" => Err(Retry::level(1)),
            _ => Ok(()),
        }
    });
    assert_eq!(next(&seen).text(), Ok("0"));
    // The next one is popped, and nobody renews its time.
    eventually("one waits", || popping.stats().fetched >= 2);
    let over = Instant::now() + HIDDEN + Duration::from_secs(1);
    eventually("its time is over", || Instant::now() >= over);
    assert!(seen.is_empty());
    drop(open);
    let (mut again, mut of_dead) = (None, Vec::new());
    while again.is_none() || popping.stats().dead_lettered == 0 {
        // It is counted a moment after its handler has ended.
        let Ok(message) = seen.recv_timeout(Duration::from_millis(100)) else {
            assert!(over.elapsed() < 2 * AGAIN, "{again:?}, {of_dead:?}");
            continue;
        };
        match message.text().expect("text") {
            "1" => assert!(again.replace(message.reconsume_times()).is_none()),
            "2" => of_dead.push(message.reconsume_times()),
            other => panic!("{other} again"),
        }
    }
    assert!(again > Some(0), "it comes for the second time");
    // Brokers count deliveries, those that no handler saw too.
    let (last, before) = of_dead.split_last().expect("one");
    assert!(
        *last >= 2 && before.iter().all(|times| *times < 2),
        "{of_dead:?}"
    );
    let stats = popping.stats();
    assert!(stats.expired >= 1, "{stats}");
    assert_eq!(stats.handled, 2, "{stats}");
    assert_eq!(stats.sent_back, before.len() as u64, "{stats}");
    assert!(popping.shutdown_within(PATIENCE).is_clean());
    assert!(seen.is_empty());
    eventually("the dead letter can be read", || {
        topic.count_of("%DLQ%", group) == 1
    });
}
