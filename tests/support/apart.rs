//! Tests that need a process of their own: the same binary once more, for one test alone.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// This binary.
pub fn this_binary() -> Command {
    Command::new(std::env::current_exe().expect("this binary"))
}

/// Runs one test, which is ignored otherwise, in `child`, which starts this binary. Returns its
/// output.
#[track_caller]
pub fn check(mut child: Command, test: &str) -> String {
    child.args(["--exact", test, "--ignored", "--nocapture"]);
    passed(child)
}

/// At the head of a test: the rest of it runs in a separate process. For things that a process has
/// once: a logger, a counting allocator.
#[allow(unused_macros, reason = "not every binary has such tests")]
macro_rules! in_a_process_of_its_own {
    () => {
        fn here() {}
        if $crate::support::apart::ran_apart(std::any::type_name_of_val(&here)) {
            return;
        }
    };
}
#[allow(unused_imports, reason = "the same")]
pub(crate) use in_a_process_of_its_own;

/// Set in the processes of such tests.
const APART: &str = "ROCKETMQ_TEST_APART";

/// Runs the test around the function of this name in a separate process, unless this is that
/// process.
#[track_caller]
pub fn ran_apart(here: &str) -> bool {
    let (_, test) = here.split_once("::").expect("binary::module::test::here");
    let (test, _) = test.rsplit_once("::").expect("module::test::here");
    if std::env::var(APART).is_ok_and(|apart| apart == test) {
        return false;
    }
    // One after the other: parallel runs would disturb each other's counts.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut child = this_binary();
    child.env(APART, test);
    child.args(["--exact", test, "--include-ignored", "--nocapture"]);
    print!("{}", passed(child));
    true
}

/// The output of a child that ran one test, which passed.
#[track_caller]
fn passed(mut child: Command) -> String {
    let output = child.arg("--test-threads=1").output().expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
