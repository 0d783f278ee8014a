//! What a message and a group must be, checked before anything is sent.

use crate::client::{LONGEST_TOPIC, check_name};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Message, name};
use crate::protocol::properties::{NAME_END, VALUE_END};

/// Java's limit (`Validators`).
const LONGEST_GROUP: usize = 120;

/// Java's default group, which every program would share.
const DEFAULT_GROUP: &str = "DEFAULT_PRODUCER";

/// Topics that only brokers write to.
const FORBIDDEN_TOPICS: [&str; 6] = [
    "SCHEDULE_TOPIC_XXXX",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
];

pub(super) fn group(group: &str) -> Result<()> {
    check_name("producer group", group, LONGEST_GROUP).map_err(|e| e.of_kind(ErrorKind::Config))?;
    if group == DEFAULT_GROUP {
        let text = "the producer group must not be DEFAULT_PRODUCER: name your own";
        return Err(Error::new(ErrorKind::Config, text));
    }
    Ok(())
}

pub(super) fn topic(topic: &str) -> Result<()> {
    check_name("topic", topic, LONGEST_TOPIC)?;
    if FORBIDDEN_TOPICS.contains(&topic) {
        let text = format!("the topic {topic} belongs to the brokers; nobody else may send to it");
        return Err(Error::invalid(text));
    }
    Ok(())
}

pub(super) fn message(message: &Message, max_size: usize) -> Result<()> {
    topic(message.topic())?;
    contents(message, max_size)
}

/// All of a message but its topic, which a batch has in common.
pub(super) fn contents(message: &Message, max_size: usize) -> Result<()> {
    size("body", message.body().len(), max_size)?;
    let times = message
        .get_reconsume_times()
        .or(message.get_max_reconsume_times());
    if times.is_some() && !message.topic().starts_with(name::RETRY_PREFIX) {
        let text = "only a message to a retry topic (%RETRY%..) has times of consuming it again";
        return Err(Error::invalid(text));
    }
    for (key, value) in message.user_properties().iter() {
        if name::RESERVED.contains(&key) {
            let text = format!("the property name {key} is reserved by RocketMQ: use another one");
            return Err(Error::invalid(text));
        }
        if key.trim().is_empty() || value.trim().is_empty() {
            let text = format!("the property {key:?} has a blank name or value");
            return Err(Error::invalid(text));
        }
        separators(key, value)?;
    }
    for (key, value) in message.system_properties().iter() {
        separators(key, value)?;
    }
    let key = message.get_unique_key().unwrap_or_default();
    if key.contains(',') {
        let text = "the unique key has a comma, which stands between those of a batch's messages";
        return Err(Error::invalid(text));
    }
    separators(name::UNIQ_KEY, key)
}

pub(super) fn sharding_key(key: &str) -> Result<()> {
    separators(name::SHARDING_KEY, key)
}

pub(super) fn size(what: &str, len: usize, most: usize) -> Result<()> {
    if len == 0 {
        return Err(Error::invalid(format!("the message's {what} is empty")));
    }
    if len > most {
        let text = format!("the message's {what} has {len} bytes; max_message_size is {most}");
        return Err(Error::invalid(text));
    }
    Ok(())
}

/// The separators of the properties' text form would corrupt what follows them.
fn separators(key: &str, value: &str) -> Result<()> {
    let bad = |text: &str| text.contains([NAME_END, VALUE_END]);
    if bad(key) || bad(value) {
        let text = format!("the property {key:?} has \\x01 or \\x02 in its name or value");
        return Err(Error::invalid(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 4 * 1024 * 1024;

    #[track_caller]
    fn check(message: Message, valid: bool) {
        let result = super::message(&message, MAX);
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
    fn groups_are_named_and_not_javas_default() {
        assert!(group("orders").is_ok());
        assert!(group(&"g".repeat(120)).is_ok());
        for bad in ["", "DEFAULT_PRODUCER", "bad group!", &"g".repeat(121)] {
            assert_eq!(group(bad).unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }
}
