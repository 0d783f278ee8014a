//! Which failures are retried, at which broker, and with which final error.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rocketmq_blocking::embedded::{Fault, On};
use rocketmq_blocking::error::{Attempt, Wait};
use rocketmq_blocking::hook::{CheckForbiddenHook, SendContext};
use rocketmq_blocking::{ErrorKind, MessageQueue, SendFate, SendStatus};

use crate::support::{patient as builder, *};

#[test]
fn a_retryable_code_goes_to_another_broker_with_the_same_key_and_a_new_header() {
    for code in [1, 2, 14, 16, 17, 204, 205] {
        for mode in MODES {
            let cluster = brokers(2);
            inject(&cluster, &Fault::answer(code, "not now").on(first_send()));
            let receipt = mode
                .send(&producer(&cluster), &message("x").tag("t"))
                .unwrap();
            assert_eq!(receipt.attempts(), 2, "{code} {mode:?}");
            let sends = sends(&cluster);
            let [first, second] = &sends[..] else {
                panic!("two sends, not {sends:?}");
            };
            assert_ne!(first.server(), second.server());
            assert_eq!(receipt.queue().broker(), second.server());
            for request in &sends {
                let ext = &request.command().ext;
                assert_eq!(ext.get("n"), Some(request.server()));
                assert_eq!(property(request, "UNIQ_KEY").unwrap(), receipt.message_id());
            }
            let ext = &second.command().ext;
            assert_eq!(ext.get("e"), Some(&*receipt.queue().id().to_string()));
            let born =
                |at: usize| -> i64 { sends[at].command().ext.get("g").unwrap().parse().unwrap() };
            match code {
                // A busy broker is given a pause, so that the clock has moved.
                2 | 14 => assert!(born(1) > born(0)),
                _ => assert!(born(1) >= born(0)),
            }
            assert_eq!(cluster.message_count("T"), 1);
        }
    }
}

#[test]
fn other_codes_fail_at_once() {
    for (code, remark) in [
        (3, ""),
        (13, "illegal"),
        (215, "flow"),
        (-1, ""),
        (32767, ""),
        (1, "org.apache.rocketmq.acl.common.AclException: no"),
    ] {
        for mode in MODES {
            let cluster = brokers(2);
            inject(&cluster, &Fault::answer(code, remark).on(On::Send));
            let error = error(mode.send(&producer(&cluster), &message("x")));
            assert_eq!(error.kind(), ErrorKind::Broker);
            assert_eq!(error.response_code(), Some(code.into()));
            assert_eq!(error.remark().unwrap_or_default(), remark);
            assert_eq!(error.attempts().len(), 1);
            assert_eq!(sends(&cluster).len(), 1, "{code} {mode:?}");
            // A wrong signature stores nothing, although its code is that of unknown outcomes.
            assert_eq!(error.fate(), SendFate::NotSent);
        }
    }
}

#[test]
fn the_number_of_retries_is_the_modes_own() {
    for (mode, expected) in [(Mode::Sync, 5), (Mode::Async, 1)] {
        let cluster = brokers(2);
        inject(&cluster, &Fault::answer(16, "no").on(On::Send));
        let producer = builder(&cluster)
            .retries(4)
            .async_retries(0)
            .start()
            .unwrap();
        let error = error(mode.send(&producer, &message("x")));
        assert_eq!(error.attempts().len(), expected);
        assert_eq!(sends(&cluster).len(), expected);
    }
}

#[test]
fn retryable_codes_can_be_chosen() {
    let cluster = brokers(2);
    inject(&cluster, &Fault::answer(215, "").on(first_send()));
    let producer = builder(&cluster).retry_codes([215.into()]).start().unwrap();
    assert_eq!(producer.send(&message("x")).unwrap().attempts(), 2);
    inject(&cluster, &Fault::answer(2, "").on(On::Send));
    assert_eq!(error(producer.send(&message("x"))).attempts().len(), 1);
}

#[test]
fn a_chosen_queue_is_never_changed_for_another() {
    for code in [1, 2, 17, 29] {
        for mode in MODES {
            let cluster = brokers(2);
            inject(&cluster, &Fault::answer(code, "").on(On::Send));
            let producer = producer(&cluster);
            let message = message("x");
            for way in 0..3 {
                let send = producer.prepare(&message);
                let send = match way {
                    0 => send.queue(MessageQueue::new("T", "broker-b", 1)),
                    1 => send.sharding_key("key"),
                    _ => send.select(|_| 0),
                };
                let result = match mode {
                    Mode::Sync => send.send(),
                    Mode::Async => send.submit().wait(),
                };
                let error = error(result);
                assert_eq!(error.attempts().len(), 1);
                assert_eq!(error.response_code(), Some(code.into()));
                assert_eq!(sends(&cluster).len(), way + 1);
            }
        }
    }
}

#[test]
fn a_send_to_a_chosen_queue_does_not_end_before_its_broker_was_tried() {
    let cluster = brokers(1);
    let producer = producer(&cluster);
    let message = message("x");
    let keyed = || producer.prepare(&message).sharding_key("key");
    let submit = || keyed().submit().wait();
    let _stored = keyed().send().unwrap();
    let broker = cluster.broker("broker-a");
    for send in [&|| keyed().send(), &submit as &dyn Fn() -> _] {
        broker.kill();
        assert!(send().is_err(), "over the old connection, or not");
        // Each refusal lengthens the back-off of the address.
        for _ in 0..4 {
            let error = send().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
            assert_eq!(error.attempts().len(), 1, "{error}");
        }
        broker.restart().unwrap();
        assert_eq!(send().unwrap().attempts(), 1);
    }
}

#[test]
fn a_refused_connection_leads_to_the_other_broker() {
    for mode in MODES {
        let cluster = brokers(2);
        kill_unused(&cluster, "broker-a");
        let producer = producer(&cluster);
        for _ in 0..8 {
            let receipt = mode.send(&producer, &message("x")).unwrap();
            assert_eq!(receipt.queue().broker(), "broker-b");
        }
    }
}

#[test]
fn a_silent_broker_does_not_eat_the_time_that_another_one_needs() {
    for mode in MODES {
        let cluster = brokers(2);
        inject(&cluster, &Fault::silence().on(first_send()));
        let producer = builder(&cluster).send_timeout(ms(4000)).retries(7);
        let producer = producer.async_retries(7).start().unwrap();
        let start = Instant::now();
        let receipt = mode.send(&producer, &message("x")).unwrap();
        // One that is late is not the last.
        assert!(receipt.attempts() >= 2, "{receipt}");
        assert!(
            start.elapsed() >= ms(500),
            "an attempt gets half a second at least"
        );
    }
    // The share is one of the send's own time, not of the producer's.
    let cluster = brokers(2);
    inject(&cluster, &Fault::silence().on(first_send()));
    let producer = producer(&cluster);
    let receipt = producer.prepare(&message("x")).timeout(ms(2500)).send();
    assert!(receipt.unwrap().attempts() >= 2);
}

#[test]
fn the_only_broker_gets_the_whole_time() {
    in_each_mode(|mode| {
        let cluster = cluster();
        let producer = producer(&cluster);
        assert!(producer.send(&message("x")).is_ok());
        inject(&cluster, &Fault::silence().on(On::Send));
        let start = Instant::now();
        let error = error(mode.send_within(&producer, &message("x"), ms(1500)));
        assert_eq!(
            (error.kind(), error.wait()),
            (ErrorKind::Timeout, Some(Wait::Response))
        );
        assert_eq!(error.fate(), SendFate::MaybeStored);
        assert_eq!(error.attempts().len(), 1);
        assert!(start.elapsed() >= ms(1500) && start.elapsed() < ms(1500) + STALL);
    });
}

#[test]
fn an_attempt_can_be_given_less_time_even_with_one_broker() {
    for mode in MODES {
        let cluster = cluster();
        inject(&cluster, &Fault::silence().on(first_send()));
        let setup = builder(&cluster).retries(20).async_retries(20);
        let producer = setup.attempt_timeout(ms(350)).start().unwrap();
        let receipt = mode.send(&producer, &message("x")).unwrap();
        // One that is late is not the last.
        assert!(receipt.attempts() >= 2, "{receipt}");
    }
}

#[test]
fn maybe_stored_messages_are_retried_by_default() {
    for (again, stored) in [(true, 2), (false, 1)] {
        for mode in MODES {
            let cluster = brokers(2);
            inject(&cluster, &Fault::hang_up().after_storing().on(first_send()));
            let producer = builder(&cluster).retry_maybe_stored(again).start().unwrap();
            match mode.send(&producer, &message("x")) {
                Ok(receipt) => assert_eq!((again, receipt.attempts()), (true, 2)),
                Err(error) => {
                    assert!(!again, "{error}");
                    assert_eq!(error.kind(), ErrorKind::Disconnected);
                    assert_eq!(error.fate(), SendFate::MaybeStored);
                }
            }
            assert_eq!(cluster.message_count("T"), stored);
            let messages = cluster.messages("T");
            let key = |i: usize| messages[i].unique_key().unwrap();
            assert_eq!(key(0), key(messages.len() - 1));
        }
    }
}

#[test]
fn a_doubtful_receipt_is_returned_if_no_better_one_comes() {
    for mode in MODES {
        let not_ok = Fault::answer(11, "").after_storing();
        let cluster = brokers(2);
        inject(&cluster, &not_ok.clone().on(On::Send));
        let producer = |cluster| {
            let builder = builder(cluster).retry_another_broker_when_not_stored(true);
            builder.start().unwrap()
        };
        let receipt = mode.send(&producer(&cluster), &message("x")).unwrap();
        assert_eq!(receipt.status(), SendStatus::SlaveNotAvailable);
        assert_eq!((receipt.attempts(), cluster.message_count("T")), (3, 3));

        let cluster = brokers(2);
        inject(&cluster, &not_ok.clone().on(first_send()));
        let receipt = mode.send(&producer(&cluster), &message("x")).unwrap();
        assert_eq!((receipt.status(), receipt.attempts()), (SendStatus::Ok, 2));

        // A later error does not turn a stored message into a failure.
        let cluster = brokers(2);
        inject(&cluster, &not_ok.on(first_send()));
        inject(&cluster, &Fault::answer(13, "").on(On::Send));
        let receipt = mode.send(&producer(&cluster), &message("x")).unwrap();
        assert_eq!(receipt.status(), SendStatus::SlaveNotAvailable);
        assert_eq!((receipt.attempts(), cluster.message_count("T")), (2, 1));
    }
}

#[test]
fn a_doubtful_receipt_is_a_failure_where_that_is_required() {
    for (code, name) in [(10, "FLUSH_DISK"), (11, "SLAVE_NOT"), (12, "FLUSH_SLAVE")] {
        for mode in MODES {
            for (another, stored) in [(false, 1), (true, 3)] {
                let cluster = brokers(2);
                inject(
                    &cluster,
                    &Fault::answer(code, "").after_storing().on(On::Send),
                );
                let setup = builder(&cluster).require_store_ok(true);
                let setup = setup.retry_another_broker_when_not_stored(another);
                let error = error(mode.send(&setup.start().unwrap(), &message("x")));
                assert_eq!(error.kind(), ErrorKind::Broker, "{error}");
                assert_eq!(error.response_code(), Some(code.into()), "{error}");
                assert_eq!(error.fate(), SendFate::MaybeStored, "{error}");
                assert!(error.to_string().contains(name), "{error}");
                assert_eq!(cluster.message_count("T"), stored);
                assert_eq!(error.attempts_made() as u64, stored, "{error}");
                for attempt in error.attempts() {
                    assert_eq!(attempt.error.response_code(), Some(code.into()), "{error}");
                }
            }
        }
    }
}

/// The error names the broker that stored the message, whatever was attempted after it.
#[test]
fn attempts_before_and_after_a_doubtful_receipt_are_all_listed() {
    for mode in MODES {
        for first in [10, 2] {
            let cluster = brokers(2);
            let doubtful = Fault::answer(10, "").after_storing();
            let (one, all) = match first {
                10 => (doubtful, Fault::answer(13, "illegal")),
                _ => (Fault::busy(), doubtful),
            };
            inject(&cluster, &one.on(first_send()));
            inject(&cluster, &all.on(On::Send));
            let setup = builder(&cluster).require_store_ok(true);
            let setup = setup.retry_another_broker_when_not_stored(first == 10);
            let error = error(mode.send(&setup.start().unwrap(), &message("x")));
            assert_eq!(error.response_code(), Some(10.into()), "{error}");
            assert_eq!(error.fate(), SendFate::MaybeStored, "{error}");
            assert_eq!(error.attempts_made(), 2, "{error}");
            let codes = error.attempts().iter().map(|a| a.error.response_code());
            let expected = [first, if first == 10 { 13 } else { 10 }];
            let expected = expected.map(|code: i32| Some(code.into()));
            assert_eq!(codes.collect::<Vec<_>>(), expected, "{error}");
            let storing = &error.attempts()[usize::from(first != 10)];
            assert_eq!(storing.error.address(), error.address(), "{error}");
            assert_eq!(cluster.message_count("T"), 1);
        }
    }
}

/// The end comes while the next attempt waits for its time, or is on its way.
#[test]
fn a_shutdown_does_not_turn_a_doubtful_receipt_into_a_failure() {
    for _ in 0..5 {
        let cluster = brokers(2);
        let not_ok = Fault::answer(11, "").after_storing();
        inject(&cluster, &not_ok.on(first_send()));
        inject(&cluster, &Fault::answer(2, "busy").on(On::Send));
        let setup = builder(&cluster).retry_another_broker_when_not_stored(true);
        let producer = setup.async_retries(8).start().unwrap();
        let results = send_async(&producer, message("x"));
        eventually("a later attempt was made", || sends(&cluster).len() > 1);
        let _ = producer.shutdown_within(ms(10));
        let receipt = only(&results).unwrap();
        assert_eq!(receipt.status(), SendStatus::SlaveNotAvailable);
    }
}

#[test]
fn retries_without_end_end_with_the_time() {
    in_each_mode(|mode| {
        let cluster = brokers(2);
        let setup = builder(&cluster).send_timeout(ms(2500));
        let producer = setup
            .retries(u32::MAX)
            .async_retries(u32::MAX)
            .start()
            .unwrap();
        inject(&cluster, &Fault::answer(2, "busy").on(On::Send));
        let start = Instant::now();
        let error = error(mode.send(&producer, &message("x")));
        let took = start.elapsed();
        assert!(took < ms(2500) + STALL);
        // One may be late, and the last one may have had no time left for its answer.
        let is_refused = |of: &&Attempt| of.error.response_code() == Some(2.into());
        let attempts = error.attempts();
        let late = attempts.len() - attempts.iter().filter(is_refused).count();
        assert!(late < attempts.len(), "{error}");
        // 50 ms between two of them.
        let most = 2 + took.as_millis() as usize / 50;
        let made = sends(&cluster).len();
        assert!((2..=most).contains(&made), "{made} of {most}: {error}");
        // One that is late may not leave any more.
        let counted = error.attempts_made();
        assert!(
            (made..=made + late.max(1)).contains(&counted),
            "{mode:?}: {made} of {counted}: {error}"
        );
    });
}

/// The list of attempts is bounded; the text has the number.
#[test]
fn of_very_many_attempts_the_first_and_the_last_are_listed() {
    for mode in MODES {
        let cluster = brokers(2);
        let setup = builder(&cluster).retries(99).async_retries(99);
        let producer = setup.send_timeout(PATIENCE).start().unwrap();
        inject(
            &cluster,
            &Fault::answer(1, "at first").on(On::Send).times(1),
        );
        inject(&cluster, &Fault::answer(1, "later").on(On::Send));
        let error = error(mode.send(&producer, &message("x")));
        assert_eq!(sends(&cluster).len(), 100);
        let remarks = error.attempts().iter().map(|a| a.error.remark());
        let remarks: Vec<_> = remarks.collect();
        assert_eq!((remarks.len(), error.attempts_made()), (32, 100));
        assert_eq!((remarks[0], remarks[31]), (Some("at first"), Some("later")));
        let text = error.to_string();
        assert!(text.contains("failed after 100 attempts"), "{text}");
        assert!(text.contains("; (68 more); "), "{text}");
    }
}

/// After a refusal the address is in back-off: until then no broker could be tried.
#[test]
fn with_all_brokers_down_retries_without_end_wait_between_attempts() {
    in_each_mode(|mode| {
        let cluster = brokers(2);
        kill_unused(&cluster, "broker-a");
        kill_unused(&cluster, "broker-b");
        let setup = builder(&cluster).send_timeout(ms(3000));
        let setup = setup.retries(u32::MAX).async_retries(u32::MAX);
        let error = error(mode.send(&setup.start().unwrap(), &message("x")));
        assert_eq!(error.fate(), SendFate::NotSent);
        let made = error.attempts_made();
        assert!((4..60).contains(&made), "{made} attempts: {error}");
    });
}

/// Asked for leave each time, and the second time in vain.
#[test]
fn a_hook_that_forbids_another_attempt_does_not_turn_a_doubtful_receipt_into_a_failure() {
    struct Once(AtomicUsize);
    impl CheckForbiddenHook for Once {
        fn check(&self, _: &SendContext) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => Ok(()),
                _ => Err("once is enough".into()),
            }
        }
    }
    for mode in MODES {
        let cluster = brokers(2);
        let not_ok = Fault::answer(11, "").after_storing();
        inject(&cluster, &not_ok.on(On::Send));
        let setup = builder(&cluster).retry_another_broker_when_not_stored(true);
        let hook = Once(AtomicUsize::new(0));
        let producer = setup.check_forbidden_hook(hook).start().unwrap();
        let receipt = mode.send(&producer, &message("x")).unwrap();
        assert_eq!(receipt.status(), SendStatus::SlaveNotAvailable);
        assert_eq!(cluster.message_count("T"), 1);
    }
}

#[test]
fn a_oneway_send_makes_one_attempt() {
    let cluster = brokers(2);
    kill_unused(&cluster, "broker-a");
    let producer = producer(&cluster);
    let (mut sent, mut refused) = (0, 0);
    for _ in 0..8 {
        match producer.send_oneway(&message("x")) {
            Ok(()) => sent += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
                assert_eq!(error.fate(), SendFate::NotSent);
                refused += 1;
            }
        }
    }
    assert_eq!((sent, refused), (4, 4));
    assert_eq!(cluster.wait_for_messages("T", 4, PATIENCE).len(), 4);
}
