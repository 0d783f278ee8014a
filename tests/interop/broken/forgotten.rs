//! A topic is deleted while it is used, and the name server starts anew.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rocketmq_blocking::{ClientOptions, ErrorKind, Message, Producer, SendFate};

use crate::servers::mortal::Mortal;
use crate::servers::wire;
use crate::servers::{Over, PATIENCE, eventually, within};
use crate::strict::{check_no_route, first_receipt, server};

/// The outcomes of the sends to one topic.
#[derive(Default)]
struct Counts {
    stored: AtomicUsize,
    /// The broker has no such topic.
    refused: AtomicUsize,
}

impl Counts {
    /// Sends until it is over, and accepts no other outcome.
    fn send(&self, producer: &Producer, topic: &str, by_handle: bool, over: &AtomicBool) {
        let message = Message::new(topic, "x");
        while !over.load(Ordering::Relaxed) {
            let result = match by_handle {
                false => producer.send(&message),
                true => producer.submit(message.clone()).wait(),
            };
            match result {
                Ok(_) => self.stored.fetch_add(1, Ordering::Relaxed),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Broker, "{error:?}");
                    assert_eq!(error.response_code(), Some(17.into()), "{error:?}");
                    assert_eq!(error.fate(), SendFate::NotSent, "{error:?}");
                    self.refused.fetch_add(1, Ordering::Relaxed)
                }
            };
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[track_caller]
fn wait_for_more(count: &AtomicUsize) {
    let then = count.load(Ordering::Relaxed);
    eventually("sends go on", || {
        count.load(Ordering::Relaxed) >= then + 100
    });
}

/// A producer that knew the topic still asks the broker; another one gets NoRoute.
#[test]
#[ignore = "needs real servers: tests/rocketmq/all.sh VERSION"]
fn a_topic_deleted_under_load_is_refused_and_has_no_route_once_the_name_server_is_back() {
    let server = server();
    let broker = &server.brokers[0].address;
    let (gone, kept) = ("DeletedUnderLoad", "KeptUnderLoad");
    wire::create_topic(broker, gone, 4, 6);
    wire::create_topic(broker, kept, 4, 6);
    let setup = server.producer("forgotten");
    let producer = setup
        .options(ClientOptions::new().route_interval(Duration::from_millis(500)))
        .start();
    let producer = producer.unwrap();
    for topic in [gone, kept] {
        let _ = first_receipt(&producer, &Message::new(topic, "x"));
    }
    let (of_gone, of_kept) = (Counts::default(), Counts::default());
    let name_server = server.name_server_process();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _over = Over(&over);
        for by_handle in [false, true] {
            let (producer, over, of_gone, of_kept) = (&producer, &over, &of_gone, &of_kept);
            scope.spawn(move || of_gone.send(producer, gone, by_handle, over));
            scope.spawn(move || of_kept.send(producer, kept, by_handle, over));
        }
        wait_for_more(&of_gone.stored);
        wire::delete_topic(broker, gone);
        wait_for_more(&of_gone.refused);
        let mut name_server = Mortal::new(&name_server);
        name_server.kill();
        wait_for_more(&of_gone.refused);
        wait_for_more(&of_kept.stored);
        name_server.start();
        let anew = server.producer("forgotten-anew").start().unwrap();
        // It first learns about the topic from the broker's next registration.
        first_receipt_after_start(&anew, kept);
        check_no_route(&anew.send(&Message::new(gone, "x")).unwrap_err());
        wait_for_more(&of_gone.refused);
        wait_for_more(&of_kept.stored);
    });
    assert_eq!(of_kept.refused.into_inner(), 0);
}

fn first_receipt_after_start(producer: &Producer, topic: &str) {
    let what = "the name server knows the broker again";
    within(2 * PATIENCE, what, || {
        producer.send(&Message::new(topic, "x")).is_ok()
    });
}
