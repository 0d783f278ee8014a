//! Brokers store exactly the sent message in every mode; receipts name its place.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rocketmq_blocking::embedded::{Cluster, Fault, On, StoredMessage};
use rocketmq_blocking::producer::AutoBatch;
use rocketmq_blocking::protocol::{HeaderFormat, sys_flag};
use rocketmq_blocking::{
    Batch, ClientOptions, Message, MessageView, Producer, Schedule, SendStatus,
    TransactionProducer, TransactionState,
};

use crate::support::{patient as builder, *};

type Way = (&'static str, fn(&Producer, &Message));

/// Ways of sending one message.
const WAYS: [Way; 4] = [
    ("sync", |producer, message| {
        assert_eq!(producer.send(message).unwrap().status(), SendStatus::Ok);
    }),
    ("async", |producer, message| {
        let result = only(&send_async(producer, message.clone()));
        assert_eq!(result.unwrap().status(), SendStatus::Ok);
    }),
    ("submit", |producer, message| {
        let handle = producer.submit(message.clone());
        assert_eq!(handle.wait().unwrap().status(), SendStatus::Ok);
    }),
    ("oneway", |producer, message| {
        producer.send_oneway(message).unwrap();
    }),
];

fn rich() -> Message {
    message("r\u{fc}ck\0\u{1}\u{2}")
        .tag("TagA")
        .key("k1")
        .key("k2")
        .property("color", "r\u{f6}t")
        .property("empty?", "no")
        .flag(-7)
        .wait_store(false)
}

#[track_caller]
fn check_rich(stored: &StoredMessage) {
    assert_eq!(&*stored.body(), "r\u{fc}ck\0\u{1}\u{2}".as_bytes());
    assert_eq!(stored.tag(), Some("TagA"));
    assert_eq!(stored.keys().collect::<Vec<_>>(), ["k1", "k2"]);
    assert_eq!(stored.property("color"), Some("r\u{f6}t"));
    assert_eq!(stored.property("empty?"), Some("no"));
    assert_eq!(stored.property("WAIT"), Some("false"));
    assert_eq!((stored.flag(), stored.sys_flag()), (-7, 0));
    assert_eq!(stored.producer_group(), "group");
    assert_eq!(stored.properties().len(), 6, "{:?}", stored.properties());
}

#[test]
fn every_mode_stores_the_whole_message_and_keeps_the_callers() {
    let cluster = cluster();
    let producer = producer(&cluster);
    for (count, (way, send)) in WAYS.iter().enumerate() {
        let message = rich();
        send(&producer, &message);
        let stored = cluster.wait_for_messages("T", count + 1, PATIENCE);
        assert_eq!(stored.len(), count + 1, "{way}");
        check_rich(&stored[count]);
        assert_eq!(message, rich(), "{way}");
    }
    let codes: Vec<i32> = sends(&cluster).iter().map(|r| r.command().code).collect();
    assert_eq!(codes, [310; 4]);
}

#[test]
fn no_way_of_sending_changes_the_message() {
    let cluster = cluster();
    let setup = builder(&cluster).compress_over(1).trace();
    let producer = setup.clone().namespace("space").start().unwrap();
    let gathering = setup.auto_batch(AutoBatch::new()).start().unwrap();
    let check = |_: &MessageView| TransactionState::Unknown;
    let payments = TransactionProducer::builder("payments", check)
        .name_server(cluster.name_server())
        .start()
        .unwrap();
    let same = rich().unique_key("own");
    let message = same.clone();
    for (_, send) in WAYS {
        send(&producer, &message);
        send(&gathering, &message);
    }
    let batch = Batch::new([message.clone()]).unwrap();
    assert!(producer.send_batch(&batch).is_ok());
    let keyed = producer.prepare(&message).sharding_key("key");
    assert!(keyed.send().is_ok());
    assert!(
        producer.request(&message, ms(50)).is_err(),
        "there is no reply"
    );
    let sent = payments.send_in_transaction(&message, |half| {
        assert_eq!(*half.message(), same);
        Ok(TransactionState::Commit)
    });
    assert!(sent.is_ok());
    assert_eq!((&message, batch.messages()), (&same, &[same.clone()][..]));
}

#[test]
fn every_header_form_has_the_same_fields() {
    for answer_json in [false, true] {
        for format in [HeaderFormat::Json, HeaderFormat::Binary] {
            for (short, code) in [(true, 310), (false, 10)] {
                let servers = Cluster::builder().topic("T", 4);
                let cluster = servers.answer_json_always(answer_json).start().unwrap();
                let setup = builder(&cluster)
                    .options(ClientOptions::new().header_format(format))
                    .short_headers(short);
                let producer = setup.start().unwrap();
                let receipt = producer.send(&rich()).unwrap();
                let stored = &cluster.messages("T")[0];
                check_rich(stored);
                assert_eq!(receipt.queue().id(), stored.queue_id());
                let request = &sends(&cluster)[0];
                assert_eq!((request.command().code, request.format()), (code, format));
                let batch = Batch::new([rich(), rich()]).unwrap();
                let ids = producer.send_batch(&batch).unwrap();
                assert_eq!(ids.message_id().split(',').count(), 2);
                cluster.messages("T").iter().for_each(check_rich);
                assert_eq!(sends(&cluster)[1].command().code, 320);
            }
        }
    }
}

#[test]
fn a_receipt_names_the_place_of_the_message() {
    let cluster = cluster();
    let producer = producer(&cluster);
    for i in 0..8 {
        let receipt = producer.send(&message("x")).unwrap();
        let stored = &cluster.messages("T")[i];
        assert_eq!(receipt.status(), SendStatus::Ok);
        assert_eq!(Some(receipt.message_id()), stored.unique_key());
        assert_eq!(receipt.offset_message_id(), stored.offset_message_id());
        assert_eq!(receipt.queue().topic(), "T");
        assert_eq!(receipt.queue().broker(), stored.broker());
        assert_eq!(receipt.queue().id(), stored.queue_id());
        assert_eq!(receipt.queue_offset(), stored.queue_offset());
        assert_eq!(receipt.queue_offset(), i as i64 / 4, "queues take turns");
        assert_eq!(receipt.transaction_id(), stored.unique_key());
        assert_eq!(receipt.region(), Some("DefaultRegion"));
        assert_eq!(receipt.attempts(), 1);
    }
}

#[test]
fn stored_but_not_flushed_or_replicated_is_a_receipt_with_a_status() {
    for (code, status) in [
        (10, SendStatus::FlushDiskTimeout),
        (11, SendStatus::SlaveNotAvailable),
        (12, SendStatus::FlushSlaveTimeout),
    ] {
        for mode in MODES {
            let cluster = brokers(2);
            for broker in cluster.brokers() {
                broker.inject(Fault::answer(code, "").on(On::Send).after_storing());
            }
            let receipt = mode.send(&producer(&cluster), &message("x")).unwrap();
            assert_eq!((receipt.status(), receipt.attempts()), (status, 1));
            assert_eq!(cluster.message_count("T"), 1);
        }
    }
}

#[test]
fn a_batch_is_stored_in_order_in_one_queue() {
    let cluster = brokers(2);
    let producer = producer(&cluster);
    let messages = (0..5).map(|i| {
        message(format!("{i}"))
            .tag(format!("t{i}"))
            .property("n", i.to_string())
            .flag(i)
    });
    let receipt = producer.send_batch(&Batch::new(messages).unwrap()).unwrap();
    let stored = cluster.messages("T");
    let keys: Vec<&str> = stored.iter().filter_map(|m| m.unique_key()).collect();
    assert_eq!(receipt.message_id(), keys.join(","));
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 5);
    for (i, message) in stored.iter().enumerate() {
        assert_eq!(&*message.body(), i.to_string().as_bytes());
        assert_eq!(message.tag(), Some(&*format!("t{i}")));
        assert_eq!(message.property("n"), Some(&*i.to_string()));
        assert_eq!(message.flag(), i as i32);
        let place = (message.broker(), message.queue_id(), message.queue_offset());
        let queue = receipt.queue();
        assert_eq!(place, (queue.broker(), queue.id(), i as i64));
    }
    let request = &sends(&cluster)[0];
    assert_eq!(request.command().ext.get("m"), Some("true"));
    // Old brokers would store every message of the batch under a key in the header.
    assert_eq!(property(request, "UNIQ_KEY"), None);
}

#[test]
fn a_batch_can_be_sent_in_every_way() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let batch = Batch::new([message("a"), message("b")]).unwrap();
    let handle = producer.prepare_batch(&batch).submit();
    assert_eq!(handle.wait().unwrap().message_id().split(',').count(), 2);
    producer.prepare_batch(&batch).send_oneway().unwrap();
    assert_eq!(cluster.wait_for_messages("T", 4, PATIENCE).len(), 4);
    let to = rocketmq_blocking::MessageQueue::new("T", "broker-a", 3);
    let receipt = producer.prepare_batch(&batch).queue(to).send().unwrap();
    assert_eq!(receipt.queue().id(), 3);
}

#[test]
fn bodies_from_4_kib_on_are_compressed_if_that_makes_them_smaller() {
    const PACKED: i32 = sys_flag::COMPRESSED | sys_flag::COMPRESSION_ZLIB;
    assert_eq!(PACKED, 0x301);
    let cluster = cluster();
    let producer = producer(&cluster);
    for (body, flags) in [
        (vec![b'x'; 4095], 0),
        (vec![b'x'; 4096], PACKED),
        (vec![b'x'; 4 * 1024 * 1024], PACKED),
        (noise(10_000), 0),
    ] {
        let receipt = producer.send(&message(body.clone())).unwrap();
        let all = cluster.messages("T");
        let stored = all.last().unwrap();
        assert_eq!(stored.unique_key(), Some(receipt.message_id()));
        assert_eq!(stored.sys_flag(), flags);
        assert_eq!(stored.raw_body().len() < body.len(), flags != 0);
        assert!(*stored.body() == body[..]);
    }
    let never = builder(&cluster).compress_over(usize::MAX).start().unwrap();
    assert!(never.send(&message(vec![b'x'; 4096])).is_ok());
    assert_eq!(cluster.messages("T").last().unwrap().sys_flag(), 0);
}

#[test]
fn a_schedule_is_a_property_and_the_last_one_counts() {
    let at = UNIX_EPOCH + Duration::from_millis(1_900_000_000_123);
    let cluster = cluster();
    let producer = producer(&cluster);
    for (message, expected) in [
        (message("x").delay_level(3), Some(("DELAY", "3"))),
        (message("x").delay_level(99), Some(("DELAY", "99"))),
        (message("x").delay_level(0), None),
        (
            message("x").deliver_after(ms(1500)),
            Some(("TIMER_DELAY_MS", "1500")),
        ),
        (
            message("x").deliver_at(at),
            Some(("TIMER_DELIVER_MS", "1900000000123")),
        ),
        (
            message("x").delay_level(3).deliver_at(at),
            Some(("TIMER_DELIVER_MS", "1900000000123")),
        ),
        (message("x").delay_level(3).schedule(Schedule::Now), None),
        (
            message("x").deliver_at(SystemTime::UNIX_EPOCH),
            Some(("TIMER_DELIVER_MS", "0")),
        ),
    ] {
        assert!(producer.send(&message).is_ok());
        let all = cluster.messages("T");
        let properties = all.last().unwrap().properties();
        let schedule = ["DELAY", "TIMER_DELAY_MS", "TIMER_DELIVER_MS"];
        let found = properties.iter().find(|(name, _)| schedule.contains(name));
        assert_eq!(found, expected, "{message:?}");
    }
}

#[test]
fn message_ids_are_unique_and_a_given_one_is_kept() {
    let cluster = cluster();
    let ip = "10.1.2.3".parse().unwrap();
    let producer = builder(&cluster)
        .options(ClientOptions::new().client_ip(ip))
        .start()
        .unwrap();
    let send = |_| {
        let receipt = producer.send(&message("x")).unwrap();
        receipt.message_id().to_owned()
    };
    let ids: HashSet<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..250).map(send).collect::<Vec<_>>()))
            .collect();
        let ids = threads.into_iter().map(|thread| thread.join().unwrap());
        ids.flatten().collect()
    });
    assert_eq!(ids.len(), 1000);
    assert_eq!(cluster.message_count("T"), 1000);
    for id in &ids {
        assert_eq!(id.len(), 32);
        assert!(id.starts_with("0A010203"), "{id}");
        assert!(id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'A'..=b'F')));
    }
    let again = message("x").unique_key("mine");
    for mode in MODES {
        assert_eq!(mode.send(&producer, &again).unwrap().message_id(), "mine");
    }
    let stored = cluster.messages("T");
    let last = stored.last().unwrap();
    assert_eq!(last.unique_key(), Some("mine"));
}

#[test]
fn each_callback_gets_the_receipt_of_its_message() {
    let cluster = brokers(2);
    // One attempt, so that there is one copy on the slowest machine.
    let setup = builder(&cluster).async_retries(0).send_timeout(PATIENCE);
    let producer = setup.start().unwrap();
    let pending: Vec<_> = (0..1000)
        .map(|i| {
            send_async(
                &producer,
                message(format!("{i}")).unique_key(format!("id{i}")),
            )
        })
        .collect();
    for (i, results) in pending.iter().enumerate() {
        assert_eq!(only(results).unwrap().message_id(), format!("id{i}"));
    }
    let stored = cluster.messages("T");
    assert_eq!(stored.len(), 1000);
    for message in &stored {
        let key = message.unique_key().unwrap();
        assert_eq!(&key.as_bytes()[2..], &*message.body());
    }
}

#[test]
fn an_answer_without_fields_is_still_a_receipt_and_a_broken_number_may_be_stored() {
    use rocketmq_blocking::protocol::Command;
    for (fields, good) in [
        (&[][..], true),
        (&[("msgId", "x")], true),
        (&[("queueOffset", "abc")], false),
        (&[("queueId", "99999999999")], false),
    ] {
        let stub = Stub::start(move |mut peer| {
            while let Some(request) = peer.read() {
                let mut answer = Command::response_to(&request, 0);
                for (name, value) in fields {
                    answer.ext.push(name, value);
                }
                peer.write(&answer);
            }
        });
        let cluster = stub.cluster();
        let setup = builder(&cluster).retries(0).async_retries(0);
        let producer = setup.start().unwrap();
        for mode in MODES {
            match mode.send(&producer, &message("x")) {
                Ok(receipt) => assert!(good, "{receipt}"),
                Err(error) => {
                    assert!(!good, "{error}");
                    assert_eq!(error.kind(), rocketmq_blocking::ErrorKind::Protocol);
                    assert_eq!(error.fate(), rocketmq_blocking::SendFate::MaybeStored);
                }
            }
        }
    }
}
