//! The table of cases in `src/docs/faults.md` has 65 rows, and names tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = include_str!("../../src/docs/faults.md");

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

/// All Rust sources at a place: a file, or everything in a folder.
fn sources(place: &Path) -> String {
    match fs::read_dir(place) {
        Ok(entries) => {
            let inside = entries.map(|entry| sources(&entry.expect("an entry").path()));
            inside.collect()
        }
        Err(_) if place.extension().is_some_and(|kind| kind == "rs") => {
            fs::read_to_string(place).expect("a readable source")
        }
        Err(_) => String::new(),
    }
}

/// Where a test of `binary::module::name` stands: `tests/binary/module.rs`, `tests/binary.rs`, or, for
/// `unit::module::name`, somewhere in that module of the library.
fn place(test: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let parts: Vec<&str> = test.split("::").collect();
    let places = match parts[..] {
        ["unit", module, _] => [format!("src/{module}"), format!("src/{module}.rs")],
        [binary, module, _] => [
            format!("tests/{binary}/{module}.rs"),
            format!("tests/{binary}/tests/{module}.rs"),
        ],
        [binary, _] => [
            format!("tests/{binary}.rs"),
            format!("tests/{binary}/main.rs"),
        ],
        _ => panic!("{test} is no path of a test"),
    };
    let mut places = places.iter().map(|place| root.join(place));
    let place = places.find(|place| place.exists());
    place.unwrap_or_else(|| panic!("{test}: no such file"))
}

#[test]
fn the_table_has_every_case_once_and_says_which_are_open() {
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
    let missing = |test: &&str| {
        let (_, name) = test.rsplit_once("::").expect("a path");
        // The crate as published has no tests for real servers and no packages below `tests`.
        let (binary, _) = test.split_once("::").expect("a path");
        let left_out = ["interop", "models", "hostile"].contains(&binary);
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        if left_out && !tests.join(binary).exists() {
            return false;
        }
        let text = sources(&place(test));
        !text.contains(&format!("fn {name}("))
    };
    let named = rows().into_iter().flat_map(|(_, cell)| tests(cell));
    let missing: Vec<&str> = named.filter(missing).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

/// What is run again and again is all of it.
#[test]
fn the_script_runs_every_binary_that_the_table_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The crate as published has neither.
    let Ok(script) = fs::read_to_string(root.join(".ci/faults")) else {
        return;
    };
    let servers = fs::read_to_string(root.join("tests/rocketmq/all.sh")).expect("the other script");
    let (servers, _) = servers.split_once("exit 0").expect("the end of the faults");
    // What it does only where it runs everything.
    let faults = |line: &&str| !line.starts_with("[[ -n $only ]]");
    let filters: Vec<&str> = servers.lines().filter(faults).collect();
    let filters = filters.join("\n");
    let filters = filters.split(|c: char| c.is_whitespace() || "()'".contains(c));
    let filters: Vec<&str> = filters.filter(|word| word.contains("::")).collect();
    let runs = |test: &str| {
        let parts: Vec<&str> = test.split("::").collect();
        match parts[..] {
            ["unit", ..] => script.contains(" --lib "),
            ["interop", module, name] => {
                let path = format!("{module}::{name}");
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

/// A case that nobody finds in the table might as well not be there.
#[test]
fn every_case_of_this_binary_stands_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults");
    let text = sources(&folder);
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
