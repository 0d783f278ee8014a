use std::time::Duration;

use super::*;
use crate::client::{Client, ClientOptions};
use crate::embedded::Cluster;
use crate::error::SendFate;
use crate::message::Message;
use crate::send::{Content, SendConfig};

/// Drops a send in flight, and returns its callback's result.
fn forget_one(engine: &Arc<Engine>) -> Error {
    let message = Message::new("Orders", "x");
    let timeout = Duration::from_secs(20);
    let call = SendCall::new(Content::Message(&message), None, timeout);
    let prepared = PreparedMessage::new(engine, &call, String::new()).expect("a message");
    let (choice, deadline) = (call.choice, call.deadline);
    let flow = SendFlow::new(engine, prepared, choice, deadline, SendMode::Async);
    let (tell, told) = crossbeam_channel::bounded(1);
    let callback = Box::new(move |result| tell.send(result).expect("one"));
    let forgotten = AsyncSend {
        flow: flow.expect("a route"),
        listener: Some(Listener::uncounted(Recipient::Callback(callback))),
        permit: None,
        next: Work::Nothing,
    };
    drop(forgotten);
    told.recv().expect("an answer").expect_err("no receipt")
}

#[test]
fn a_dropped_send_reports_that_its_message_may_be_stored() {
    let cluster = Cluster::start().expect("ports");
    let options = ClientOptions::new().name_server(cluster.name_server());
    let client = Client::start(options).expect("started");
    let engine = Engine::new(SendConfig::new("g".to_owned()), client);
    let lost = forget_one(&Arc::new(engine));
    assert_eq!(lost.kind(), ErrorKind::Disconnected, "{lost}");
    assert_eq!(lost.fate(), SendFate::MaybeStored);
    assert!(lost.to_string().contains("bug of this crate"), "{lost}");
}
