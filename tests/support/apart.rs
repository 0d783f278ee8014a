//! Tests that need a process of their own: the same binary once more, for one test alone.

use std::process::Command;

/// This binary.
pub fn this_binary() -> Command {
    Command::new(std::env::current_exe().expect("this binary"))
}

/// Has `child`, which starts this binary, run one test that is ignored otherwise. Returns what was
/// printed.
#[track_caller]
pub fn check(mut child: Command, test: &str) -> String {
    child.args(["--exact", test, "--ignored", "--nocapture"]);
    let output = child.arg("--test-threads=1").output().expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
