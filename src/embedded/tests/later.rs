use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use super::client::{Client, PATIENCE};
use crate::embedded::clock::Clock;
use crate::embedded::server::{
    Answer, Call, Common, Connections, Responder, Server, Service, bind,
};
use crate::protocol::Command;

/// Answers nothing itself.
struct KeepAll(Sender<(Responder, Command)>);

impl Service for KeepAll {
    fn handle(&self, call: Call<'_>) -> Answer {
        let request = Command::clone(call.request);
        self.0.send((call.later(), request)).unwrap();
        Answer::Later
    }
}

struct Setup {
    calls: Receiver<(Responder, Command)>,
    connections: Arc<Connections>,
    common: Arc<Common>,
    server: Server,
    client: Client,
}

fn start() -> Setup {
    let (sender, calls) = unbounded();
    let common = Arc::new(Common::new(false, false, 493, Clock::new(true)));
    let connections = Arc::new(Connections::new(493));
    let server = Server::start(
        "test".into(),
        bind(0).unwrap(),
        Arc::new(KeepAll(sender)),
        Arc::clone(&connections),
        Arc::clone(&common),
    )
    .unwrap();
    Setup {
        calls,
        connections,
        common,
        client: Client::connect(server.address()),
        server,
    }
}

impl Setup {
    /// Sends requests with these codes, and gets what the service has of them.
    fn requests<const N: usize>(&mut self, codes: [i32; N]) -> [(Responder, Command); N] {
        let sent = codes.map(|code| self.client.write(&Command::request(code)));
        sent.map(|opaque| {
            let call = self.calls.recv_timeout(PATIENCE).unwrap();
            assert_eq!(call.1.opaque, opaque);
            call
        })
    }
}

fn answer(to: &(Responder, Command), code: i32) -> bool {
    to.0.answer_with(|| Command::response_to(&to.1, code))
}

#[test]
fn requests_are_answered_in_any_order_by_any_thread_and_each_once() {
    let mut at = start();
    let calls = at.requests([1, 2, 3]);
    assert_eq!(at.common.held(), 3);
    for call in calls.iter().rev() {
        let other = call.clone();
        let answered = std::thread::spawn(move || answer(&other, 7)).join();
        assert!(answered.unwrap());
        assert!(!call.0.is_open() && !answer(call, 8));
    }
    for call in calls.iter().rev() {
        let read = at.client.read();
        assert_eq!((read.opaque, read.code), (call.1.opaque, 7));
    }
    assert_eq!(at.common.held(), 0);
    assert!(at.connections.push(0, Command::request(40)).is_some());
    assert_eq!(at.client.read().code, 40, "and no second answer");
}

#[test]
fn a_responder_that_is_dropped_answers_nothing() {
    let mut at = start();
    let [dropped, kept] = at.requests([1, 2]);
    let clone = dropped.0.clone();
    drop(dropped);
    assert_eq!(at.common.held(), 2, "there is a clone");
    drop(clone);
    assert_eq!(at.common.held(), 1);
    answer(&kept, 0);
    assert_eq!(at.client.read().opaque, kept.1.opaque);
}

#[test]
fn values_kept_by_a_responder_live_as_long_as_the_request() {
    let mut at = start();
    let [answered, forgotten] = at.requests([1, 2]);
    let watch = |responder: &Responder| {
        let (guard, gone) = unbounded::<()>();
        responder.keep(guard);
        gone
    };
    let ends = [watch(&answered.0), watch(&forgotten.0)];
    answer(&answered, 0);
    assert_eq!(ends[0].try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(ends[1].try_recv(), Err(TryRecvError::Empty));
    at.server.stop();
    assert_eq!(ends[1].try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(at.common.held(), 0);
    assert!(!forgotten.0.is_open() && !answer(&forgotten, 0));
    // Too late to keep anything.
    let late = watch(&forgotten.0);
    assert_eq!(late.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn nothing_goes_out_over_a_connection_that_is_not_there() {
    let mut at = start();
    let _calls = at.requests([1]);
    assert!(at.connections.push(99, Command::request(40)).is_none());
    at.server.stop();
    assert!(at.connections.push(0, Command::request(40)).is_none());
    assert!(at.client.try_read().is_none());
}
