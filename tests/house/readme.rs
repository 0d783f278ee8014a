//! What the README promises about tests, and the one of the tests about where they stand.

use std::fs;

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

/// Each binary is linked anew for every change of the library.
#[test]
fn there_are_few_binaries_of_tests_and_their_readme_has_a_row_for_each() {
    const MOST: usize = 8;
    let readme = include_str!("../README.md");
    let entries = fs::read_dir(root().join("tests")).expect("a folder");
    let mut binaries = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        assert!(path.extension().is_none_or(|kind| kind != "rs"), "{path:?}");
        if path.join("main.rs").exists() {
            binaries.push(name.into_owned());
        }
    }
    assert!((7..=MOST).contains(&binaries.len()), "{binaries:?}");
    for name in binaries {
        assert!(readme.contains(&format!("\n| `{name}` |")), "{name}");
    }
}
