use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use rocketmq_blocking::embedded::{Fault, On};
use rocketmq_blocking::hook::{
    CheckForbiddenHook, MessageType, SendContext, SendMessageHook, SendMode, SendOutcome,
};
use rocketmq_blocking::{Batch, ClientOptions, ErrorKind, Message, Producer, SendFate};

use crate::support::{PATIENCE, patient as builder, two_brokers};

/// Reports its calls to the test, with their threads.
struct Spy(Sender<(String, String)>);

fn spy() -> (Spy, Receiver<(String, String)>) {
    let (tell, told) = unbounded();
    (Spy(tell), told)
}

impl Spy {
    fn tell(&self, text: String) {
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        self.0.send((text, thread)).unwrap();
    }
}

impl SendMessageHook for Spy {
    fn before(&self, context: &SendContext) {
        assert!(!context.broker_address.is_empty());
        self.tell(format!(
            "before {:?} {}",
            context.mode,
            context.queue.broker()
        ));
    }

    fn after(&self, context: &SendContext, outcome: &SendOutcome<'_>) {
        let outcome = match outcome {
            SendOutcome::Stored(receipt) => format!("{}", receipt.status()),
            SendOutcome::Failed(error) => format!("{}", error.kind()),
            SendOutcome::Accepted => "accepted".to_owned(),
            other => panic!("{other:?}"),
        };
        self.tell(format!(
            "after {:?} {} {outcome}",
            context.mode,
            context.queue.broker()
        ));
    }
}

fn texts(told: &Receiver<(String, String)>, n: usize) -> Vec<String> {
    (0..n)
        .map(|_| told.recv_timeout(PATIENCE).unwrap().0)
        .collect()
}

#[test]
fn every_attempt_has_one_before_and_one_after_in_every_mode() {
    let cluster = two_brokers();
    let (spy, told) = spy();
    let producer = builder(&cluster).send_message_hook(spy).start().unwrap();
    let message = Message::new("T", "x");

    let busy = cluster
        .broker("broker-a")
        .inject(Fault::answer(14, "busy").on(On::Send));
    let first_to_a = loop {
        // In turn: of a few sends, one starts with broker-a.
        let receipt = producer.send(&message).unwrap();
        assert_eq!(receipt.queue().broker(), "broker-b");
        if receipt.attempts() == 2 {
            break texts(&told, 4);
        }
        texts(&told, 2);
    };
    assert_eq!(
        first_to_a,
        [
            "before Sync broker-a",
            "after Sync broker-a broker",
            "before Sync broker-b",
            "after Sync broker-b SEND_OK"
        ]
    );
    busy.remove();

    producer.send_oneway(&message).unwrap();
    let oneway = texts(&told, 2).join(";");
    assert!(
        oneway.starts_with("before Oneway") && oneway.ends_with("accepted"),
        "{oneway}"
    );

    let _ = producer.submit(message).wait().unwrap();
    let asynchronous = texts(&told, 2).join(";");
    assert!(asynchronous.starts_with("before Async"), "{asynchronous}");
    assert!(asynchronous.ends_with("SEND_OK"), "{asynchronous}");
    assert!(told.is_empty());
}

#[test]
fn the_after_hook_of_an_asynchronous_send_runs_on_a_callback_thread() {
    let cluster = two_brokers();
    let (spy, told) = spy();
    let producer = builder(&cluster).send_message_hook(spy).start().unwrap();
    let _ = producer.submit(Message::new("T", "x")).wait().unwrap();
    let threads: Vec<String> = (0..2)
        .map(|_| told.recv_timeout(PATIENCE).unwrap().1)
        .collect();
    assert_eq!(threads[1], "rmq-callback");
    assert_ne!(threads[0], "rmq-reader");
}

#[test]
fn a_hook_that_panics_does_not_fail_the_send() {
    struct Bad;
    impl SendMessageHook for Bad {
        fn before(&self, _: &SendContext) {
            panic!("before: a test's own panic");
        }
        fn after(&self, _: &SendContext, _: &SendOutcome<'_>) {
            panic!("after: a test's own panic");
        }
    }
    let cluster = two_brokers();
    let producer = builder(&cluster).send_message_hook(Bad).start().unwrap();
    let _ = producer.send(&Message::new("T", "x")).unwrap();
    let _ = producer.submit(Message::new("T", "x")).wait().unwrap();
}

#[test]
fn a_check_forbidden_hook_may_refuse_and_nothing_is_sent() {
    struct Guard(Arc<AtomicBool>);
    impl CheckForbiddenHook for Guard {
        fn check(&self, _: &SendContext) -> Result<(), Box<dyn Error + Send + Sync>> {
            match self.0.load(Ordering::Relaxed) {
                true => Err("closed on Sundays".into()),
                false => Ok(()),
            }
        }
    }
    let cluster = two_brokers();
    let sunday = Arc::new(AtomicBool::new(true));
    let producer = builder(&cluster)
        .check_forbidden_hook(Guard(sunday.clone()))
        .start()
        .unwrap();
    let message = Message::new("T", "x");
    let errors = [
        producer.send(&message).unwrap_err(),
        producer.send_oneway(&message).unwrap_err(),
        producer.submit(message.clone()).wait().unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("closed on Sundays"), "{error}");
    }
    assert!(cluster.requests(&On::Send).is_empty());
    sunday.store(false, Ordering::Relaxed);
    let _ = producer.send(&message).unwrap();
}

#[test]
fn hooks_see_the_kind_of_message() {
    struct Kinds(Sender<(MessageType, SendMode, usize)>);
    impl SendMessageHook for Kinds {
        fn before(&self, context: &SendContext) {
            let seen = (context.message_type, context.mode, context.body_len);
            self.0.send(seen).unwrap();
        }
    }
    let cluster = two_brokers();
    let (tell, told) = unbounded();
    let producer = builder(&cluster)
        .send_message_hook(Kinds(tell))
        .start()
        .unwrap();
    let _ = producer.send(&Message::new("T", "abc")).unwrap();
    assert_eq!(
        told.recv().unwrap(),
        (MessageType::Normal, SendMode::Sync, 3)
    );
    let _ = producer
        .send(&Message::new("T", "abc").delay_level(1))
        .unwrap();
    assert_eq!(
        told.recv().unwrap(),
        (MessageType::Delay, SendMode::Sync, 3)
    );
    // Level 0 is no delay.
    let _ = producer
        .send(&Message::new("T", "abc").delay_level(0))
        .unwrap();
    assert_eq!(told.recv().unwrap().0, MessageType::Normal);
    let batch = Batch::new([Message::new("T", "a"), Message::new("T", "b")]).unwrap();
    let _ = producer.send_batch(&batch).unwrap();
    assert_eq!(told.recv().unwrap().0, MessageType::Normal);
}

/// Shuts its producer down when it is shown an attempt.
#[derive(Default, Clone)]
struct Closes {
    producer: Arc<OnceLock<Producer>>,
    seen: Arc<Mutex<Vec<&'static str>>>,
}

impl SendMessageHook for Closes {
    fn before(&self, _: &SendContext) {
        self.seen.lock().unwrap().push("before");
        let producer = self.producer.get().unwrap();
        let _ = producer.shutdown_within(Duration::from_millis(50));
    }

    fn after(&self, _: &SendContext, _: &SendOutcome<'_>) {
        self.seen.lock().unwrap().push("after");
    }
}

#[test]
fn a_request_that_a_shutdown_stops_after_its_before_has_an_after_too() {
    let cluster = two_brokers();
    let hook = Closes::default();
    let builder = builder(&cluster).send_message_hook(hook.clone());
    let producer = hook.producer.get_or_init(|| builder.start().unwrap());
    let failed = producer.request(&Message::new("T", "x"), PATIENCE);
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(*hook.seen.lock().unwrap(), ["before", "after"]);
}

/// The waiting thread would call the hooks, and only then answer the handle.
#[test]
fn a_handle_waited_for_in_a_callback_ends_even_if_its_answer_needs_that_thread() {
    let cluster = two_brokers();
    let (spy, _told) = spy();
    let builder = builder(&cluster).send_message_hook(spy);
    let short = builder.send_timeout(Duration::from_secs(2));
    let producer = short
        .options(ClientOptions::new().callback_threads(1))
        .start()
        .unwrap();
    let (done, ended) = unbounded();
    let again = producer.clone();
    producer.send_async(Message::new("T", "first"), move |_| {
        let second = again.submit(Message::new("T", "second")).wait();
        drop(done.send(second));
    });
    let failed = ended.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Timeout);
    assert_eq!(failed.fate(), SendFate::MaybeStored);
    assert!(producer.shutdown_within(PATIENCE).is_clean());
}
