//! One address: dials, deaths, retirements and the end, all at once.

use std::sync::Arc;

use shuttle::thread;

use super::never;
use super::peer::Peer;
use super::shared::Shared;
use crate::check::join_all;
use crate::error::{Error, ErrorKind};
use crate::sync::atomic::{AtomicUsize, Ordering::SeqCst};

fn gone() -> Error {
    Error::new(ErrorKind::Disconnected, "the peer closed the connection")
}

/// One dial at a time, whoever waits for it, with a thread or without, gets its result once, and no connection outlives the end.
pub fn nothing_is_left_after_the_end() {
    let peer = Arc::new(Peer::new("broker:1".into()));
    let shared = Arc::new(Shared::default());
    let senders = [0, 1, 2].map(|which| {
        let (peer, shared) = (peer.clone(), shared.clone());
        thread::spawn(move || {
            for _ in 0..2 {
                match peer.connect(&shared, never()) {
                    Ok(connection) if which == 0 => connection.kill(gone()),
                    Ok(connection) if which == 1 => connection.retire(),
                    Ok(connection) => assert_eq!(&**connection.address(), "broker:1"),
                    Err(why) => assert_ne!(why.kind(), ErrorKind::Timeout),
                }
                peer.is_awaited();
            }
        })
    });
    let parked = {
        let (peer, shared) = (peer.clone(), shared.clone());
        thread::spawn(move || {
            let told = Arc::new(AtomicUsize::new(0));
            for _ in 0..2 {
                let tell = told.clone();
                let then = move |_| assert!(tell.fetch_add(1, SeqCst) < 2, "told twice");
                peer.connect_apart(&shared, never(), Box::new(then));
            }
            told
        })
    };
    let closer = {
        let peer = peer.clone();
        thread::spawn(move || peer.close(&Error::new(ErrorKind::Closed, "shut down")))
    };
    closer.join().unwrap();
    let after = peer.connect(&shared, never()).map(|_| ()).unwrap_err();
    assert_eq!(after.kind(), ErrorKind::Closed);
    join_all(senders);
    let told = parked.join().unwrap();
    let left = shared.workers.threads.join(never());
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(
        told.load(SeqCst),
        2,
        "somebody who was parked was forgotten"
    );
    assert!(peer.current().is_none());
    assert!(!peer.is_awaited());
    for connection in shared.made.lock().iter() {
        // One that is retired drains and ends by itself, once nothing waits on it.
        let over = connection.death().is_some() || connection.is_retired();
        assert!(over, "a connection outlived the end");
        let kept = Arc::strong_count(connection) > 1;
        assert!(!kept, "a connection that is over is kept");
    }
    assert_eq!(shared.dialling.load(SeqCst), 0);
}
