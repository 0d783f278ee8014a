//! The glossary of the style page: each term is in use, and the words that it replaces are not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::files::{collect, root};

const STYLE: &str = include_str!("../../src/docs/contributing/style.md");

/// Files that list the replaced words.
const EXEMPT: &[&str] = &["docs/contributing/style.md", "house/glossary.rs"];

/// Each term, with the words that it replaces.
fn glossary() -> BTreeMap<&'static str, Vec<&'static str>> {
    let (_, table) = STYLE.split_once("# Glossary\n").expect("the glossary");
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let entry = |row: &'static str| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let replaced = cells.get(2).copied().unwrap_or_default();
        let words = replaced.split(", ").filter(|word| !word.is_empty());
        (cells[0], words.collect())
    };
    rows.skip(1).map(entry).collect()
}

/// All sources and documents, with their paths.
fn files() -> Vec<(PathBuf, String)> {
    let mut found = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    for folder in ["src", "tests", "examples", "benches"] {
        for extension in ["rs", "md", "sh"] {
            collect(&root().join(folder), extension, &mut found);
        }
    }
    let exempt = |path: &Path| EXEMPT.iter().any(|end| path.ends_with(end));
    found.retain(|path| !exempt(path));
    let read = |path: &PathBuf| fs::read_to_string(path).expect("a readable file");
    let texts: Vec<String> = found.iter().map(|path| words(&read(path))).collect();
    found.into_iter().zip(texts).collect()
}

/// A text in lower case, with one space between words, also across the lines of a comment.
fn words(text: &str) -> String {
    let line = |line: &str| {
        let line = line.trim();
        let rest = line.trim_start_matches(['/', '!']).trim_start();
        if line.starts_with("//") { rest } else { line }.to_lowercase()
    };
    let lines: Vec<String> = text.lines().map(line).collect();
    lines.join(" ")
}

/// Whether a word or phrase is in a text, but not as a part of a longer word.
fn has(text: &str, phrase: &str) -> bool {
    let is_inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(phrase).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + phrase.len()..]);
        !before.ends_with(is_inside) && !after.starts_with(is_inside)
    })
}

#[test]
fn each_term_of_the_glossary_is_in_use() {
    let files = files();
    let glossary = glossary();
    assert!(glossary.len() >= 30, "{} terms", glossary.len());
    // Plural and other endings count as a use.
    let is_used = |term: &str| files.iter().any(|(_, text)| text.contains(term));
    let unused: Vec<_> = glossary.keys().filter(|term| !is_used(term)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn words_that_a_term_replaces_are_not_used() {
    let mut found = Vec::new();
    let files = files();
    for (term, replaced) in glossary() {
        for word in replaced {
            let places = files.iter().filter(|(_, text)| has(text, word));
            let places = places.map(|(path, _)| path.strip_prefix(root()).unwrap_or(path));
            found.extend(places.map(|path| format!("{}: {word}: write {term}", path.display())));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_word_is_found_across_lines_and_not_inside_of_others() {
    assert!(has(&words("// is left\n    /// Alone."), "left alone"));
    assert!(!has(&words("headroom mushroom_soup"), "room"));
}
