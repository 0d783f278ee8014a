//! `produce` at a terminal, which a test can have only on Unix.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::Stdio;
use std::ptr;

use crate::support::*;

/// Both ends of a new terminal: the test's and the program's.
pub fn terminal() -> (File, OwnedFd) {
    let (mut ours, mut theirs) = (-1, -1);
    let (name, settings, size) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: the descriptors are written to live variables, and no other pointer is passed.
    let done = unsafe { libc::openpty(&mut ours, &mut theirs, name, settings, size) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: they have just been opened, and have no other owner.
    unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}

#[test]
fn produce_does_not_wait_for_typed_input() {
    let (_ours, theirs) = terminal();
    let mut command = program("produce");
    command.stdin(Stdio::from(theirs));
    let out = command.output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    let says = String::from_utf8(out.stderr).unwrap();
    assert!(says.contains("nothing to send"), "{says}");
}

#[test]
fn produce_shows_its_progress_on_a_terminal_only() {
    let input: String = (0..2000).map(|i| format!("{i}\n")).collect();
    // `TERM` names the terminal's abilities: a plain one gets no progress.
    let terminals = [Some("xterm"), Some("dumb"), None];
    for ((args, input, shown), terminal_kind) in [
        ("--body hi --count 2000", "", "/2000 "),
        ("--stdin", &*input, "/s "),
    ]
    .into_iter()
    .flat_map(|case| terminals.map(|kind| (case, kind)))
    {
        let (mut ours, theirs) = terminal();
        let mut command = program("produce");
        match terminal_kind {
            Some(kind) => command.env("TERM", kind),
            None => command.env_remove("TERM"),
        };
        command.args(args.split(' ')).stderr(Stdio::from(theirs));
        let mut child = command.spawn().unwrap();
        drop(command); // and with it the test's copy of the program's end
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, input.as_bytes()).unwrap();
        drop(stdin);
        let mut seen = Vec::new();
        let _ = ours.read_to_end(&mut seen); // Linux calls the end an error
        let out = child.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(0));
        let (seen, out) = (
            String::from_utf8_lossy(&seen),
            String::from_utf8(out.stdout).unwrap(),
        );
        let is_able = terminal_kind == Some("xterm");
        assert_eq!(seen.contains(shown), is_able, "{terminal_kind:?}: {seen}");
        assert_eq!(
            seen.contains('\u{1b}'),
            is_able,
            "{terminal_kind:?}: {seen}"
        );
        assert!(out.contains("sent 2000, failed 0 in "), "{out}");
        assert!(!out.contains('\u{1b}'), "{out}");

        let quiet = run(
            "produce",
            &args.split(' ').collect::<Vec<_>>(),
            &"x\n".repeat(50),
        );
        assert_eq!(quiet.stderr.lines().count(), 1, "{quiet:?}");
    }
}
