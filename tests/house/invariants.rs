//! Each invariant of the architecture notes has tests, and two are held here.

use std::fs;

use crate::source::Source;
use crate::support::files::{collect, exists, place, root};

const NOTES: &str = include_str!("../../src/docs/contributing/architecture.md");
const STYLE: &str = include_str!("../../src/docs/contributing/style.md");

/// Test files that may sleep, and why they are right however long it takes. (Tests with real
/// servers, `interop*`, may too: those have their own timing.)
const SLEEPERS: &[(&str, &str)] = &[
    ("src/transport/tests/dials.rs", "tries again and again"),
    ("tests/client/routes.rs", "paces sends while refreshes fail"),
    (
        "tests/consumer/rebalance.rs",
        "handlers that work while queues change hands",
    ),
    ("tests/faults/bench/mod.rs", "polls"),
    ("tests/faults/bench/proxy.rs", "waits for a file to be free"),
    (
        "tests/faults/bench/watch.rs",
        "measures how late a sleep ends",
    ),
    ("tests/faults/machine/limits.rs", "polls the memory"),
    (
        "tests/faults/machine/stopped.rs",
        "it is the stop itself that lasts",
    ),
    ("tests/house/logs/mod.rs", "polls"),
    ("tests/ledger/member.rs", "a handler that works"),
    ("tests/ledger/run.rs", "paces the sender, and polls"),
    (
        "tests/locks/yields.rs",
        "chance lets other threads go first",
    ),
    (
        "tests/producer/failure/connections.rs",
        "paces sends that fail at once",
    ),
    (
        "tests/producer/start_and_stop/fork.rs",
        "no event reports the end of a child",
    ),
    (
        "tests/producer/start_and_stop/shutdown.rs",
        "time in which something could end too early",
    ),
    (
        "tests/producer/start_and_stop/threads.rs",
        "time for a write to get stuck in, which it need not",
    ),
    ("tests/support/mod.rs", "polls"),
];

/// Number and tests of each invariant.
fn invariants() -> Vec<(usize, Vec<&'static str>)> {
    let (_, list) = NOTES.split_once("# Invariants\n").expect("the invariants");
    let mut found: Vec<(usize, Vec<&str>)> = Vec::new();
    for line in list.lines() {
        let number = line
            .split_once(". ")
            .and_then(|(number, _)| number.parse().ok());
        if let Some(number) = number {
            found.push((number, Vec::new()));
        }
        let names = line.split('`').skip(1).step_by(2);
        if let Some((_, tests)) = found.last_mut() {
            tests.extend(names.filter(|name| name.contains("::")));
        }
    }
    found
}

#[test]
fn every_invariant_names_tests_that_exist() {
    let invariants = invariants();
    let numbers: Vec<usize> = invariants.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=14).collect::<Vec<_>>());
    for (number, tests) in invariants {
        assert!(!tests.is_empty(), "invariant {number} has no test");
        tests.into_iter().for_each(check_exists);
    }
}

#[test]
fn every_test_that_the_style_page_names_exists() {
    let names = STYLE.split('`').skip(1).step_by(2);
    let mut count = 0;
    for name in names.filter(|name| name.contains("_") && !name.contains(['.', '/'])) {
        count += 1;
        match name.matches("::").count() {
            0 => check_exists(&format!("house::architecture::{name}")),
            _ => check_exists(name),
        }
    }
    assert!(count > 8, "{count}");
}

#[track_caller]
fn check_exists(test: &str) {
    assert!(exists(test), "{test} is not in {:?}", place(test));
}

/// The number of sleeps in a test file, without the library's own code and examples in comments.
fn sleeps(path: &str, text: &str) -> usize {
    let all = Source::all();
    let own = all.iter().find(|s| format!("src/{}", s.path) == path);
    let in_it =
        |text: &str| text.matches("thread::sleep(").count() + text.matches("park_timeout(").count();
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    in_it(&code.collect::<String>()) - own.map_or(0, |source| in_it(&source.code))
}

#[test]
fn a_test_that_sleeps_has_a_reason() {
    let mut files = Vec::new();
    collect(&root().join("tests"), "rs", &mut files);
    collect(&root().join("src"), "rs", &mut files);
    let mut found = Vec::new();
    for file in files {
        let path = file.strip_prefix(root()).expect("below the root");
        let path = path.to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(&file).expect("a readable source");
        let is_this = path.ends_with("house/invariants.rs");
        if !is_this && !path.starts_with("tests/interop") && sleeps(&path, &text) > 0 {
            found.push(path);
        }
    }
    found.sort();
    let listed: Vec<&str> = SLEEPERS.iter().map(|(file, _)| *file).collect();
    assert_eq!(
        found, listed,
        "use a script, a gate or polling instead of a pause"
    );
}

#[test]
fn no_message_is_handed_out_mutably() {
    let mut found = Vec::new();
    for source in Source::all() {
        let places = source.code.match_indices("&mut Message");
        let is_whole = |rest: &str| !rest.starts_with(char::is_alphanumeric);
        found.extend(
            places
                .filter(|(at, what)| is_whole(&source.code[at + what.len()..]))
                .map(|(at, _)| source.show(at)),
        );
    }
    assert!(found.is_empty(), "{found:?}");
}
