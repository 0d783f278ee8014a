//! Workers: jobs that wait for each other, and the end.

use std::sync::Arc;

use shuttle::thread;

use super::{Job, Pool, Threads, never};
use crate::check::join_all;
use crate::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use crate::sync::{Condvar, Mutex};

type Gate = Arc<(Mutex<bool>, Condvar)>;

fn opens(gate: &Gate, done: &Arc<AtomicUsize>) -> Box<dyn Job> {
    let (gate, done) = (gate.clone(), done.clone());
    Box::new(move || {
        *gate.0.lock() = true;
        gate.1.notify_all();
        done.fetch_add(1, SeqCst);
    })
}

fn waits(gate: &Gate, done: &Arc<AtomicUsize>) -> Box<dyn Job> {
    let (gate, done) = (gate.clone(), done.clone());
    Box::new(move || {
        let mut open = gate.0.lock();
        while !*open {
            gate.1.wait(&mut open);
        }
        done.fetch_add(1, SeqCst);
    })
}

/// No job waits while a worker sleeps, not even behind a job that blocks until that job is done.
/// All jobs submitted before the end run.
pub fn jobs_behind_a_stuck_one_are_run() {
    let threads = Threads::default();
    let pool = Pool::start(&threads, "model", 2).expect("threads can be started");
    let (done, gate) = (Arc::new(AtomicUsize::new(0)), Gate::default());
    let other = {
        let (pool, gate, done) = (pool.clone(), gate.clone(), done.clone());
        thread::spawn(move || pool.submit_all(&mut vec![opens(&gate, &done), opens(&gate, &done)]))
    };
    let own = Gate::default();
    let mut jobs = vec![
        opens(&gate, &done),
        waits(&own, &done),
        opens(&own, &done),
        waits(&gate, &done),
    ];
    pool.submit_all(&mut jobs);
    other.join().unwrap();
    // Before the end, which would wake all workers.
    let mut open = own.0.lock();
    while !*open {
        own.1.wait(&mut open);
    }
    drop(open);
    pool.close();
    assert!(threads.join(never()).is_empty());
    assert_eq!(done.load(SeqCst), 6);
}

/// Jobs submitted during the end run too: on a worker, or on the submitting thread.
pub fn jobs_during_the_end_are_run() {
    let threads = Threads::default();
    let pool = Pool::start(&threads, "model", 2).expect("threads can be started");
    let (done, gate) = (Arc::new(AtomicUsize::new(0)), Gate::default());
    let late = [(); 2].map(|()| {
        let (pool, gate, done) = (pool.clone(), gate.clone(), done.clone());
        thread::spawn(move || pool.submit(opens(&gate, &done)))
    });
    pool.close();
    join_all(late);
    assert!(threads.join(never()).is_empty());
    assert_eq!(done.load(SeqCst), 2);
}

/// Many may shut down at the same time, one of them from a callback: one does it, all return, and no
/// thread is left.
pub fn many_shutdowns_end_everything_once() {
    struct Client {
        threads: Threads,
        pool: Pool,
        ended: Mutex<bool>,
        ends: AtomicUsize,
    }
    fn shut_down(client: &Client) {
        let Some(mut ended) = client.threads.take_turn(&client.ended, never()) else {
            return; // Another does it, and waits for this very thread.
        };
        if !*ended {
            client.ends.fetch_add(1, SeqCst);
            client.pool.close();
            client.threads.join(never());
            *ended = true;
        }
    }
    let threads = Threads::default();
    let client = Arc::new(Client {
        pool: Pool::start(&threads, "model", 2).expect("threads can be started"),
        threads,
        ended: Mutex::new(false),
        ends: AtomicUsize::new(0),
    });
    let callback = client.clone();
    client.pool.submit(Box::new(move || shut_down(&callback)));
    let others = [(); 2].map(|()| {
        let client = client.clone();
        thread::spawn(move || shut_down(&client))
    });
    shut_down(&client);
    join_all(others);
    assert_eq!(client.ends.load(SeqCst), 1);
    // A shutdown from a callback cannot join its own thread; another thread can.
    assert!(client.threads.join(never()).is_empty());
}
