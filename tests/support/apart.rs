//! Tests that need a process of their own: the same binary once more, for one test alone.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// This binary.
pub fn this_binary() -> Command {
    Command::new(std::env::current_exe().expect("this binary"))
}

/// Has `child`, which starts this binary, run one test that is ignored otherwise. Returns what was
/// printed.
#[track_caller]
pub fn check(mut child: Command, test: &str) -> String {
    child.args(["--exact", test, "--ignored", "--nocapture"]);
    passed(child)
}

/// At the head of a test: the rest of it runs in a process of its own. For what there is once in a
/// process: a logger, an allocator that counts.
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

/// Runs the test around the function of this name in a process of its own, unless this is that one.
#[track_caller]
pub fn ran_apart(here: &str) -> bool {
    let (_, test) = here.split_once("::").expect("binary::module::test::here");
    let (test, _) = test.rsplit_once("::").expect("module::test::here");
    if std::env::var(APART).is_ok_and(|apart| apart == test) {
        return false;
    }
    // One after the other: what they count should not be what they do to each other.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut child = this_binary();
    child.env(APART, test);
    child.args(["--exact", test, "--include-ignored", "--nocapture"]);
    print!("{}", passed(child));
    true
}

/// What a child printed that ran one test, which passed.
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
