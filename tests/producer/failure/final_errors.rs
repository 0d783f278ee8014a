//! The error after the last attempt: each attempt, and the fate of the message.

use rocketmq_blocking::embedded::{Fault, On};
use rocketmq_blocking::producer::AutoBatch;
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::{Batch, ErrorKind, Message, MessageQueue, SendFate};

use crate::support::{patient as builder, *};

/// Each of these codes is retried, and means in the end that nothing was stored, except for the
/// generic one.
#[test]
fn a_final_code_decides_the_fate_of_the_message() {
    for (code, delivery) in [
        (1, SendFate::MaybeStored),
        (2, SendFate::NotSent),
        (14, SendFate::NotSent),
        (16, SendFate::NotSent),
        (17, SendFate::NotSent),
        (29, SendFate::NotSent),
        (204, SendFate::NotSent),
        (205, SendFate::NotSent),
        (1500, SendFate::NotSent),
    ] {
        for mode in MODES {
            let cluster = brokers(2);
            inject(&cluster, &Fault::answer(code, "no").on(On::Send));
            let error = error(mode.send(&producer(&cluster), &message("x")));
            assert_eq!(error.kind(), ErrorKind::Broker, "{error}");
            assert_eq!(error.response_code(), Some(code.into()), "{error}");
            assert_eq!(error.fate(), delivery, "{mode:?}: {error}");
            assert_eq!(error.attempts().len(), 3, "{mode:?}: {error}");
        }
    }
}

/// Brokers answer "busy" with several remarks of the same meaning.
#[test]
fn a_busy_broker_has_stored_nothing_whatever_its_remark() {
    for remark in [
        "[REJECTREQUEST]system busy, start flow control for a while",
        "[OVERLOAD]system busy, start flow control for a while",
        "[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while",
        "[PCBUSY_CLEAN_QUEUE]broker busy, start flow control for a while",
        "[PC_SYNCHRONIZED]broker busy, start flow control for a while",
    ] {
        for mode in MODES {
            let cluster = brokers(2);
            inject(&cluster, &Fault::answer(2, remark).on(On::Send));
            let error = error(mode.send(&producer(&cluster), &message("x")));
            assert_eq!(error.kind(), ErrorKind::Broker, "{error}");
            assert_eq!(error.remark(), Some(remark));
            assert_eq!(error.fate(), SendFate::NotSent, "{mode:?}: {error}");
            assert_eq!(error.attempts().len(), 3, "{mode:?}: {error}");
        }
    }
}

#[test]
fn the_final_error_lists_every_attempt() {
    for mode in MODES {
        let cluster = brokers(2);
        cluster
            .broker("broker-a")
            .inject(Fault::answer(1, "odd").on(On::Send));
        cluster
            .broker("broker-b")
            .inject(Fault::answer(2, "busy").on(On::Send));
        let producer = builder(&cluster)
            .retries(3)
            .async_retries(3)
            .start()
            .unwrap();
        let error = error(mode.send(&producer, &message("x")));
        assert_eq!(error.kind(), ErrorKind::Broker);
        assert_eq!(error.attempts().len(), 4);
        assert_eq!(sends(&cluster).len(), 4);
        // One of them may have stored it, whichever came last.
        assert_eq!(error.fate(), SendFate::MaybeStored);
        assert_eq!(error.topic(), Some("T"));
        for (i, attempt) in error.attempts().iter().enumerate() {
            let (code, remark, delivery) = match &*attempt.broker {
                "broker-a" => (1, "odd", SendFate::MaybeStored),
                _ => (2, "busy", SendFate::NotSent),
            };
            assert_eq!(attempt.error.response_code(), Some(code.into()));
            assert_eq!(attempt.error.remark(), Some(remark));
            assert_eq!(attempt.error.fate(), delivery);
            assert_eq!(*attempt.broker, *sends(&cluster)[i].server());
        }
        let last = &error.attempts()[3].error;
        assert_eq!(error.response_code(), last.response_code());
        let text = error.to_string();
        assert!(
            text.starts_with("send to T failed after 4 attempts in "),
            "{text}"
        );
        assert!(text.contains("SYSTEM_BUSY (2): busy"), "{text}");
    }
}

#[test]
fn a_failed_send_names_the_key_under_which_the_message_can_be_sent_again() {
    for mode in MODES {
        let cluster = cluster();
        let producer = builder(&cluster)
            .retries(0)
            .async_retries(0)
            .start()
            .unwrap();
        let lost = Fault::hang_up().after_storing().on(On::Send).once();
        cluster.broker("broker-a").inject(lost);
        let failed = error(mode.send(&producer, &message("x")));
        let key = failed.unique_key().expect("a key").to_owned();
        let again = message("x").unique_key(&key);
        assert_eq!(mode.send(&producer, &again).unwrap().message_id(), key);
        let stored = cluster.messages("T");
        let keys: Vec<_> = stored.iter().filter_map(|m| m.unique_key()).collect();
        assert_eq!(keys, [&key, &key], "{mode:?}");

        let invalid = error(mode.send(&producer, &Message::new("no topic", "x")));
        assert_eq!(invalid.unique_key(), None);
    }
}

#[test]
fn the_failed_messages_of_a_batch_have_their_own_keys() {
    let cluster = cluster();
    cluster
        .broker("broker-a")
        .inject(Fault::answer(13, "no").on(On::Send));
    let keyed = |key: &str| message("x").unique_key(key);
    let batch = Batch::new([keyed("A"), keyed("B")]).unwrap();
    let failed = error(producer(&cluster).send_batch(&batch));
    assert_eq!(failed.unique_key(), Some("A,B"));
    let gathering = builder(&cluster).auto_batch(AutoBatch::new().max_delay(PATIENCE));
    let producer = gathering.start().unwrap();
    let missing = MessageQueue::new("T", "broker-z", 0);
    let refused = producer.prepare(&keyed("C")).queue(missing).send_oneway();
    assert_eq!(refused.unwrap_err().unique_key(), Some("C"));
    // The look-up of the route has ended, so the next ones share a request.
    let handles = ["A", "B"].map(|key| (key, producer.submit(keyed(key))));
    producer.flush(PATIENCE).unwrap();
    for (key, handle) in handles {
        assert_eq!(error(handle.wait()).unique_key(), Some(key));
    }
    let codes: Vec<_> = sends(&cluster).iter().map(|r| r.command().code).collect();
    assert_eq!(codes, [request::SEND_BATCH_MESSAGE; 2]);
}
