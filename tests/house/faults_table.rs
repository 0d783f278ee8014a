//! The tables of cases in `src/docs/contributing/faults.md` (1 to 65) and `consumer_faults.md` (66 to 133) have
//! each case once, and name tests that exist.

use std::fs;
use std::ops::RangeInclusive;

use crate::support::files::{exists, root, text};

/// A page with tables of four columns: number, case, outcome, tests.
#[derive(Clone, Copy)]
struct Page(&'static str);

const PRODUCERS: Page = Page(include_str!("../../src/docs/contributing/faults.md"));
const CONSUMERS: Page = Page(include_str!(
    "../../src/docs/contributing/consumer_faults.md"
));

/// The rows of the pages: the letter before their numbers, and the numbers.
const ROWS: [(Page, &str, RangeInclusive<usize>); 4] = [
    (PRODUCERS, "", 1..=65),
    (CONSUMERS, "", 66..=133),
    // Scenes and invariants of the ledger.
    (CONSUMERS, "D", 0..=9),
    (CONSUMERS, "L", 1..=14),
];

impl Page {
    /// Number and tests of each row whose number has this letter.
    fn rows(self, letter: &str) -> Vec<(usize, &'static str)> {
        let cells = |line: &'static str| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let number = cells.next()?.strip_prefix(letter)?.parse().ok()?;
            Some((number, cells.nth(2)?.trim_end_matches(" |")))
        };
        self.0.lines().filter_map(cells).collect()
    }
}

/// Whether a row says that it has no test; one of consumers says why.
fn is_open(cell: &str) -> bool {
    let reason = cell.strip_prefix("no test: ");
    cell == "open" || reason.is_some_and(|reason| !reason.is_empty())
}

/// The names between backquotes.
fn tests(cell: &'static str) -> impl Iterator<Item = &'static str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn the_tables_have_every_case_once_and_mark_the_open_ones() {
    for (page, letter, expected) in ROWS {
        let rows = page.rows(letter);
        let numbers: Vec<usize> = rows.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, expected.collect::<Vec<_>>(), "{letter}");
        for (number, cell) in rows {
            let has_tests = tests(cell).count() > 0;
            assert_ne!(has_tests, is_open(cell), "case {letter}{number}: {cell}");
        }
    }
}

#[test]
fn every_test_that_the_tables_name_exists() {
    let rows = ROWS.into_iter();
    let rows = rows.flat_map(|(page, letter, _)| page.rows(letter));
    let named = rows.flat_map(|(_, cell)| tests(cell));
    let missing: Vec<&str> = named.filter(|test| !exists(test)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

/// Repeated runs cover the whole table of `faults.md`.
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
    let rows = PRODUCERS.rows("").into_iter();
    let named = rows.flat_map(|(_, cell)| tests(cell));
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
        let row = PRODUCERS.rows("").into_iter().find(|(n, _)| *n == number);
        let (_, cell) = row.unwrap_or_else(|| panic!("no row {number}"));
        let found = tests(cell).any(|test| test.ends_with(&format!("::{name}")));
        assert!(found, "{name} is not in row {number}");
    }
    assert!(count > 20, "only {count} cases found");
}
