//! One address: dials, deaths, retirements and the end, all at once.

use std::sync::Arc;

use shuttle::thread;

use super::connection::kill;
use super::dial::{Dialler, Peer};
use super::never;
use crate::check::join_all;
use crate::error::{Error, ErrorKind};
use crate::sync::atomic::{AtomicUsize, Ordering::SeqCst};

fn gone() -> Error {
    Error::new(ErrorKind::Disconnected, "the peer closed the connection")
}

/// One dial at a time; each caller, with a thread or parked, gets its result once; and no connection
/// outlives the end.
pub fn nothing_is_left_after_the_end() {
    let peer = Arc::new(Peer::new("broker:1".into()));
    let dialler = Arc::new(Dialler::default());
    let timeouts = Arc::new(AtomicUsize::new(0));
    let senders = [0, 1, 2].map(|which| {
        let (peer, dialler, timeouts) = (peer.clone(), dialler.clone(), timeouts.clone());
        thread::spawn(move || {
            for _ in 0..2 {
                match peer.connect(&dialler, never()) {
                    Ok(connection) if which == 0 => kill(&connection, gone()),
                    Ok(connection) if which == 1 => connection.retire(),
                    Ok(connection) => assert_eq!(&**connection.address(), "broker:1"),
                    Err(why) if why.kind() == ErrorKind::Timeout => {
                        timeouts.fetch_add(1, SeqCst);
                    }
                    Err(why) => {
                        assert!(matches!(why.kind(), ErrorKind::Connect | ErrorKind::Closed))
                    }
                }
                peer.is_awaited();
            }
        })
    });
    let parked = {
        let (peer, dialler) = (peer.clone(), dialler.clone());
        thread::spawn(move || {
            let told = Arc::new(AtomicUsize::new(0));
            for _ in 0..2 {
                let tell = told.clone();
                let then = move |_| assert!(tell.fetch_add(1, SeqCst) < 2, "told twice");
                peer.connect_parked(&dialler, never(), Box::new(then));
            }
            told
        })
    };
    let closer = {
        let peer = peer.clone();
        thread::spawn(move || peer.close(&Error::new(ErrorKind::Closed, "shut down")))
    };
    closer.join().unwrap();
    let after = peer.connect(&dialler, never()).map(|_| ()).unwrap_err();
    assert_eq!(after.kind(), ErrorKind::Closed);
    join_all(senders);
    let told = parked.join().unwrap();
    // The others had time, and have dialled themselves.
    assert!(timeouts.load(SeqCst) <= dialler.timeouts.load(SeqCst));
    let left = dialler.shared.workers.threads.join(never());
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(told.load(SeqCst), 2, "a parked caller was forgotten");
    assert!(peer.current().is_none());
    assert!(!peer.is_awaited());
    for connection in dialler.made.lock().iter() {
        // A retired connection drains, and ends once nothing waits on it.
        let over = connection.death().is_some() || connection.is_retired();
        assert!(over, "a connection outlived the end");
        let kept = Arc::strong_count(connection) > 1;
        assert!(!kept, "a connection that is over is kept");
    }
    assert_eq!(dialler.dialling.load(SeqCst), 0);
}
