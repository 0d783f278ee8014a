//! The crate's dependencies: how many, and of which kinds.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The most crates that a program gets with ours, on the platform that the tests run on. Each one is
/// something to compile, to trust and to update.
const MOST_CRATES: usize = 25;

/// The crates below ours, as `name version` with a mark for procedural macros, by kinds of edges.
///
/// Cargo reports them, since it knows the features and the platform. With the default features
/// only, whatever the tests run with; offline, since the crates have been downloaded for the tests.
fn tree(edges: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .args(["tree", "--locked", "--offline", "--no-dedupe"])
        .args(["--package", env!("CARGO_PKG_NAME")])
        .args(["--prefix", "none", "--format", "{p}", "--edges", edges])
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree: {said}");
    let text = String::from_utf8(output.stdout).expect("names in UTF-8");
    let ours = concat!(env!("CARGO_PKG_NAME"), " ");
    let crates: BTreeSet<String> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with(ours))
        .map(str::to_owned)
        .collect();
    assert!(crates.iter().any(|one| one.starts_with("serde ")), "{text}");
    crates
}

fn name(line: &str) -> &str {
    line.split(' ').next().unwrap_or(line)
}

#[test]
fn the_default_set_of_crates_is_small() {
    let crates = tree("normal");
    let count = crates.len();
    assert!(count <= MOST_CRATES, "{count} crates: {crates:#?}");
}

#[test]
fn no_crate_of_the_default_set_comes_in_two_versions() {
    let crates = tree("normal,build");
    let names: BTreeSet<&str> = crates.iter().map(|line| name(line)).collect();
    assert_eq!(names.len(), crates.len(), "{crates:#?}");
}

#[test]
fn the_default_set_compiles_no_c_and_has_serdes_procedural_macro_only() {
    let crates = tree("normal,build");
    // Crates with which build scripts compile or find C code.
    let c = ["bindgen", "cc", "cmake", "pkg-config", "vcpkg"];
    let compiles: Vec<_> = crates.iter().filter(|l| c.contains(&name(l))).collect();
    assert!(compiles.is_empty(), "{compiles:?}");
    let macros = crates.iter().filter(|line| line.ends_with("(proc-macro)"));
    let macros: Vec<&str> = macros.map(|line| name(line)).collect();
    assert_eq!(macros, ["serde_derive"]);
}
