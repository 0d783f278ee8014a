use super::*;
use crate::error::ErrorKind;

const MAX: usize = 4 * 1024 * 1024;

#[track_caller]
fn check(message: Message, valid: bool) {
    let result = check_message(&message, &SendConfig::new("g".to_owned()));
    assert_eq!(result.is_ok(), valid, "{message:?}: {result:?}");
    if let Err(error) = result {
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

#[test]
fn bodies_have_one_byte_to_the_maximum() {
    check(Message::new("T", "x"), true);
    check(Message::new("T", ""), false);
    check(Message::new("T", vec![0; MAX]), true);
    check(Message::new("T", vec![0; MAX + 1]), false);
}

#[test]
fn only_messages_to_retry_topics_are_consumed_again() {
    check(Message::new("%RETRY%g", "x").reconsume_times(1), true);
    check(Message::new("%RETRY%g", "x").max_reconsume_times(16), true);
    check(Message::new("T", "x").reconsume_times(0), false);
    check(Message::new("T", "x").max_reconsume_times(16), false);
}

#[test]
fn topics_of_brokers_and_odd_names_are_refused() {
    check(Message::new("TBW102", "x"), true);
    check(Message::new("x".repeat(127), "x"), true);
    check(Message::new("x".repeat(128), "x"), false);
    check(Message::new("bad topic!", "x"), false);
    check(Message::new(" ", "x"), false);
    for forbidden in FORBIDDEN_TOPICS {
        check(Message::new(forbidden, "x"), false);
    }
}

#[test]
fn properties_must_not_be_reserved_blank_or_hold_separators() {
    let with = |key: &str, value: &str| Message::new("T", "x").property(key, value);
    check(with("color", "red\n\0 \u{fc}"), true);
    for (key, value) in [("KEYS", "k"), ("", "v"), (" ", "v"), ("k", ""), ("k", " ")] {
        check(with(key, value), false);
    }
    for bad in ["\u{1}", "\u{2}", "a\u{1}b"] {
        check(with("k", bad), false);
        check(with(bad, "v"), false);
        check(Message::new("T", "x").tag(bad), false);
        check(Message::new("T", "x").key(bad), false);
        check(Message::new("T", "x").unique_key(bad), false);
    }
    check(Message::new("T", "x").unique_key("a,b"), false);
}

#[test]
fn a_batch_gives_brokers_no_key_that_could_replace_those_of_its_messages() {
    let message = || Message::new("T", "x").wait_store(false).tag("a");
    let batch = Batch::new([message(), message()]).unwrap();
    let config = SendConfig::new("g".to_owned());
    let prepared = PreparedMessage::batch(&config, &batch, |_, keys| keys.push_str("key")).unwrap();
    let header: Vec<_> = properties::decode(&prepared.properties)
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(header, ["WAIT=false"]);
    assert_eq!(&*prepared.message_id, "key,key");
}

/// The properties that brokers 5.4.0 add, with names of 35 characters for the region and the
/// cluster.
fn added_by_brokers(message: &Message, topic: &str, key: &str) -> usize {
    let longest = |pairs: &[(&str, usize)]| -> usize {
        let lengths = pairs.iter().map(|(name, value)| name.len() + value + 2);
        lengths.sum()
    };
    let (number, time) = ("-2147483648".len(), "1795946400000".len());
    let mut added = longest(&[
        ("MSG_REGION", 35),
        ("TRACE_ON", "false".len()),
        ("CLUSTER", 35),
        ("__CRC32#", 10),
    ]) + 1;
    if message.get_schedule().is_later() {
        added += longest(&[
            ("REAL_TOPIC", topic.len()),
            ("REAL_QID", number),
            ("TIMER_OUT_MS", time),
            ("TIMER_ENQUEUE_MS", time),
            ("TIMER_DEQUEUE_MS", time),
            ("TIMER_ROLL_TIMES", 4),
        ]);
    }
    let system = message.system_properties();
    if system.get(name::TRANSACTION_PREPARED).is_some() {
        added += longest(&[
            ("__transactionId__", key.len()),
            ("REAL_TOPIC", topic.len()),
            ("REAL_QID", number),
            ("TRAN_PREPARED_QUEUE_OFFSET", time),
            ("TRANSACTION_CHECK_TIMES", 5),
        ]);
    }
    if let Some(queues) = message.get_property(name::LIGHT_QUEUES) {
        let offsets = queues.split(',').count() * (time + 1);
        added += longest(&[("INNER_MULTI_QUEUE_OFFSET", offsets)]);
    }
    added
}

#[test]
fn the_longest_properties_with_those_of_brokers_fit_into_their_store() {
    let (topic, key) = ("t".repeat(127), "k".repeat(32));
    let plain = || Message::new(topic.as_str(), "x").unique_key(key.as_str());
    let timed = || plain().deliver_after(Duration::from_secs(60));
    let half = plain().system_property(name::TRANSACTION_PREPARED, "true");
    let light = plain().property(name::LIGHT_QUEUES, ["%LMQ%q"; 100].join(","));
    for message in [plain(), timed(), plain().delay_level(3), half, light] {
        let parts = message.parts();
        let traits = super::check(&parts, MAX).unwrap();
        let reserved = traits.added(&parts, &topic, &key);
        let added = added_by_brokers(&message, &topic, &key);
        assert!(added <= reserved, "{added} of {reserved}: {message:?}");
        assert!(check_properties(MAX_LEN - reserved, reserved).is_ok());
        let error = check_properties(MAX_LEN - reserved + 1, reserved).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

/// Each name of a light queue has two bytes here, and brokers add up to 20 more.
#[test]
fn a_check_counts_the_properties_that_brokers_add() {
    let light =
        |queues: usize| Message::new("T", "x").property(name::LIGHT_QUEUES, "a,".repeat(queues));
    check(light(1400), true);
    check(light(1500), false);
    check(
        Message::new("T", "x").property("k", "v".repeat(MAX_LEN)),
        false,
    );
}

#[test]
fn a_message_of_a_batch_leaves_what_the_batch_itself_adds() {
    let config = SendConfig::new("g".to_owned());
    let batch = |len: usize| {
        let message = Message::new("T", "x").property("k", "v".repeat(len));
        let batch = Batch::new([message]).unwrap();
        PreparedMessage::batch(&config, &batch, |_, keys| keys.push_str("key")).map(drop)
    };
    let own = "UNIQ_KEY_key_WAIT_true_k__".len();
    let longest = MAX_PROPERTIES - own - "WAIT_true_".len();
    assert!(batch(longest).is_ok());
    let error = batch(longest + 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("32767"), "{error}");
}

#[test]
fn unique_keys_differ_and_have_the_length_of_their_address() {
    let identity = Identity::new(std::net::Ipv4Addr::LOCALHOST.into(), None, None);
    let (a, b) = (unique_key(&identity, 0), unique_key(&identity, 0));
    assert_ne!(a, b);
    assert_eq!((a.len(), &a[..8]), (32, "7F000001"));
}
