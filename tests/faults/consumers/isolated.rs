//! A member that is cut off from brokers while the others go on. Scaled: heartbeats notice a dead link in three
//! seconds and not in 30; the 60 s of a lock pass on the cluster's clock, and for the 120 s after which brokers
//! drop a silent member they are told to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use parking_lot::Mutex;
use rocketmq_blocking::consumer::{Allocation, PushConsumerBuilder};
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{ClientOptions, MessageQueue, PushConsumer};

use super::{Behind, Seen, check_commits, cluster, consumer, end, queue, send, send_to};
use crate::bench::*;
use crate::support::{SLACK, producer, two_brokers};

/// Longer than a broker keeps a lock that is not renewed.
const LOCK: Duration = Duration::from_secs(61);

fn quick(builder: PushConsumerBuilder) -> PushConsumerBuilder {
    let options = ClientOptions::new()
        .heartbeat_interval(ms(100))
        .api_timeout(ms(3000))
        .connect_timeout(ms(300));
    builder.options(options).commit_interval(ms(10))
}

/// The queues of `T` that a member has.
fn queues_of(member: &PushConsumer) -> Vec<MessageQueue> {
    let queues = member.assignment().into_iter();
    queues.filter(|queue| queue.topic() == "T").collect()
}

#[track_caller]
fn wait_for_shares(members: [&PushConsumer; 2], each: usize) {
    eventually("they share the queues", || {
        let shares = members.map(queues_of);
        shares.iter().all(|share| share.len() == each) && shares[0] != shares[1]
    });
}

/// No handler runs any more. (There is no group in the state if it does not come in time.)
#[track_caller]
fn wait_until_idle(member: &PushConsumer) {
    eventually("its handler has ended", || {
        let state = member.describe();
        !state.group.is_empty() && state.queues.iter().all(|queue| queue.running == 0)
    });
}

/// All is committed, so that nothing may come again.
#[track_caller]
fn wait_until_settled(cluster: &Cluster, seen: &Seen, count: usize) {
    seen.wait_for(count);
    let group = cluster.group("g");
    let settled = cluster.wait_until(PATIENCE, || group.lag("T") == 0);
    assert!(settled, "{:?}", group.offsets());
}

#[test]
fn a_member_that_is_cut_off_loses_its_queues_and_gets_its_share_when_it_is_back() {
    let behind = Behind::start(cluster(4));
    let cluster = &*behind.cluster;
    let (mine, others) = (Seen::default(), Seen::default());
    let far = mine.start(quick(consumer(&behind.name_server())));
    let near = others.start(quick(consumer(&cluster.name_server())));
    wait_for_shares([&far, &near], 2);
    let producer = producer(cluster);
    send(&producer, 4, 0..20);
    let all = || mine.count() + others.count();
    let settled = |count: usize| {
        cluster.wait_until(PATIENCE, || {
            all() == count && cluster.group("g").lag("T") == 0
        })
    };
    assert!(settled(20), "{} and {}", mine.count(), others.count());

    // Name servers still answer it.
    behind.cut_off(&behind.brokers);
    send(&producer, 4, 20..40);
    eventually("those of the other member", || all() == 30);
    cluster.advance(LOCK);
    let start = Instant::now();
    cluster.broker("broker-a").forget_client(far.client_id());
    assert!(settled(40), "{} and {}", mine.count(), others.count());
    let took = start.elapsed();
    assert!(took < Duration::from_secs(8) + SLACK, "{took:?}");
    assert_eq!(queues_of(&near).len(), 4);

    behind.broker().serve();
    let start = Instant::now();
    wait_for_shares([&far, &near], 2);
    let before = mine.count();
    send(&producer, 4, 40..60);
    assert!(settled(60), "{} and {}", mine.count(), others.count());
    let took = start.elapsed();
    assert!(took < Duration::from_secs(8) + SLACK, "{took:?}");
    assert_eq!(mine.count(), before + 10);
    end(&far);
    end(&near);
    let seen = Seen::default();
    for one in [&mine, &others] {
        for (number, times) in &*one.0.lock() {
            *seen.0.lock().entry(*number).or_default() += times;
        }
    }
    seen.check_once(60);
    check_commits(cluster);
}

/// What it has done by then is less than what the other one has committed.
#[test]
fn a_handler_that_ends_while_its_member_is_cut_off_undoes_no_commit_of_another_one() {
    let behind = Behind::start(cluster(1));
    let cluster = &*behind.cluster;
    let (mine, others) = (Seen::default(), Seen::default());
    let (release, gate) = unbounded::<()>();
    let own = mine.clone();
    // Of one queue, the first of the sorted members is the owner.
    let far = quick(consumer(&behind.name_server())).instance_name("a");
    let far = far.start(move |message| {
        if own.note(message) == 0 {
            let _ = gate.recv();
        }
        Ok(())
    });
    let far = far.expect("a consumer");
    let near = quick(consumer(&cluster.name_server())).instance_name("b");
    let near = others.start(near);
    let producer = producer(cluster);
    send(&producer, 1, 0..1);
    mine.wait_for(1);
    let failures = far.stats().pull_failures;
    behind.cut_off(&behind.brokers);
    eventually("it has lost its link", || {
        far.stats().pull_failures > failures
    });
    cluster.advance(LOCK);
    cluster.broker("broker-a").forget_client(far.client_id());
    send(&producer, 1, 1..4);
    others.wait_for(4);
    let group = cluster.group("g");
    let committed = |offset| cluster.wait_until(PATIENCE, || group.committed(&queue(0)) == offset);
    assert!(committed(Some(4)));
    drop(release);
    wait_until_idle(&far);
    behind.broker().serve();
    eventually("it has the queue again", || queues_of(&far) == [queue(0)]);
    eventually("only one has it", || queues_of(&near).is_empty());
    send(&producer, 1, 4..6);
    assert!(committed(Some(6)));
    end(&far);
    end(&near);
    // The one that was in its handler came to both.
    assert_eq!((others.repeated_of(4), mine.count()), (Vec::new(), 3));
    check_commits(cluster);
}

/// Its queues there stand still: the other broker still lists it.
#[test]
fn a_member_that_is_cut_off_from_one_broker_goes_on_at_the_other_one_and_heals() {
    let behind = Behind::start(two_brokers());
    let cluster = &*behind.cluster;
    let seen = Seen::default();
    // Each has a queue of each broker.
    let member = |name_server: &str| {
        let builder = quick(consumer(name_server));
        seen.start(builder.allocation(Allocation::by_circle()))
    };
    let far = member(&behind.name_server());
    let near = member(&cluster.name_server());
    wait_for_shares([&far, &near], 2);
    let producer = producer(cluster);
    let to = |id: i32, number: usize| {
        let broker = ["broker-a", "broker-b"][number % 2];
        send_to(&producer, MessageQueue::new("T", broker, id), number);
    };
    (0..8).for_each(|number| to(number as i32 / 2 % 2, number));
    wait_until_settled(cluster, &seen, 8);

    behind.cut_off(&behind.brokers[..1]);
    let broker = cluster.broker("broker-a");
    cluster.advance(LOCK);
    broker.forget_client(far.client_id());
    (8..16).for_each(|number| to(number as i32 / 2 % 2, number));
    // Two of them wait in its queue there.
    seen.wait_for(14);
    assert!(cluster.group("g").lag("T") >= 2);
    behind.broker().serve();
    let start = Instant::now();
    wait_until_settled(cluster, &seen, 16);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5) + SLACK, "{took:?}");
    wait_for_shares([&far, &near], 2);
    (16..24).for_each(|number| to(number as i32 / 2 % 2, number));
    wait_until_settled(cluster, &seen, 24);
    end(&far);
    end(&near);
    seen.check_once(24);
    check_commits(cluster);
}

/// Who handled which message, in the order in which they began.
#[derive(Clone, Default)]
struct Order(Arc<Mutex<Vec<(&'static str, usize)>>>);

impl Order {
    fn of(&self, numbers: std::ops::Range<usize>) -> Vec<(&'static str, usize)> {
        let all = self.0.lock();
        let wanted = all.iter().filter(|(_, number)| numbers.contains(number));
        wanted.copied().collect()
    }
}

/// An ordered member. Its handler keeps the message 0 until the channel is closed, and tells when the queue is
/// not its own any more.
fn ordered(
    builder: PushConsumerBuilder,
    name: &'static str,
    order: &Order,
    gate: Option<Receiver<()>>,
) -> (PushConsumer, Receiver<()>) {
    let order = order.clone();
    let (tell, lost) = unbounded();
    let builder = quick(builder).instance_name(name);
    let started = builder.start_ordered(move |message| {
        let number = message.text().expect("text").parse().expect("a number");
        order.0.lock().push((name, number));
        if let (0, Some(gate)) = (number, &gate) {
            eventually("the queue is lost", || !message.still_owned());
            tell.send(()).ok();
            let _ = gate.recv();
            assert!(!message.still_owned());
        }
        Ok(())
    });
    (started.expect("a consumer"), lost)
}

#[test]
fn an_ordered_member_that_is_cut_off_in_a_handler_starts_nothing_until_it_has_its_lock_again() {
    let behind = Behind::start(cluster(1));
    let cluster = &*behind.cluster;
    let order = Order::default();
    let (release, gate) = unbounded();
    // Of one queue, the first of the sorted members is the owner.
    let far = consumer(&behind.name_server());
    let (far, lost) = ordered(far, "a", &order, Some(gate));
    let near = consumer(&cluster.name_server());
    let (near, _) = ordered(near, "b", &order, None);
    let producer = producer(cluster);
    send(&producer, 1, 0..3);
    eventually("it has the first one", || order.of(0..3) == [("a", 0)]);

    behind.cut_off(&behind.brokers);
    lost.recv_timeout(PATIENCE).expect("it hears of it");
    assert!(queues_of(&near).is_empty());
    cluster.advance(LOCK);
    cluster.broker("broker-a").forget_client(far.client_id());
    // The one that was inside overlaps, and no other one.
    let taken = [("a", 0), ("b", 0), ("b", 1), ("b", 2)];
    eventually("the other one goes on", || order.of(0..3) == taken);
    drop(release);
    wait_until_idle(&far);

    behind.broker().serve();
    eventually("it has the queue again", || queues_of(&far) == [queue(0)]);
    eventually("only one has it", || queues_of(&near).is_empty());
    send(&producer, 1, 3..6);
    let back = [("a", 3), ("a", 4), ("a", 5)];
    eventually("it goes on where the other one was", || {
        order.of(3..6).len() == 3
    });
    let group = cluster.group("g");
    let committed = || group.committed(&queue(0)) == Some(6);
    assert!(
        cluster.wait_until(PATIENCE, committed),
        "{:?}",
        group.offsets()
    );
    end(&far);
    end(&near);
    assert_eq!(
        (order.of(0..3), order.of(3..6)),
        (taken.into(), back.into())
    );
    assert_eq!(far.stats().panicked, 0);
    check_commits(cluster);
}
