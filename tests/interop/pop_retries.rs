//! Popped messages that come again through the retry topics of the second version, which brokers 5.x have with
//! the setting `enableRetryTopicV2`.

use std::time::Duration;

use crossbeam_channel::unbounded;
use rocketmq_blocking::consumer::AckStatus;
use rocketmq_blocking::{PushConsumer, Retry, SimpleConsumer, StartFrom};

use crate::servers::topic::Topic;
use crate::servers::{PATIENCE, Server, Version, env, eventually, wire};
use crate::support::skipped;

/// Brokers look for messages whose time is over once a second, and copy them a while later.
const AGAIN: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn popped_messages_come_again_through_retry_topics_of_the_second_version() {
    let server = Server::from_env();
    if server.version == Version::V4 {
        return skipped("brokers 4.x have no POP");
    }
    let conf = env("ROCKETMQ_BROKER_CONF");
    assert!(conf.contains("enableRetryTopicV2=true"), "{conf}");
    let topic = Topic::create(&server, "PopRetries", 1);
    topic.send(0..1);
    let (pushing, receiving) = ("pop-retries-push", "pop-retries-simple");
    let admin = topic.admin().group(pushing);
    admin.set_pop(topic.name, 0).expect("the mode");
    let (seen, messages) = unbounded();
    let push = PushConsumer::builder(pushing)
        .name_server(&server.name_server)
        .subscribe(topic.name, "*")
        .start_from(StartFrom::First)
        .broker_assignment(true)
        .start(move |message| {
            seen.send(message.clone()).ok();
            match message.reconsume_times() {
                0 => Err(Retry::level(1)),
                _ => Ok(()),
            }
        })
        .expect("a consumer");
    let simple = SimpleConsumer::builder(receiving)
        .name_server(&server.name_server)
        .subscribe(topic.name, "*")
        .start_from(StartFrom::First)
        .start()
        .expect("a consumer");
    let receive = || {
        let received = (0..10).find_map(|_| {
            let received = simple.receive(1, PATIENCE).expect("no error");
            received.into_iter().next()
        });
        received.expect("a message in time")
    };
    let first = receive();
    let given_back = first.retry_after(Duration::from_secs(1));
    assert_eq!(given_back.expect("no error"), AckStatus::Confirmed);
    let next = || messages.recv_timeout(AGAIN).expect("a message in time");
    let (pushed, pushed_again) = (next(), next());
    let again = receive();
    for (group, before, after) in [
        (pushing, &pushed, &pushed_again),
        (receiving, first.message(), again.message()),
    ] {
        assert_eq!(before.message_id(), after.message_id(), "{group}");
        assert_eq!((before.topic(), after.topic()), (topic.name, topic.name));
        let times = (before.reconsume_times(), after.reconsume_times());
        assert_eq!(times, (0, 1), "{group}");
        let broker = &server.brokers[0].address;
        let of_version = |separator| {
            let name = format!("%RETRY%{group}{separator}{}", topic.name);
            wire::max_offset(broker, &name, 0)
        };
        assert_eq!(of_version("+"), Some(1), "{group}");
        assert!(of_version("_").unwrap_or(0) == 0, "{group}");
    }
    assert_eq!(again.ack().expect("no error"), AckStatus::Confirmed);
    eventually("nothing is left", || {
        push.lag().messages() == Some(0) && simple.lag().messages() == Some(0)
    });
    assert!(push.shutdown_within(PATIENCE).is_clean());
    drop((first, again));
    assert!(simple.shutdown_within(PATIENCE).is_clean());
}
