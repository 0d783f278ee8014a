//! When the timer ends a connection for what nobody waits for.

use super::*;

/// A connection that has served one request.
fn connected(client: &Client) -> (Link, Arc<Connection>) {
    let (listener, address) = listener();
    let address: Arc<str> = address.to_string().into();
    thread::scope(|scope| {
        let calling = scope.spawn(|| client.call(&address, "x"));
        let mut link = Link::accept(&listener);
        let requests = link.requests(1);
        link.answer(&requests, |_| Vec::new());
        calling.join().unwrap().unwrap();
        (link, client.remoting.usable().remove(0))
    })
}

#[test]
fn a_frame_that_leaves_just_when_the_timer_comes_after_a_long_rest_is_not_stuck() {
    let client = Client::start(None);
    let (_link, connection) = connected(&client);
    let come_by = |mark| {
        let written = connection.load().written_bytes;
        let patience = Duration::from_secs(1);
        connection.end_if_stuck(mark, written, Instant::now(), patience);
        connection.death().is_some()
    };
    eventually("all is written", || !connection.state.lock().writing);
    let mut state = connection.state.lock();
    let before = state.outbox.mark();
    state.outbox.push(b"frame", None, None, outbox::Due::Never);
    state.writing = true;
    let batch = state.outbox.take().unwrap();
    let since = state.outbox.mark();
    drop(state);
    assert!(!come_by(before), "what was there before has left long ago");
    assert!(come_by(since), "not a byte of it has left");
    let mut state = connection.state.lock();
    state.outbox.recycle(batch);
    state.writing = false;
}

#[cfg(feature = "tls")]
#[test]
fn what_a_session_has_to_say_does_not_wait_for_ever_either() {
    let client = Client::start(None);
    let (_link, connection) = connected(&client);
    assert!(!connection.state.lock().watched);
    connection.write_session_output();
    assert!(connection.state.lock().watched);
}
