//! What the README promises about tests.

use crate::support::files::{root, text};

#[test]
fn every_test_that_the_feature_table_names_exists() {
    let readme = include_str!("../../README.md");
    let rows = readme.lines().skip_while(|line| *line != "## Features");
    let named: Vec<&str> = rows
        .take_while(|line| *line != "## Tests")
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| line.rsplit('`').nth(1)?.rsplit("::").next())
        .collect();
    assert!(named.len() > 30, "the table has {} rows", named.len());
    let sources = text(&root().join("tests")) + &text(&root().join("src"));
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !sources.contains(&format!("fn {name}(")))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

#[test]
fn the_program_is_the_quickstart_example_itself() {
    let readme = include_str!("../../README.md");
    let example = include_str!("../../examples/quickstart.rs");
    let (_, shown) = readme.split_once("    // Sync: ").expect("a program");
    let (shown, _) = shown
        .split_once("\n\n    producer.shutdown()")
        .expect("its end");
    let pieces: Vec<_> = shown.trim().split("\n\n").collect();
    assert_eq!(pieces.len(), 3, "{shown}");
    for piece in pieces {
        assert!(example.contains(piece), "not in the example:\n{piece}");
    }
}
