//! Threads, files and memory after many consumers in turn, and after many rebalances. In processes of their own,
//! since the whole process is counted.

use crate::bench::measure::asked;
use crate::support::apart;

/// How many consumers of each kind start and end, and how often a member joins and leaves.
const CYCLES: &str = "LEAK_CYCLES";
const JOINS: &str = "LEAK_JOINS";

#[track_caller]
fn in_a_process(test: &str, variable: &str, count: usize) {
    let mut child = apart::this_binary();
    // By default glibc keeps freed memory in eight heaps per processor, which would hide a leak.
    child.env("MALLOC_ARENA_MAX", "1");
    child.env(variable, asked(variable, count).to_string());
    let test = format!("consumers::leaks::alone::{test}");
    println!("{}", apart::check(child, &test));
}

#[test]
fn consumers_of_every_kind_in_turn_leave_nothing_behind() {
    in_a_process("cycles", CYCLES, 6);
}

#[test]
#[ignore = "slow: part of the fault slice"]
fn fifty_consumers_of_every_kind_in_turn_leave_nothing_behind() {
    in_a_process("cycles", CYCLES, 50);
}

#[test]
fn rebalances_leave_nothing_behind() {
    in_a_process("rebalances", JOINS, 2);
}

#[test]
#[ignore = "slow: part of the fault slice"]
fn many_rebalances_leave_nothing_behind() {
    in_a_process("rebalances", JOINS, 20);
}

mod alone {
    use crossbeam_channel::{Sender, unbounded};
    use rocketmq_blocking::consumer::AckStatus;
    use rocketmq_blocking::embedded::Cluster;
    use rocketmq_blocking::{
        Message, MessageView, Producer, PullConsumer, PushConsumer, Retry, SimpleConsumer,
    };

    use super::super::{Seen, consumer, end, send};
    use super::{CYCLES, JOINS};
    use crate::bench::flood::resident;
    use crate::bench::measure::asked;
    use crate::bench::*;
    use crate::support::producer;

    /// What a consumer that has ended may keep, in all.
    const MOST: usize = 2 << 20;

    /// Messages are forgotten as soon as they are consumed.
    fn cluster(topics: &[&str]) -> Cluster {
        let builder = Cluster::builder().record_requests(false);
        let builder = topics
            .iter()
            .fold(builder, |made, topic| made.topic(*topic, 4));
        builder.start().expect("free ports")
    }

    /// Threads, files and memory once no connection is left but so many.
    struct Counted {
        connections: usize,
        threads: usize,
        files: usize,
        memory: usize,
    }

    impl Counted {
        #[track_caller]
        fn now(cluster: &Cluster, connections: usize) -> Counted {
            let broker = cluster.broker("broker-a");
            assert!(broker.wait_for_connections(connections, PATIENCE));
            cluster.clear_messages();
            let (threads, files) = watch::resources().expect("no other test runs");
            Counted {
                connections,
                threads,
                files,
                memory: resident(),
            }
        }

        /// Threads that were just ending are gone now: fewer are no leftovers.
        #[track_caller]
        fn check(&self, cluster: &Cluster) {
            let (threads, files) = (self.threads, self.files);
            eventually("no more threads and files", || {
                let now = Counted::now(cluster, self.connections);
                now.threads <= threads && now.files <= files
            });
            let grown = resident().saturating_sub(self.memory);
            println!("{threads} threads, {files} files, {} KiB more", grown >> 10);
            assert!(grown < MOST, "{grown} bytes more than before");
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Kind {
        Push,
        Ordered,
        Broadcast,
        Pull,
        Simple,
    }

    const KINDS: [(Kind, &str); 5] = [
        (Kind::Push, "push"),
        (Kind::Ordered, "ordered"),
        (Kind::Broadcast, "broadcast"),
        (Kind::Pull, "pull"),
        (Kind::Simple, "simple"),
    ];

    #[test]
    #[ignore = "runs alone, in a child process"]
    fn cycles() {
        let count = asked(CYCLES, 6);
        let cluster = cluster(&KINDS.map(|(_, topic)| topic));
        let producer = producer(&cluster);
        let mut before = None;
        for cycle in 0..=count {
            for (kind, topic) in KINDS {
                run(&cluster, &producer, kind, topic, cycle % 3 == 0);
            }
            // The first ones may start what stays, and fill the allocator's lists.
            if cycle <= count / 4 {
                before = Some(Counted::now(&cluster, 1));
            }
        }
        before.expect("at least one").check(&cluster);
        for (_, topic) in KINDS {
            eventually("all members have left", || {
                cluster.group(topic).members().is_empty()
            });
        }
    }

    /// One consumer, which handles one message. Its group and its topic have the same name.
    fn run(cluster: &Cluster, producer: &Producer, kind: Kind, topic: &str, is_dropped: bool) {
        let (tell, handled) = unbounded();
        let push = || {
            let builder = PushConsumer::builder(topic).name_server(cluster.name_server());
            builder.subscribe(topic, "*").consume_threads(2)
        };
        fn handler(
            tell: Sender<String>,
        ) -> impl Fn(&MessageView) -> Result<(), Retry> + Send + Sync {
            move |message| {
                tell.send(message.text()?.to_owned())?;
                Ok(())
            }
        }
        let send = || {
            let sent = producer.send(&Message::new(topic, topic));
            assert!(sent.is_ok(), "{sent:?}");
        };
        let ended = match kind {
            Kind::Push | Kind::Ordered | Kind::Broadcast => {
                let started = match kind {
                    Kind::Ordered => {
                        let handle = handler(tell);
                        push().start_ordered(move |message| handle(message))
                    }
                    Kind::Broadcast => push().broadcast().start(handler(tell)),
                    _ => push().start(handler(tell)),
                };
                let consumer = started.expect("a consumer");
                send();
                let text = handled.recv_timeout(PATIENCE).expect("a message");
                assert_eq!(text, topic);
                (!is_dropped).then(|| consumer.shutdown_within(PATIENCE))
            }
            Kind::Pull => {
                let builder = PullConsumer::builder(topic).name_server(cluster.name_server());
                let consumer = builder.subscribe(topic, "*").start().expect("a consumer");
                send();
                let message = consumer.messages().next().expect("a message");
                assert!(message.expect("no error").done());
                (!is_dropped).then(|| consumer.shutdown_within(PATIENCE))
            }
            Kind::Simple => {
                let builder = SimpleConsumer::builder(topic).name_server(cluster.name_server());
                let consumer = builder.subscribe(topic, "*").start().expect("a consumer");
                send();
                let received = consumer.receive(1, PATIENCE).expect("no error");
                let status = received[0].ack().expect("an answer");
                assert_eq!(status, AckStatus::Confirmed);
                drop(received);
                (!is_dropped).then(|| consumer.shutdown_within(PATIENCE))
            }
        };
        assert!(ended.is_none_or(|report| report.is_clean()), "{kind:?}");
        // A drop does not wait for the end.
        assert!(cluster.broker("broker-a").wait_for_connections(1, PATIENCE));
    }

    #[test]
    #[ignore = "runs alone, in a child process"]
    fn rebalances() {
        let joins = asked(JOINS, 2);
        let cluster = cluster(&["T"]);
        let producer = producer(&cluster);
        let seen = Seen::default();
        let start = || seen.start(consumer(&cluster.name_server()).consume_threads(2));
        let members = [start(), start(), start()];
        let queues = |members: &[PushConsumer]| {
            let all = members.iter().flat_map(PushConsumer::assignment);
            all.filter(|queue| queue.topic() == "T").count()
        };
        let mut before = None;
        for join in 0..=joins {
            let guest = start();
            eventually("it has its share", || {
                queues(std::slice::from_ref(&guest)) == 1 && queues(&members) == 3
            });
            send(&producer, 4, 8 * join..8 * join + 8);
            seen.wait_for(8 * join + 8);
            end(&guest);
            drop(guest);
            eventually("the others have all", || queues(&members) == 4);
            if join <= joins / 4 {
                before = Some(Counted::now(&cluster, 1 + members.len()));
            }
        }
        before.expect("at least one").check(&cluster);
        let rounds: u64 = members.iter().map(|one| one.stats().rebalances).sum();
        println!("{rounds} rebalances");
        assert!(rounds as usize >= 2 * joins, "{rounds}");
        for member in &members {
            eventually("it has its own queues only", || {
                (1..=3).contains(&member.describe().queues.len())
            });
        }
        members.iter().for_each(end);
        seen.check_once(8 * (joins + 1));
    }
}
