//! Requests of threads that do not wait for a dial.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::super::peer::Peer;
use super::super::shared::Shared;
use super::*;

/// Has the first connections at their end before anybody could use them.
struct Retiring(AtomicUsize);

impl Inbound for Retiring {
    fn connected(&self, connection: &Arc<Connection>) {
        let left = self.0.load(SeqCst);
        if left > 0 {
            self.0.store(left - 1, SeqCst);
            connection.retire();
        }
    }

    fn request(&self, _: &Arc<Connection>, request: Command) -> Result<(), Command> {
        Err(request)
    }
}

/// What becomes of a request if so many connections in a row are of no use: one that is sent by the
/// calling thread, or by a worker that does not wait for dials.
fn outcome(retiring: usize, by_worker: bool) -> Outcome {
    let (listener, address) = listener();
    let address: Arc<str> = address.to_string().into();
    let client = Client::with(None, Arc::new(Retiring(AtomicUsize::new(retiring))));
    let (tell, told) = crossbeam_channel::bounded(1);
    let remoting = client.remoting.clone();
    let send = move || {
        let note = move |outcome: Outcome| {
            tell.send(outcome).unwrap();
            Next::Done
        };
        let (note, via) = (Box::new(note), Via::WriterThread);
        remoting.invoke_async(&address, &Request::new(1, &()), soon(), via, note);
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
    match by_worker {
        true => client.workers.retries.submit(Box::new(send)),
        false => send(),
    }
    let outcome = told.recv_timeout(PATIENCE).expect("an outcome");
    peer.join().unwrap();
    outcome
}

#[test]
fn a_connection_that_ends_under_a_request_is_replaced_also_where_nobody_waits_for_it() {
    for by_worker in [false, true] {
        for retiring in [0, 1] {
            let answer = outcome(retiring, by_worker).unwrap();
            assert_eq!(answer.body.to_vec(), b"here", "{retiring}, {by_worker}");
        }
        // A peer of which no connection is of any use is left alone.
        let error = outcome(2, by_worker).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
        assert_eq!(error.delivery(), Delivery::NotSent, "{error}");
    }
}

type Told = crossbeam_channel::Receiver<Result<(), Error>>;

fn park(peer: &Arc<Peer>, shared: &Arc<Shared>) -> Told {
    let (tell, told) = crossbeam_channel::bounded(1);
    let then = move |dialled: Result<_, _>| tell.send(dialled.map(drop)).unwrap();
    peer.connect_apart(shared, soon(), Box::new(then));
    told
}

/// The caller who dials has no time left, and there is no thread to go on for those that have.
#[test]
fn who_waits_for_a_dial_is_answered_when_no_thread_can_be_had_for_it() {
    let (_listener, address) = listener();
    let workers = Workers::start(1).unwrap();
    let shared = Shared::new(config(), workers.clone(), Arc::new(Nobody), None);
    let (shared, peer) = (Arc::new(shared), Peer::new(address.to_string().into()));
    let peer = Arc::new(peer);

    assert!(peer.begin_dial());
    let parked = [(); 2].map(|()| park(&peer, &shared));
    workers.threads.leave_none(true);
    let passed = Deadline::after(Instant::now(), Duration::ZERO);
    let own = peer.dial(&shared, passed).map(drop).unwrap_err();
    assert_eq!(own.kind(), ErrorKind::Timeout, "{own}");
    for told in parked {
        let error = told.try_recv().expect("told by now").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.to_string().contains("no thread to connect with"));
    }
    assert!(!peer.is_awaited(), "nobody dials");

    // So is who finds no thread for a dial of its own.
    let error = park(&peer, &shared).try_recv().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");

    workers.threads.leave_none(false);
    eventually("it works again", || {
        let told = park(&peer, &shared).recv_timeout(PATIENCE);
        told.expect("told").is_ok()
    });
    peer.close(&Error::new(ErrorKind::Closed, "the test is over"));
    assert!(workers.end(soon()).is_empty());
}
