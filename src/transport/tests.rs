//! Connections to a scripted peer.

use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::Claim;
use super::connection::Waiter;
use super::dial::Lookup;
use super::*;
use crate::error::{Error, ErrorKind, SendFate};
use crate::protocol::frame::Buffer;
use crate::protocol::{Command, HeaderFormat, Language};
use crate::sync::Mutex;

mod dials;
mod order;
mod parked;

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Takes part in nothing.
struct Nobody;

impl Inbound for Nobody {
    fn connected(&self, _: &Arc<Connection>) {}

    fn request(&self, _: &Arc<Connection>, request: Command) -> Result<(), Command> {
        Err(request)
    }
}

pub(super) struct Client {
    pub(super) remoting: Arc<Remoting>,
    workers: Workers,
}

fn config() -> RemotingConfig {
    RemotingConfig {
        connect_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        header_format: HeaderFormat::Json,
        language: Language::RUST,
        version: 0,
        hooks: Hooks::default(),
        tls: None,
    }
}

impl Client {
    pub(super) fn start(lookup: Option<Lookup>) -> Client {
        Client::with(lookup, Arc::new(Nobody))
    }

    fn with(lookup: Option<Lookup>, inbound: Arc<dyn Inbound>) -> Client {
        let workers = Workers::start(1).unwrap();
        let remoting = Remoting::new(config(), workers.clone(), inbound, lookup);
        Client {
            remoting: Arc::new(remoting),
            workers,
        }
    }

    pub(super) fn call(&self, address: &Arc<str>, body: &str) -> Result<String, Error> {
        let body = Arc::new(body.as_bytes().to_vec());
        let request = Request::new(1, &()).with_body(&body);
        let answer = self.remoting.invoke(address, &request, soon())?;
        Ok(String::from_utf8(answer.body.to_vec()).unwrap())
    }

    /// Begins a request with this number, and notes its outcome under it.
    fn begin(&self, address: &Arc<str>, opaque: i32, outcomes: &Outcomes) {
        self.remoting.shared().number_next(opaque);
        let body = Arc::new(opaque.to_string().into_bytes());
        let request = Request::new(1, &()).with_body(&body);
        let note = Box::new(Note(opaque, outcomes.clone()));
        let via = Via::WriterThread;
        self.remoting.invoke_async(
            To::Address(address),
            &request,
            soon(),
            via,
            Dial::Wait,
            note,
        );
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.remoting.close();
        let left = self.workers.end(soon());
        assert!(left.is_empty() || thread::panicking(), "{left:?}");
    }
}

type Outcomes = Arc<Mutex<HashMap<i32, Vec<Outcome>>>>;

struct Note(i32, Outcomes);

impl Completion for Note {
    fn complete(self: Box<Self>, outcome: Outcome, _: Instant) -> Next {
        self.1.lock().entry(self.0).or_default().push(outcome);
        Next::Done
    }
}

/// The other side of one connection.
pub(super) struct Link(TcpStream, Buffer);

impl Link {
    pub(super) fn accept(listener: &TcpListener) -> Link {
        let (socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Link(socket, Buffer::new())
    }

    pub(super) fn requests(&mut self, count: usize) -> Vec<Command> {
        let mut requests = Vec::new();
        while requests.len() < count {
            let read = self.1.fill(|buffer| self.0.read(buffer)).unwrap();
            assert!(read > 0, "only {} requests came", requests.len());
            self.1
                .take_commands(|request| requests.push(request))
                .unwrap();
        }
        requests
    }

    pub(super) fn answer(&mut self, requests: &[Command], body: impl Fn(&Command) -> Vec<u8>) {
        let mut bytes = Vec::new();
        for request in requests {
            let answer = Command::response_to(request, 0).with_body(body(request));
            answer.encode(HeaderFormat::Json, &mut bytes);
        }
        self.0.write_all(&bytes).unwrap();
    }
}

pub(super) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub(super) fn soon() -> Deadline {
    Deadline::after(Instant::now(), PATIENCE)
}

#[track_caller]
pub(super) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        thread::yield_now();
    }
}

/// As many as may be in flight, half of them before the numbers wrap and half after.
#[test]
fn numbers_that_wrap_with_65535_in_flight_mix_up_no_answers() {
    const COUNT: usize = 65_535;
    let (listener, address) = listener();
    let address: Arc<str> = address.to_string().into();
    let peer = thread::spawn(move || {
        let mut link = Link::accept(&listener);
        let mut requests = link.requests(COUNT);
        // Another order than that in which they came: first the later half, then both from behind.
        requests.rotate_left(COUNT / 2);
        requests.reverse();
        for some in requests.chunks(1000) {
            link.answer(some, |request| request.body.to_vec());
        }
        let numbers: BTreeSet<i32> = requests.iter().map(|r| r.opaque).collect();
        (numbers, link)
    });
    let client = Client::start(None);
    let outcomes = Outcomes::default();
    let first = i32::MAX - (COUNT / 2) as i32;
    for i in 0..COUNT {
        client.begin(&address, first.wrapping_add(i as i32), &outcomes);
    }
    let (numbers, _link) = peer.join().unwrap();
    assert_eq!(numbers.len(), COUNT);
    assert!(numbers.contains(&i32::MAX) && numbers.contains(&i32::MIN));
    eventually("all are answered", || outcomes.lock().len() == COUNT);
    for (number, outcomes) in &*outcomes.lock() {
        let [Ok(answer)] = &outcomes[..] else {
            panic!("{number}: {outcomes:?}");
        };
        assert_eq!(answer.opaque, *number);
        assert_eq!(answer.body.to_vec(), number.to_string().into_bytes());
    }
}

/// A continuation is ours and ought not to panic; the answers behind it came in the same read.
#[test]
fn a_continuation_that_panics_loses_no_other_answer_and_no_connection() {
    struct Panics;
    impl Completion for Panics {
        fn complete(self: Box<Self>, _: Outcome, _: Instant) -> Next {
            panic!("a test's own panic")
        }
    }
    let (listener, address) = listener();
    let address: Arc<str> = address.to_string().into();
    let client = Client::start(None);
    let outcomes = Outcomes::default();
    let body = Arc::new(Vec::new());
    let request = Request::new(1, &()).with_body(&body);
    let via = Via::WriterThread;
    let panics = Box::new(Panics);
    client.remoting.invoke_async(
        To::Address(&address),
        &request,
        soon(),
        via,
        Dial::Wait,
        panics,
    );
    (100..103).for_each(|number| client.begin(&address, number, &outcomes));
    let mut link = Link::accept(&listener);
    let requests = link.requests(4);
    link.answer(&requests, |_| Vec::new());
    eventually("all others are answered", || outcomes.lock().len() == 3);
    client.begin(&address, 103, &outcomes);
    let request = link.requests(1);
    link.answer(&request, |_| Vec::new());
    eventually("the connection goes on", || outcomes.lock().len() == 4);
    assert!(outcomes.lock().values().all(|of| of[0].is_ok()));
}

#[test]
fn a_handler_of_broker_requests_that_panics_harms_no_answer() {
    struct Panics;
    impl Inbound for Panics {
        fn connected(&self, _: &Arc<Connection>) {}

        fn request(&self, _: &Arc<Connection>, _: Command) -> Result<(), Command> {
            panic!("a test's own panic")
        }
    }
    let (listener, address) = listener();
    let address: Arc<str> = address.to_string().into();
    let client = Client::with(None, Arc::new(Panics));
    let outcomes = Outcomes::default();
    client.begin(&address, 1, &outcomes);
    let mut link = Link::accept(&listener);
    let request = link.requests(1);
    let mut bytes = Vec::new();
    Command::request(39).encode(HeaderFormat::Json, &mut bytes);
    link.0.write_all(&bytes).unwrap();
    link.answer(&request, |_| Vec::new());
    eventually("the answer is read", || !outcomes.lock().is_empty());
    assert!(outcomes.lock()[&1][0].is_ok());
}

/// Its thread waits without a bound once its waiter is taken.
#[test]
fn a_dropped_claim_is_an_answer() {
    let waiter = Arc::new(Waiter::new());
    drop(Claim(waiter.clone()));
    let error = waiter.take().unwrap_err();
    assert_eq!(error.fate(), SendFate::MaybeStored, "{error}");
    let waiter = Arc::new(Waiter::new());
    Claim(waiter.clone()).answer(Ok(Command::request(7)));
    assert_eq!(waiter.take().unwrap().code, 7);
}

/// Four billion requests later.
#[test]
fn a_number_that_is_still_waited_for_is_not_given_out_again() {
    let (listener, address) = listener();
    let address: Arc<str> = address.to_string().into();
    let client = Client::start(None);
    let (old, new) = (Outcomes::default(), Outcomes::default());
    client.begin(&address, i32::MIN, &old);
    let mut link = Link::accept(&listener);
    let request = link.requests(1);
    client.begin(&address, i32::MIN, &new);
    match &new.lock()[&i32::MIN][..] {
        [Err(error)] => {
            assert_eq!(error.kind(), ErrorKind::Busy);
            assert_eq!(error.fate(), SendFate::NotSent);
        }
        other => panic!("{other:?}"),
    }
    assert!(old.lock().is_empty());
    link.answer(&request, |_| b"old".to_vec());
    eventually("the old one has its answer", || {
        old.lock().get(&i32::MIN).is_some_and(|o| o[0].is_ok())
    });
}

#[test]
fn a_name_whose_address_changes_is_found_at_the_next_dial() {
    let (before, before_address) = listener();
    let (after, after_address) = listener();
    let now = Arc::new(Mutex::new(vec![before_address]));
    let known = now.clone();
    let client = Client::start(Some(Arc::new(move |name| {
        assert_eq!(name, "broker:10911");
        Ok(known.lock().clone())
    })));
    let name: Arc<str> = "broker:10911".into();
    let serve = |listener: TcpListener, calls, text: &'static [u8]| {
        thread::spawn(move || {
            let mut link = Link::accept(&listener);
            for _ in 0..calls {
                let request = link.requests(1);
                link.answer(&request, |_| text.to_vec());
            }
            // The listener stays open: a dial to the old address would succeed.
            (listener, link)
        })
    };
    let old = serve(before, 2, b"before");
    assert_eq!(client.call(&name, "a").unwrap(), "before");
    *now.lock() = vec![after_address];
    // A connection that works is kept.
    assert_eq!(client.call(&name, "b").unwrap(), "before");
    let (listener, link) = old.join().unwrap();
    drop(link);
    eventually("the end is seen", || client.remoting.usable().is_empty());
    let new = serve(after, 1, b"after");
    assert_eq!(client.call(&name, "c").unwrap(), "after");
    drop((listener, new.join().unwrap()));
}

/// A peer that sends requests and does not read the answers fills a bounded buffer: further
/// requests are not answered.
#[test]
fn answers_that_a_peer_does_not_read_do_not_pile_up() {
    const REQUESTS: usize = 200_000;
    /// The bound, and one more answer.
    const MOST: u64 = (4 << 20) + 1024;
    let (listener, address) = listener();
    let address: Arc<str> = address.to_string().into();
    let client = Client::start(None);
    let outcomes = Outcomes::default();
    client.begin(&address, 1, &outcomes);
    let mut link = Link::accept(&listener);
    let request = link.requests(1);
    let connection = client.remoting.usable().remove(0);
    let mut bytes = Vec::new();
    Command::request(9999).encode(HeaderFormat::Json, &mut bytes);
    let some = bytes.repeat(1000);
    let mut most = 0;
    for _ in 0..REQUESTS / 1000 {
        // In vain once the client has given up a peer that does not read, which is as good.
        let _ = link.0.write_all(&some);
        most = most.max(connection.load().queued_bytes);
    }
    bytes.clear();
    Command::response_to(&request[0], 0).encode(HeaderFormat::Json, &mut bytes);
    let _ = link.0.write_all(&bytes);
    eventually("all before the answer was read", || {
        most = most.max(connection.load().queued_bytes);
        !outcomes.lock().is_empty()
    });
    assert!(most <= MOST, "{most} bytes wait");
}

/// The address is no longer used, and nothing is left of the connection: neither its file nor its
/// memory.
#[test]
fn a_connection_that_ends_is_let_go_at_once() {
    let (listener, address) = listener();
    let address: Arc<str> = address.to_string().into();
    let client = Client::start(None);
    let mut weak: Weak<Connection> = Weak::new();
    for _ in 0..2 {
        let peer = thread::spawn({
            let listener = listener.try_clone().unwrap();
            move || {
                let mut link = Link::accept(&listener);
                let request = link.requests(1);
                link.answer(&request, |_| Vec::new());
                link
            }
        });
        client.call(&address, "x").unwrap();
        assert!(weak.upgrade().is_none());
        weak = Arc::downgrade(&client.remoting.usable()[0]);
        assert!(weak.upgrade().is_some());
        drop(peer.join().unwrap());
        eventually("it is let go", || weak.upgrade().is_none());
    }
}
