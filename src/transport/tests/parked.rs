//! Long polls: requests that a peer answers late.

use std::sync::atomic::Ordering::SeqCst;

use super::super::connection::end_if_idle;
use super::*;
use crate::error::Wait;

const PARKED: usize = 64;

fn in_an_hour() -> Deadline {
    Deadline::after(Instant::now(), Duration::from_secs(3600))
}

/// Begins a parked request with this number, and notes its outcome under it.
fn park(client: &Client, address: &Arc<str>, opaque: i32, deadline: Deadline, outcomes: &Outcomes) {
    client.remoting.shared().number_next(opaque);
    let request = Request::new(11, &()).parked();
    let note = Box::new(Note(opaque, outcomes.clone()));
    let via = Via::WriterThread;
    client.remoting.invoke_async(
        To::Address(address),
        &request,
        deadline,
        via,
        Dial::Wait,
        note,
    );
}

/// So many polls on one connection, which the peer has all read.
fn parked(client: &Client, count: usize, outcomes: &Outcomes) -> (Link, Arc<str>, TcpListener) {
    let (listener, address) = listener();
    let address: Arc<str> = address.to_string().into();
    for number in 0..count {
        park(client, &address, number as i32, in_an_hour(), outcomes);
    }
    client.remoting.shared().number_next(1000);
    if count == 0 {
        let _made = client.remoting.connect(&address, soon()).unwrap();
    }
    let mut link = Link::accept(&listener);
    assert_eq!(link.requests(count).len(), count);
    (link, address, listener)
}

fn assert_all_disconnected(outcomes: &Outcomes, count: usize) {
    eventually("all are answered", || outcomes.lock().len() == count);
    for outcomes in outcomes.lock().values() {
        let [Err(error)] = &outcomes[..] else {
            panic!("{outcomes:?}");
        };
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    }
}

/// The cost of sends beside this many parked requests: writes of the socket, and pauses of threads.
fn cost_beside(count: usize) -> (u64, usize) {
    const SENDS: i32 = 50;
    let client = Client::start(None);
    let outcomes = Outcomes::default();
    let (mut link, address, _listener) = parked(&client, count, &outcomes);
    let connection = client.remoting.usable().remove(0);
    eventually("the writer thread rests", || connection.is_writer_idle());
    let load = connection.load();
    assert_eq!((load.in_flight, load.parked), (0, count));
    let pauses = connection.pauses.load(SeqCst);
    let peer = thread::spawn(move || {
        for _ in 0..2 * SENDS {
            let request = link.requests(1);
            link.answer(&request, |_| Vec::new());
        }
        link
    });
    for _ in 0..SENDS {
        client.call(&address, "x").unwrap();
    }
    let answers = Outcomes::default();
    for i in 0..SENDS {
        client.begin(&address, 2000 + i, &answers);
        let all = i as usize + 1;
        eventually("it is answered", || answers.lock().len() == all);
    }
    let _link = peer.join().unwrap();
    assert!(outcomes.lock().is_empty(), "they are parked still");
    let writes = connection.load().writes - load.writes;
    (writes, connection.pauses.load(SeqCst) - pauses)
}

#[test]
fn sends_beside_64_parked_requests_cost_no_pause_and_no_write_more() {
    let alone = cost_beside(0);
    assert_eq!(alone, (100, 0));
    assert_eq!(cost_beside(PARKED), alone);
}

#[test]
fn parked_requests_are_answered_at_the_end_of_their_connection() {
    let client = Client::start(None);
    let outcomes = Outcomes::default();
    let (link, ..) = parked(&client, PARKED, &outcomes);
    drop(link);
    assert_all_disconnected(&outcomes, PARKED);
}

/// The send that gets GO_AWAY continues over a new connection, and nothing waits for the polls.
#[test]
fn go_away_moves_on_at_once_although_64_requests_are_parked() {
    let client = Client::start(None);
    let outcomes = Outcomes::default();
    let (mut link, address, listener) = parked(&client, PARKED, &outcomes);
    let old = client.remoting.usable().remove(0);
    let peer = thread::spawn(move || {
        let request = link.requests(1);
        let mut bytes = Vec::new();
        let answer = Command::response_to(&request[0], crate::protocol::code::response::GO_AWAY);
        answer.encode(HeaderFormat::Json, &mut bytes);
        link.0.write_all(&bytes).unwrap();
        let mut next = Link::accept(&listener);
        let request = next.requests(1);
        next.answer(&request, |_| b"here".to_vec());
        // The client itself has closed the old one.
        let end = link.1.fill(|buffer| link.0.read(buffer));
        (end.unwrap(), next)
    });
    assert_eq!(client.call(&address, "x").unwrap(), "here");
    assert_all_disconnected(&outcomes, PARKED);
    let (end, _next) = peer.join().unwrap();
    assert_eq!(end, 0);
    assert!(old.death().is_some());
}

#[test]
fn a_forgotten_address_does_not_wait_for_parked_requests_but_for_others() {
    let client = Client::start(None);
    let (polls, sends) = (Outcomes::default(), Outcomes::default());
    let (mut link, address, _listener) = parked(&client, PARKED, &polls);
    client.begin(&address, 2000, &sends);
    let request = link.requests(1);
    client.remoting.forget(&address);
    link.answer(&request, |_| Vec::new());
    eventually("the send is answered", || !sends.lock().is_empty());
    assert!(sends.lock()[&2000][0].is_ok());
    assert!(polls.lock().is_empty());
    // The thread that wrote the request may not have noted yet that it is done.
    eventually("it is forgotten", || {
        client.remoting.forget(&address);
        client.remoting.usable().is_empty()
    });
    assert_all_disconnected(&polls, PARKED);
}

#[test]
fn an_idle_connection_is_closed_although_requests_are_parked_but_not_others() {
    const IDLE: Duration = Duration::from_secs(100);
    let client = Client::start(None);
    let (polls, sends) = (Outcomes::default(), Outcomes::default());
    let (mut link, address, _listener) = parked(&client, PARKED, &polls);
    let connection = client.remoting.usable().remove(0);
    client.begin(&address, 2000, &sends);
    let request = link.requests(1);
    let now = Instant::now();
    end_if_idle(&connection, now, IDLE);
    end_if_idle(&connection, now + 2 * IDLE, IDLE);
    assert!(connection.death().is_none(), "an answer is due");
    link.answer(&request, |_| Vec::new());
    eventually("the send is answered", || !sends.lock().is_empty());
    eventually("the writer thread rests", || connection.is_writer_idle());
    end_if_idle(&connection, now + 3 * IDLE, IDLE);
    assert!(connection.death().is_none(), "bytes were read");
    end_if_idle(&connection, now + 5 * IDLE, IDLE);
    assert_all_disconnected(&polls, PARKED);
}

/// The first poll's deadline has passed. Its time is long enough to prove something about the peer.
fn first_poll_expires(speaks: bool) -> (Outcomes, Arc<Connection>, impl Sized) {
    let client = Client::start(None);
    let outcomes = Outcomes::default();
    let (mut link, address, listener) = parked(&client, 1, &outcomes);
    let connection = client.remoting.usable().remove(0);
    let deadline = Deadline::after(Instant::now(), Duration::from_millis(2400));
    park(&client, &address, 500, deadline, &outcomes);
    link.requests(1);
    if speaks {
        thread::scope(|scope| {
            let calling = scope.spawn(|| client.call(&address, "x").unwrap());
            let request = link.requests(1);
            link.answer(&request, |_| Vec::new());
            calling.join().unwrap();
        });
    }
    eventually("its time is up", || outcomes.lock().contains_key(&500));
    (outcomes, connection, (client, link, listener))
}

/// A link that has died silently.
#[test]
fn a_parked_request_that_expires_in_silence_ends_the_connection() {
    let (outcomes, connection, _all) = first_poll_expires(false);
    eventually("all are answered", || outcomes.lock().len() == 2);
    let outcomes = outcomes.lock();
    let error = |number| outcomes[&number][0].as_ref().unwrap_err();
    assert_eq!(error(500).wait(), Some(Wait::Response));
    assert_eq!(error(0).kind(), ErrorKind::Disconnected);
    assert!(connection.death().is_some());
}

#[test]
fn a_parked_request_that_expires_while_the_peer_answers_fails_alone() {
    let (outcomes, connection, _all) = first_poll_expires(true);
    let outcomes = outcomes.lock();
    let error = outcomes[&500][0].as_ref().unwrap_err();
    assert_eq!(error.wait(), Some(Wait::Response), "{error}");
    assert_eq!(outcomes.len(), 1, "the other one is parked still");
    assert!(connection.death().is_none());
    assert_eq!(connection.load().parked, 1);
}
