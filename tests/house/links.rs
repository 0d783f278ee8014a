//! Links of the documents lead somewhere, as GitHub reads them. (What rustdoc shows, rustdoc checks.)

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::files::{collect, root};

fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    for folder in ["src", "tests", "examples", "benches"] {
        collect(&root().join(folder), "md", &mut found);
    }
    found
}

/// The targets of `[text](target)`, code left out.
fn targets(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in page.lines() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        // `code` in links does no harm: it has no `](`.
        for rest in line.split("](").skip(1) {
            let end = rest.find(')').unwrap_or(rest.len());
            found.push(rest[..end].to_owned());
        }
    }
    found
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

fn is_valid(document: &Path, page: &str, target: &str) -> bool {
    if target.starts_with("https://") {
        return true;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = document.with_file_name(path);
    let read = |file: &Path| fs::read_to_string(file).unwrap_or_default();
    let text = match path {
        "" => page.to_owned(),
        _ if !file.exists() => return false,
        _ if anchor.is_empty() => return true,
        _ => read(&file),
    };
    anchors(&text).iter().any(|own| own == anchor)
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut broken = Vec::new();
    let mut count = 0;
    for document in documents() {
        let page = fs::read_to_string(&document).expect("a readable document");
        for target in targets(&page) {
            count += 1;
            if !is_valid(&document, &page, &target) {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(count > 50, "only {count} links were found");
    assert!(broken.is_empty(), "{broken:#?}");
}
