//! Case 32: the process has no file left. In a process of its own, since it takes them from everybody.

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
                // It knows the route, and has nothing to the broker: what it had is closed down to the
                // last file, its own included.
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
                // At first it may have left the address alone, without asking the system.
                eventually("the system's answer is told", || {
                    let error = error(bench.send_in(mode, &producer, SHORT));
                    let kinds = [ErrorKind::NoNameServer, ErrorKind::Connect];
                    assert!(kinds.contains(&error.kind()), "{error}");
                    assert_eq!(error.fate(), SendFate::NotSent, "{error}");
                    error.to_string().contains("os error 24")
                });
            }
            // With some of them it may come so far or not.
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
