use std::error::Error as StdError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rocketmq_blocking::embedded::{Cluster, Fault, On};
use rocketmq_blocking::hook::{RpcHook, RpcRequest, RpcResponse};
use rocketmq_blocking::{ClientOptions, Error, ErrorKind, SendFate};

use super::*;

type Refusal = Box<dyn StdError + Send + Sync>;

/// Number and code of a request, what came of it, and the thread that heard of it.
type Answered = (usize, i32, String, String);

/// Numbers the requests, and notes what came of them.
#[derive(Debug, Default, Clone)]
struct Numbering {
    next: Arc<AtomicUsize>,
    answered: Arc<Mutex<Vec<Answered>>>,
}

impl RpcHook for Numbering {
    fn before(&self, request: &mut RpcRequest) -> Result<(), Refusal> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        request.set_field("number", &number.to_string());
        Ok(())
    }

    fn after(&self, request: &RpcRequest, outcome: Result<RpcResponse<'_>, &Error>) {
        let number = request.field("number").unwrap().parse().unwrap();
        let outcome = match outcome {
            Ok(answer) => answer.code().number().to_string(),
            Err(error) => error.kind().to_string(),
        };
        let thread = thread::current().name().unwrap_or_default().to_owned();
        let entry = (number, request.code(), outcome, thread);
        self.answered.lock().unwrap().push(entry);
    }
}

impl Numbering {
    fn of_code(&self, code: i32) -> Vec<Answered> {
        let all = self.answered.lock().unwrap().clone();
        all.into_iter().filter(|entry| entry.1 == code).collect()
    }
}

/// Does one thing to requests of one code.
#[derive(Debug)]
struct Rude {
    code: i32,
    panics_before: bool,
    panics_after: bool,
}

impl RpcHook for Rude {
    fn before(&self, request: &mut RpcRequest) -> Result<(), Refusal> {
        if request.code() != self.code || self.panics_after {
            return Ok(());
        }
        assert!(!self.panics_before, "a test's own panic");
        Err("not today".into())
    }

    fn after(&self, _: &RpcRequest, _: Result<RpcResponse<'_>, &Error>) {
        assert!(!self.panics_after, "a test's own panic");
    }
}

fn refusing(code: i32) -> Rude {
    Rude {
        code,
        panics_before: false,
        panics_after: false,
    }
}

#[test]
fn hooks_see_every_request_of_every_kind() {
    let cluster = Cluster::start().unwrap();
    let hook = Numbering::default();
    let producer = builder(&cluster)
        .options(ClientOptions::new().rpc_hook(hook.clone()))
        .start()
        .unwrap();
    send_in_all_modes(&producer);
    let requests = all_requests(&cluster);
    let number = |r| {
        field(r, "number")
            .expect("every request has one")
            .parse()
            .unwrap()
    };
    let mut numbers: Vec<usize> = requests.iter().map(number).collect();
    numbers.sort_unstable();
    let all: Vec<usize> = (0..hook.next.load(Ordering::Relaxed)).collect();
    assert_eq!(numbers, all, "once each");
    let mut answered: Vec<usize> = hook.answered.lock().unwrap().iter().map(|a| a.0).collect();
    answered.sort_unstable();
    let oneway = |r: &&ReceivedRequest| !r.command().is_oneway();
    let mut expected: Vec<usize> = requests.iter().filter(oneway).map(number).collect();
    expected.sort_unstable();
    assert_eq!(answered, expected, "all but the oneway one have an outcome");
}

#[test]
fn after_runs_where_it_may_wait_and_before_the_result_goes_on() {
    let cluster = Cluster::start().unwrap();
    let hook = Numbering::default();
    let producer = builder(&cluster)
        .options(ClientOptions::new().rpc_hook(hook.clone()))
        .start()
        .unwrap();
    let _ = producer.send(&message("x")).unwrap();
    let here = thread::current().name().unwrap().to_owned();
    assert_eq!(hook.of_code(SEND)[0].3, here);
    let (done, results) = crossbeam_channel::bounded(1);
    let seen = hook.clone();
    producer.send_async(message("x"), move |result| {
        let _ = result.unwrap();
        done.send(seen.of_code(SEND)).unwrap();
    });
    let by_then = results.recv_timeout(PATIENCE).unwrap();
    assert_eq!(by_then.len(), 2, "the callback comes last");
    assert!(by_then[1].3.starts_with("rmq-callback"), "{by_then:?}");
}

#[test]
fn a_request_that_a_hook_refuses_is_not_sent_nor_tried_again() {
    let cluster = Cluster::start().unwrap();
    let hook = Numbering::default();
    let first = builder(&cluster).options(ClientOptions::new().rpc_hook(hook.clone()));
    let producer = first
        .options(ClientOptions::new().rpc_hook(refusing(SEND)))
        .start()
        .unwrap();
    let outcomes = [
        producer.send(&message("x")).unwrap_err(),
        producer.submit(message("x")).wait().unwrap_err(),
        producer.send_oneway(&message("x")).unwrap_err(),
    ];
    for error in outcomes {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.fate(), SendFate::NotSent);
        assert!(error.attempts().len() <= 1, "{error}");
        let text = error.to_string();
        assert!(
            text.contains("Rude refused the request: not today"),
            "{text}"
        );
    }
    assert!(cluster.requests(&On::Send).is_empty());
    let heard: Vec<_> = hook
        .of_code(SEND)
        .into_iter()
        .map(|entry| entry.2)
        .collect();
    assert_eq!(
        heard,
        ["invalid", "invalid"],
        "the oneway one has no outcome"
    );
}

#[test]
fn a_hook_that_refuses_a_name_server_request_is_named() {
    let cluster = Cluster::builder().name_servers(2).start().unwrap();
    let hooked = builder(&cluster).options(ClientOptions::new().rpc_hook(refusing(GET_ROUTE)));
    let error = hooked.start().unwrap().send(&message("x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("not today"), "{error}");
    assert!(cluster.requests(&On::Any).is_empty());
}

#[test]
fn the_panic_of_a_hook_is_an_error_before_a_request_and_nothing_after_it() {
    let cluster = Cluster::start().unwrap();
    let before = Rude {
        panics_before: true,
        ..refusing(SEND)
    };
    let producer = builder(&cluster)
        .options(ClientOptions::new().rpc_hook(before))
        .start()
        .unwrap();
    let error = producer.send(&message("x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("panicked"), "{error}");
    let after = Rude {
        panics_after: true,
        ..refusing(SEND)
    };
    let producer = builder(&cluster)
        .options(ClientOptions::new().rpc_hook(after))
        .start()
        .unwrap();
    send_in_all_modes(&producer);
}

#[test]
fn every_attempt_and_every_resend_is_a_separate_request() {
    let cluster = Cluster::start().unwrap();
    let broker = cluster.broker("broker-a");
    broker.inject(Fault::answer(2, "busy").on(On::Send).once());
    broker.inject(Fault::go_away().on(On::Send).once());
    let hook = Numbering::default();
    let producer = builder(&cluster)
        .options(ClientOptions::new().rpc_hook(hook.clone()))
        .start()
        .unwrap();
    let receipt = producer.send(&message("x")).unwrap();
    assert_eq!(receipt.attempts(), 2, "a resend is not counted");
    let sent = cluster.requests(&On::Send);
    let answered = hook.of_code(SEND);
    let numbers: Vec<_> = sent.iter().map(|r| field(r, "number")).collect();
    let heard: Vec<_> = answered.iter().map(|a| Some(a.0.to_string())).collect();
    assert_eq!(numbers, heard);
    let codes: Vec<_> = answered.iter().map(|a| &*a.2).collect();
    assert_eq!(codes, ["2", "1500", "0"]);
}

#[test]
fn a_lost_answer_is_an_outcome_too() {
    let cluster = Cluster::start().unwrap();
    cluster
        .broker("broker-a")
        .inject(Fault::hang_up().on(On::Send));
    let hook = Numbering::default();
    let producer = builder(&cluster).options(ClientOptions::new().rpc_hook(hook.clone()));
    let producer = producer.async_retries(0).start().unwrap();
    let error = producer.submit(message("x")).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert_eq!(hook.of_code(SEND)[0].2, "disconnected");
}
