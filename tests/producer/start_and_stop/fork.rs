//! A process that forks: the child has the producer, but none of its threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rocketmq_blocking::{ErrorKind, Producer};

use crate::support::{PATIENCE, cluster, message, producer};

/// As in a server that forks its workers: the forking thread has not just sent. (A thread's last
/// check is valid for its sends for a tenth of a second.)
#[test]
fn a_fork_is_refused_and_does_not_disturb_the_parent() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let sends = || producer.send(&message("before")).map(drop);
    std::thread::scope(|scope| scope.spawn(sends).join().unwrap()).unwrap();
    // SAFETY: the child calls the library under test, which touches no lock there, and ends
    // without running anything else.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let run = || {
            let is_refused = |result: rocketmq_blocking::Result<()>| {
                let error = result.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
                assert!(error.to_string().contains("forked"), "{error}");
            };
            is_refused(producer.send(&message("child")).map(drop));
            is_refused(producer.send_oneway(&message("child")));
            let (told, result) = mpsc::channel();
            producer.send_async(message("child"), move |result| told.send(result).unwrap());
            is_refused(result.try_recv().unwrap().map(drop));
            is_refused(producer.submit(message("child")).wait().map(drop));
            let (told, result) = mpsc::channel();
            producer.request_async(message("child"), PATIENCE, move |r| told.send(r).unwrap());
            is_refused(result.try_recv().unwrap().map(drop));
            is_refused(producer.flush(PATIENCE));
            is_refused(producer.admin().create_topic("TBW102", "child", 1));
            let other = Producer::builder("other").client(producer.client());
            is_refused(other.start().map(drop));
            producer.shutdown();
            drop(producer);
        };
        let code = i32::from(catch_unwind(AssertUnwindSafe(run)).is_err());
        // SAFETY: ends the child without its parent's destructors.
        unsafe { libc::_exit(code) }
    }
    assert_eq!(exit_code(child), Some(0));
    let _receipt = producer.send(&message("after")).unwrap();
    let bodies = cluster.messages("T").into_iter().map(|m| m.body().to_vec());
    assert_eq!(
        bodies.collect::<Vec<_>>(),
        [b"before".to_vec(), b"after".to_vec()]
    );
    assert!(producer.shutdown_within(PATIENCE).is_clean());
}

/// The child's exit code, unless it hangs or is killed.
fn exit_code(child: libc::pid_t) -> Option<i32> {
    let end = Instant::now() + PATIENCE;
    loop {
        let mut status = 0;
        // SAFETY: a pointer to a live integer.
        let ended = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
        if ended == child {
            return libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
        }
        if Instant::now() >= end {
            // SAFETY: a child of this process that has not been waited for.
            unsafe { libc::kill(child, libc::SIGKILL) };
            return None;
        }
        // No event reports the end of a child.
        std::thread::sleep(Duration::from_millis(5));
    }
}
