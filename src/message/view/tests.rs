use super::*;

fn view(topic: &[u8], body: &[u8], properties: &[u8]) -> MessageView {
    let (topic_end, body_end) = (topic.len(), topic.len() + body.len());
    let bytes = [topic, body, properties].concat();
    let host = ([127, 0, 0, 1], 10911).into();
    MessageView::new(StoredParts {
        topic: 0..topic_end,
        body: topic_end..body_end,
        properties: body_end..bytes.len(),
        bytes: Arc::new(bytes),
        fixed: Fixed {
            flag: 1,
            sys_flag: 2,
            queue_id: 3,
            queue_offset: 4,
            commit_log_offset: 0x1AF6,
            born_timestamp: -1500,
            born_host: host,
            store_timestamp: 1_500,
            store_host: host,
            reconsume_times: 5,
            prepared_transaction_offset: 6,
        },
    })
}

const TEXT: &[u8] = b"KEYS\x01a  b\x02TAGS\x01t\x02UNIQ_KEY\x01K\x02x\x01old\x02x\x01new";

#[test]
fn it_is_one_word_wide_and_shows_the_bytes_that_came() {
    assert_eq!(size_of::<MessageView>(), size_of::<usize>());
    let one = view(b"T", b"body", TEXT);
    let clone = one.clone();
    assert_eq!(one.body().as_ptr(), clone.body().as_ptr());
    assert_eq!(one.body().as_ptr(), one.0.bytes[1..].as_ptr());
    assert_eq!((one.topic(), one.text()), ("T", Ok("body")));
    assert_eq!(one.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((one.tag(), one.unique_key()), (Some("t"), Some("K")));
    assert_eq!(one.property("x"), Some("new"));
    assert_eq!(one.property("y"), None);
    let names: Vec<&str> = one.properties().map(|(name, _)| name).collect();
    assert_eq!(names, ["KEYS", "TAGS", "UNIQ_KEY", "x"]);
    assert!(!format!("{one:?}").contains("body\""), "{one:?}");
    assert_eq!(one.to_string(), "msg_id=K queue=T:3 offset=4");
}

#[test]
fn properties_are_parsed_once_on_first_use() {
    let one = view(b"T", b"", TEXT);
    assert!(one.0.parsed.get().is_none());
    let value = one.property("x").map(str::as_ptr);
    assert_eq!(one.clone().property("x").map(str::as_ptr), value);
    assert!(one.0.bytes.as_ptr_range().contains(&value.unwrap()));
}

#[test]
fn text_that_is_not_utf_8_is_replaced() {
    let one = view(b"T\xff", b"\xff", b"a\x01\xff\x02b\x012\x02");
    assert_eq!(one.topic(), "T\u{fffd}");
    assert!(one.text().is_err());
    assert_eq!(one.property("a"), Some("\u{fffd}"));
    assert_eq!(one.property("b"), Some("2"));
}

#[test]
fn ids_and_times_are_those_of_java() {
    let one = view(b"T", b"", TEXT);
    assert_eq!(one.message_id(), "K");
    assert_eq!(one.offset_message_id(), "7F00000100002A9F0000000000001AF6");
    let bare = view(b"T", b"", b"");
    assert_eq!(bare.message_id(), bare.offset_message_id());
    let millis = Duration::from_millis;
    assert_eq!(bare.born_at(), UNIX_EPOCH - millis(1500));
    assert_eq!(bare.stored_at(), UNIX_EPOCH + millis(1500));
    for out_of_range in [i64::MIN, i64::MAX] {
        let _ = system_time(out_of_range);
    }
    assert_eq!(bare.transaction_id(), None);
    for (marker, id) in [("true", Some("K")), ("false", None)] {
        let text = format!("TRAN_MSG\u{1}{marker}\u{2}UNIQ_KEY\u{1}K");
        let half = view(b"T", b"", text.as_bytes());
        assert_eq!(half.transaction_id(), id);
    }
}

#[test]
fn additions_of_a_consumer_change_only_its_own_clone() {
    let stored = view(b"%RETRY%g", b"body", TEXT);
    let queue = MessageQueue::new("T", "broker-a", 9);
    let consumed = stored
        .clone()
        .with_topic("T")
        .of_queue(&queue)
        .shifted(100)
        .with_reconsume_times(7)
        .maybe_repeated();
    assert_eq!(consumed.topic(), "T");
    assert_eq!((consumed.queue_id(), consumed.queue_offset()), (9, 104));
    assert_eq!(consumed.queue(), Some(&queue));
    assert_eq!(consumed.reconsume_times(), 7);
    assert!(consumed.possibly_repeated());
    assert_eq!(consumed.body().as_ptr(), stored.body().as_ptr());
    assert_eq!((stored.topic(), stored.queue_offset()), ("%RETRY%g", 4));
    assert_eq!(stored.queue(), None);
    assert_ne!(stored, consumed);
}

#[test]
fn a_dead_letter_knows_its_topic_whatever_retry_topic_it_was_in() {
    let topic = |dead: &str, before: &str| {
        let properties = format!("RETRY_TOPIC\u{1}{before}");
        let letter = view(dead.as_bytes(), b"", properties.as_bytes());
        let message = crate::Message::from_dead_letter(&letter).ok()?;
        Some(message.topic().to_owned())
    };
    for (before, expected) in [
        ("T", Some("T")),
        ("NS%T", Some("NS%T")),
        ("%RETRY%g_T", Some("T")),
        ("%RETRY%g+T", Some("T")),
        ("%RETRY%NS%g_NS%T", Some("T")),
        ("%RETRY%g%g+g%T", Some("T")),
        ("%RETRY%other_T", None),
        ("%RETRY%xg_T", None),
        ("%RETRY%g", None),
        ("", None),
    ] {
        assert_eq!(topic("%DLQ%g", before).as_deref(), expected, "{before}");
    }
    assert_eq!(
        topic("%DLQ%NS%g", "%RETRY%NS%g_NS%T").as_deref(),
        Some("NS%T")
    );
    assert_eq!(topic("g", "T"), None);
}
