//! The table of cases in `src/docs/contributing/faults.md` has 65 rows, and names tests that exist.

use std::fs;

use crate::support::files::{exists, root, text};

const TABLE: &str = include_str!("../../src/docs/contributing/faults.md");

/// Number and tests of each row.
fn rows() -> Vec<(usize, &'static str)> {
    let cells = |line: &'static str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let number = cells.next()?.parse().ok()?;
        Some((number, cells.nth(2)?))
    };
    TABLE.lines().filter_map(cells).collect()
}

/// The names between backquotes.
fn tests(cell: &'static str) -> impl Iterator<Item = &'static str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn the_table_has_every_case_once_and_marks_the_open_ones() {
    let rows = rows();
    let numbers: Vec<usize> = rows.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=65).collect::<Vec<_>>());
    for (number, cell) in rows {
        let open = cell.trim_end_matches(" |") == "open";
        assert_ne!(tests(cell).count() == 0, !open, "case {number}: {cell}");
    }
}

#[test]
fn every_test_that_the_table_names_exists() {
    let named = rows().into_iter().flat_map(|(_, cell)| tests(cell));
    let missing: Vec<&str> = named.filter(|test| !exists(test)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

/// Repeated runs cover the whole table.
#[test]
fn the_script_runs_every_binary_that_the_table_names() {
    let read = |name| fs::read_to_string(root().join(name)).expect(name);
    let script = read(".ci/faults");
    let servers = read("tests/rocketmq/all.sh");
    let (servers, _) = servers.split_once("exit 0").expect("the end of the faults");
    // Steps that it runs only in a full run.
    let faults = |line: &&str| !line.starts_with("[[ -n $only ]]");
    let filters: Vec<&str> = servers.lines().filter(faults).collect();
    let filters = filters.join("\n");
    let filters = filters.split(|c: char| c.is_whitespace() || "()'".contains(c));
    let filters: Vec<&str> = filters.filter(|word| word.contains("::")).collect();
    let runs = |test: &str| {
        let parts: Vec<&str> = test.split("::").collect();
        match parts[..] {
            ["unit", ..] => script.contains(" --lib "),
            ["interop", ..] => {
                let path = parts[1..].join("::");
                filters.iter().any(|filter| path.starts_with(filter))
            }
            [binary, ..] => [&*script, servers].iter().any(|text| {
                let words: Vec<&str> = text.split_whitespace().collect();
                let named =
                    |pair: &[&str]| ["--test", "-p"].contains(&pair[0]) && pair[1] == binary;
                words.windows(2).any(named)
            }),
            _ => false,
        }
    };
    let named = rows().into_iter().flat_map(|(_, cell)| tests(cell));
    let missing: Vec<&str> = named.filter(|test| !runs(test)).collect();
    assert!(missing.is_empty(), "not run: {missing:?}");
}

/// A case must be in the table, or readers cannot find it.
#[test]
fn every_case_of_the_binary_faults_is_in_the_table() {
    let text = text(&root().join("tests/faults"));
    let cases = text.lines().filter_map(|line| {
        let name = line.strip_prefix("fn ")?.strip_suffix("() {")?;
        name.starts_with("case_").then_some(name)
    });
    let mut count = 0;
    for name in cases {
        count += 1;
        let number: usize = name[5..7].parse().expect("two digits");
        let row = rows().into_iter().find(|(n, _)| *n == number);
        let (_, cell) = row.unwrap_or_else(|| panic!("no row {number}"));
        let found = tests(cell).any(|test| test.ends_with(&format!("::{name}")));
        assert!(found, "{name} is not in row {number}");
    }
    assert!(count > 20, "only {count} cases found");
}
