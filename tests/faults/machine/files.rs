//! Case 32: the process has no file left. In a separate process, since all its tests would lack
//! files.

use std::fs::File;
use std::process::Command;

use rocketmq_blocking::{ErrorKind, Producer, SendFate};

use crate::bench::watch;
use crate::bench::*;
use crate::support::apart;

#[test]
fn case_32_without_files_sends_fail_and_with_them_they_work_again() {
    let mut child = Command::new("sh");
    child.args(["-c", "ulimit -n 96 && exec \"$0\" \"$@\""]);
    child.arg(apart::this_binary().get_program());
    apart::check(child, "machine::files::alone");
}

#[test]
#[ignore = "runs alone, in a child process"]
fn alone() {
    check(1, |bench| {
        // At the broker behind a route that is known, or at the name server.
        for known in [true, false] {
            let producer = bench.patient();
            if known {
                // It knows the route, and has no connection to the broker: every file is closed,
                // its own included.
                let open_files = || watch::resources().map(|(_, files)| files);
                check_refused(bench, &producer);
                let before = open_files();
                bench.check_heals(&producer);
                bench.broker().cut();
                check_refused(bench, &producer);
                eventually("all ends are closed", || open_files() == before);
            }
            let mut files: Vec<File> = Vec::new();
            while let Ok(file) = File::open("/dev/null") {
                files.push(file);
            }
            for mode in MODES {
                // At first the address may be in back-off, without a call to the system.
                eventually("the system's answer is reported", || {
                    let error = error(bench.send_in(mode, &producer, SHORT));
                    let kinds = [ErrorKind::NoNameServer, ErrorKind::Connect];
                    // On a busy machine there may be no time for it.
                    let is_late = error.kind() == ErrorKind::Timeout;
                    assert!(is_late || kinds.contains(&error.kind()), "{error}");
                    assert_eq!(error.fate(), SendFate::NotSent, "{error}");
                    error.to_string().contains("os error 24")
                });
            }
            // With only some files it may succeed or fail.
            while files.pop().is_some() {
                let _ = bench.send(&producer, ms(100));
            }
            bench.check_heals(&producer);
        }
    });
}

/// The broker refuses for a moment, and the producer has noticed.
#[track_caller]
pub fn check_refused(bench: &Bench, producer: &Producer) {
    bench.broker().refuse();
    eventually("the connection cannot be made", || {
        let failed = bench.send(producer, SHORT);
        failed.is_err_and(|error| error.kind() == ErrorKind::Connect)
    });
    bench.broker().serve();
}
