use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::{ErrorKind, Message};

use crate::support::{patient as builder, producer};

#[test]
fn messages_to_a_retry_topic_carry_their_reconsume_counts() {
    const TOPIC: &str = "%RETRY%group";
    for short in [true, false] {
        let cluster = Cluster::builder().topic(TOPIC, 1).start().unwrap();
        let producer = builder(&cluster).short_headers(short).start().unwrap();
        let message = Message::new(TOPIC, "x");
        let again = message.clone().reconsume_times(3).max_reconsume_times(16);
        for message in [&message, &again] {
            let _ = producer.send(message).unwrap();
        }
        let names = match short {
            true => ["j", "l"],
            false => ["reconsumeTimes", "maxReconsumeTimes"],
        };
        let sends = cluster.requests(&On::Send);
        let fields = |i: usize| names.map(|name| sends[i].command().ext.get(name));
        assert_eq!(fields(0), [Some("0"), None]);
        assert_eq!(fields(1), [Some("3"), Some("16")]);
        let stored = cluster.messages(TOPIC);
        assert_eq!(stored[1].reconsume_times(), 3);
        for name in ["RECONSUME_TIME", "MAX_RECONSUME_TIMES"] {
            assert_eq!(stored[1].property(name), None, "it is in the header");
        }
    }
}

#[test]
fn other_topics_have_no_such_times() {
    let cluster = Cluster::start().unwrap();
    let producer = producer(&cluster);
    let error = producer
        .send(&Message::new("T", "x").reconsume_times(1))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}
