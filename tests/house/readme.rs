//! The README and the features page keep their promises, and each test binary has a row.

use std::fs;

use crate::support::files::{root, text};

const README: &str = include_str!("../../README.md");
const FEATURES: &str = include_str!("../../src/docs/features.md");
const SPEED: &str = include_str!("../../src/docs/contributing/speed.md");

/// The tests of a cell, if it names some and nothing else.
fn tests(cell: &str) -> Option<Vec<&str>> {
    let name = |test: &str| {
        let test = test.strip_prefix('`')?.strip_suffix('`')?;
        Some(test.len() - test.rsplit_once("::")?.1.len())
    };
    let all = cell.split(", ");
    all.map(|test| name(test).map(|at| test[at + 1..].trim_end_matches('`')))
        .collect()
}

/// The rows of the feature tables: each is there and has a test, or is not and has a reason. Those of consumers
/// have a test on real brokers too, unless only the embedded cluster can play what it takes.
#[test]
fn every_feature_has_a_test_that_exists_or_a_reason() {
    let sources = text(&root().join("tests")) + &text(&root().join("src"));
    let interop = text(&root().join("tests/interop"));
    let (mut rows, mut real, mut wrong) = (0, 0, Vec::new());
    let exist = |tests: &[&str], sources: &str| {
        let mut tests = tests.iter();
        tests.all(|name| sources.contains(&format!("fn {name}(")))
    };
    for line in FEATURES.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").collect();
        let [feature, here, why, on_brokers @ ..] = &cells[..] else {
            panic!("three cells: {line}");
        };
        if *feature == "feature" || feature.starts_with("feature of ") {
            continue;
        }
        rows += 1;
        let is_right = match (tests(why), on_brokers) {
            (None, ["–"]) | (None, []) => *here == "no" && !why.is_empty() && *why != "–",
            (Some(named), []) => *here != "no" && exist(&named, &sources),
            (Some(named), ["fault"]) => *here != "no" && exist(&named, &sources),
            (named, [on_brokers]) => {
                real += 1;
                let named = named.or((*why == "–").then(Vec::new));
                let exists = named.is_some_and(|named| exist(&named, &sources));
                let is_real = tests(on_brokers).is_some_and(|real| exist(&real, &interop));
                *here != "no" && exists && is_real
            }
            _ => false,
        };
        if !is_right {
            wrong.push(line);
        }
    }
    assert!(rows > 100, "the tables have {rows} rows");
    assert!(real > 80, "{real} rows name a test on real brokers");
    assert!(wrong.is_empty(), "neither a test nor a reason: {wrong:#?}");
}

#[test]
fn the_readme_is_read_in_two_minutes() {
    let lines = README.lines().count();
    assert!(lines <= 100, "{lines} lines");
}

/// The ratio to Java in the row of this cell in the first table of the speed page that has it below
/// this heading.
fn ratio(heading: &str, cell: &str) -> &'static str {
    let (_, rest) = SPEED.split_once(heading).expect("the table's heading");
    let row = rest
        .lines()
        .find(|line| line.starts_with(&format!("| {cell} | ")));
    let row = row.unwrap_or_else(|| panic!("{heading} no row {cell}"));
    row.split(" | ").nth(2).expect("the ratio to Java")
}

#[test]
fn the_figures_of_the_readme_are_those_of_the_speed_page() {
    let rows = README.lines().filter(|line| line.contains(" times Java |"));
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [cell, fast, real] = cells[..] else {
            panic!("{row}");
        };
        let says = |figure: &str, heading| {
            assert_eq!(
                figure,
                format!("{} times Java", ratio(heading, cell)),
                "{cell}"
            );
        };
        says(fast, "A server that answers at once:");
        says(real, "A real broker 5.4.0:");
        count += 1;
    }
    assert_eq!(count, 3);
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
