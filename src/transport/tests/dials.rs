//! Requests of threads that do not wait for a dial.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use super::super::connection::retire;
use super::super::dial::{Dialler, Peer};
use super::*;

/// Ends the first connections before any request could use them.
struct Retiring(AtomicUsize);

impl Inbound for Retiring {
    fn connected(&self, connection: &Arc<Connection>) {
        let left = self.0.load(SeqCst);
        if left > 0 {
            self.0.store(left - 1, SeqCst);
            retire(connection, "peer is going away");
        }
    }

    fn request(&self, _: &Arc<Connection>, request: Command) -> Result<(), Command> {
        Err(request)
    }
}

/// The sender of a request: a thread that waits for the answer, one that does not, or a worker,
/// which does not wait for dials either.
#[derive(Debug, Clone, Copy)]
enum By {
    Waiting,
    Calling,
    Worker,
}

/// The outcome of a request if this many connections in a row are useless.
fn outcome(retiring: usize, by: By) -> Outcome {
    let (listener, address) = listener();
    let address: Arc<str> = address.to_string().into();
    let client = Client::with(None, Arc::new(Retiring(AtomicUsize::new(retiring))));
    let (tell, told) = crossbeam_channel::bounded(1);
    let remoting = client.remoting.clone();
    let send = move || {
        let request = Request::new(1, &());
        if let By::Waiting = by {
            tell.send(remoting.invoke(&address, &request, soon()))
                .unwrap();
            return;
        }
        let note = move |outcome: Outcome| {
            tell.send(outcome).unwrap();
            Next::Done
        };
        let (note, via) = (Box::new(note), Via::WriterThread);
        let dial = match by {
            By::Worker => Dial::Park,
            By::Waiting | By::Calling => Dial::Wait,
        };
        remoting.invoke_async(To::Address(&address), &request, soon(), via, dial, note);
    };
    // Only the last one is asked anything.
    let peer = thread::spawn(move || {
        let unused: Vec<_> = (0..retiring).map(|_| Link::accept(&listener)).collect();
        if retiring < 2 {
            let mut link = Link::accept(&listener);
            let request = link.requests(1);
            link.answer(&request, |_| b"here".to_vec());
            drop(link);
        }
        drop(unused);
    });
    match by {
        By::Worker => client.workers.retries.submit(Box::new(send)),
        By::Waiting | By::Calling => send(),
    }
    let outcome = told.recv_timeout(PATIENCE).expect("an outcome");
    peer.join().unwrap();
    outcome
}

#[test]
fn a_connection_that_ends_under_a_request_is_replaced_in_every_mode() {
    for by in [By::Waiting, By::Calling, By::Worker] {
        for retiring in [0, 1] {
            let answer = outcome(retiring, by).unwrap();
            assert_eq!(answer.body.to_vec(), b"here", "{retiring}, {by:?}");
        }
        // A peer without any usable connection is in back-off.
        let error = outcome(2, by).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
        assert_eq!(error.fate(), SendFate::NotSent, "{error}");
    }
}

type Told = crossbeam_channel::Receiver<Result<(), Error>>;

fn park(peer: &Arc<Peer>, dialler: &Arc<Dialler>) -> Told {
    let (tell, told) = crossbeam_channel::bounded(1);
    let then = move |dialled: Result<_, _>| tell.send(dialled.map(drop)).unwrap();
    peer.connect_parked(dialler, soon(), Box::new(then));
    told
}

/// A single peer, and its environment.
fn peer_at(address: SocketAddr) -> (Workers, Arc<Dialler>, Arc<Peer>) {
    let workers = Workers::start(1).unwrap();
    let shared = Arc::new(Shared::new(config(), workers.clone()));
    let dialler = Dialler::new(shared, Arc::new(Nobody), None);
    let peer = Peer::new(address.to_string().into());
    (workers, Arc::new(dialler), Arc::new(peer))
}

/// The dialling caller has no time left, and no thread can be started for the others.
#[test]
fn a_waiter_for_a_dial_is_answered_when_no_thread_can_be_started() {
    let (_listener, address) = listener();
    let (workers, dialler, peer) = peer_at(address);

    let lead = peer.begin_dial();
    let parked = [(); 2].map(|()| park(&peer, &dialler));
    workers.threads.leave_none(true);
    let passed = Deadline::after(Instant::now(), Duration::ZERO);
    let own = peer.dial(&dialler, passed, lead).map(drop).unwrap_err();
    assert_eq!(own.kind(), ErrorKind::Timeout, "{own}");
    for told in parked {
        let error = told.try_recv().expect("told by now").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.to_string().contains("no thread to connect with"));
    }
    assert!(!peer.is_awaited(), "no caller dials");

    // So is a caller that cannot start a thread for its dial.
    let error = park(&peer, &dialler).try_recv().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");

    workers.threads.leave_none(false);
    eventually("it works again", || {
        let told = park(&peer, &dialler).recv_timeout(PATIENCE);
        told.expect("told").is_ok()
    });
    peer.close(&Error::new(ErrorKind::Closed, "the test is over"));
    assert!(workers.end(soon()).is_empty());
}

/// A caller without time proves nothing about the address, which others may dial at once.
#[test]
fn a_dial_that_had_no_time_is_no_failure_of_the_address() {
    let (_listener, address) = listener();
    let (workers, dialler, peer) = peer_at(address);
    let lead = peer.begin_dial();
    let passed = Deadline::after(Instant::now(), Duration::ZERO);
    let own = peer.dial(&dialler, passed, lead).map(drop).unwrap_err();
    assert_eq!(own.kind(), ErrorKind::Timeout, "{own}");
    assert!(peer.dial_failure().is_none());
    assert!(peer.connect(&dialler, soon()).is_ok());
    peer.close(&Error::new(ErrorKind::Closed, "the test is over"));
    assert!(workers.end(soon()).is_empty());
}

/// Nothing else would answer: the dial may outlive the client, whose timer ends with it.
#[test]
fn a_waiter_for_a_dial_is_answered_when_the_client_ends() {
    let (_listener, address) = listener();
    let (workers, dialler, peer) = peer_at(address);
    let lead = peer.begin_dial();
    let parked = [(); 2].map(|()| park(&peer, &dialler));
    peer.close(&Error::new(ErrorKind::Closed, "the test is over"));
    for told in parked {
        let error = told.try_recv().expect("told by now").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    }
    // So are a later caller, and the dialling one.
    let error = park(&peer, &dialler).try_recv().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    let own = peer.dial(&dialler, soon(), lead).map(drop).unwrap_err();
    assert_eq!(own.kind(), ErrorKind::Closed, "{own}");
    assert!(workers.end(soon()).is_empty());
}

/// An address without a listener, as long as the connection that owns the port lives.
fn refusing() -> ([TcpStream; 2], SocketAddr) {
    let (listener, address) = listener();
    let taken = TcpStream::connect(address).unwrap();
    let (other, _) = listener.accept().unwrap();
    let address = taken.local_addr().unwrap();
    ([taken, other], address)
}

/// A refusal takes no time: without pauses, immediate retries would be a storm of dials.
#[test]
fn a_refused_address_is_dialled_with_pauses() {
    const THREADS: usize = 2;
    let (_taken, address) = refusing();
    let dials = Arc::new(AtomicUsize::new(0));
    let count = dials.clone();
    let client = Client::start(Some(Arc::new(move |_| {
        count.fetch_add(1, SeqCst);
        Ok(vec![address])
    })));
    let name: Arc<str> = "broker:10911".into();
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while dials.load(SeqCst) < 4 {
                    let error = client.call(&name, "x").unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
                    assert_eq!(error.fate(), SendFate::NotSent, "{error}");
                    let pause = error.retry_after().unwrap_or_default();
                    assert!(pause <= Duration::from_millis(500), "{pause:?}");
                    // Often, beside pauses of tens of milliseconds.
                    thread::sleep(Duration::from_millis(1));
                }
            });
        }
    });
    // 50, 100 and 200 ms lie between the first four, each up to a quarter less.
    let least = Duration::from_micros(37_500 + 75_000 + 150_000);
    assert!(start.elapsed() >= least, "{:?}", start.elapsed());
    // One that was about to try when the fourth began may be the fifth.
    assert!(dials.load(SeqCst) <= 5, "{dials:?}");
}

/// A name whose first address accepts and is silent: one send is late, the others go elsewhere.
#[test]
fn after_a_silent_address_of_a_name_the_next_connection_goes_to_another() {
    let ((silent, silent_address), (speaks, speaks_address)) = (listener(), listener());
    let (_taken, refusing_address) = refusing();
    let client = Client::start(Some(Arc::new(move |_| {
        Ok(vec![silent_address, refusing_address, speaks_address])
    })));
    let name: Arc<str> = "broker:10911".into();
    let serve = |listener: TcpListener, calls| {
        thread::spawn(move || {
            let mut link = Link::accept(&listener);
            for _ in 0..calls {
                let request = link.requests(1);
                link.answer(&request, |_| b"here".to_vec());
            }
            (listener, link)
        })
    };
    let held = thread::spawn(move || (Link::accept(&silent), silent));
    let serving = serve(speaks, 2);
    // Long enough to prove something about the peer.
    let deadline = Deadline::after(Instant::now(), Duration::from_millis(1500));
    let late = client
        .remoting
        .invoke(&name, &Request::new(1, &()), deadline)
        .unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout, "{late}");
    assert_eq!(client.call(&name, "x").unwrap(), "here");
    assert_eq!(client.call(&name, "x").unwrap(), "here");

    // It comes back, and is still the first: the silent one has not answered since.
    let (listener, link) = serving.join().unwrap();
    drop(link);
    eventually("the end is seen", || client.remoting.usable().is_empty());
    let serving = serve(listener, 1);
    assert_eq!(client.call(&name, "x").unwrap(), "here");
    let (_link, silent) = held.join().unwrap();
    silent.set_nonblocking(true).unwrap();
    assert!(silent.accept().is_err(), "it got another connection");
    drop(serving.join().unwrap());
}

/// As when a route loses and gets back a broker all the time: each request goes out, over whatever
/// connection, and is answered.
#[test]
fn an_address_that_is_forgotten_all_the_time_costs_no_answer() {
    const REQUESTS: usize = 2000;
    let (listener, address) = listener();
    let address: Arc<str> = address.to_string().into();
    let done = Arc::new(AtomicBool::new(false));
    let is_done = done.clone();
    let serve = move || {
        for socket in listener.incoming() {
            if is_done.load(SeqCst) {
                return;
            }
            let (mut socket, mut buffer) = (socket.unwrap(), Buffer::new());
            thread::spawn(move || {
                while buffer.fill(|room| socket.read(room)).is_ok_and(|n| n > 0) {
                    let mut bytes = Vec::new();
                    let answer = |request: Command| {
                        let answer = Command::response_to(&request, 0);
                        answer.encode(HeaderFormat::Json, &mut bytes);
                    };
                    buffer.take_commands(answer).unwrap();
                    if socket.write_all(&bytes).is_err() {
                        return;
                    }
                }
            });
        }
    };
    let serving = thread::spawn(serve);
    let client = Client::start(None);
    let (forget, to_forget) = crossbeam_channel::bounded(0);
    let (remoting, forgotten) = (client.remoting.clone(), address.clone());
    let forgetting = thread::spawn(move || {
        for spins in to_forget {
            // At another moment of the request each time.
            (0..spins).for_each(|_| std::hint::spin_loop());
            remoting.forget(&forgotten);
        }
    });
    for i in 0..REQUESTS {
        // One at a time: a request tries more than two connections.
        forget.send(i * 7 % 5000).unwrap();
        let answer = client.call(&address, "x");
        assert!(answer.is_ok(), "request {i}: {answer:?}");
    }
    drop(forget);
    forgetting.join().unwrap();
    done.store(true, SeqCst);
    drop(TcpStream::connect(&*address));
    serving.join().unwrap();
}
