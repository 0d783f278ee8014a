//! Sources and other files of the repository, the places of tests that documents name, and temporary
//! folders.

use std::fs;
use std::path::{Path, PathBuf};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Adds the files below a folder that have this extension.
pub fn collect(folder: &Path, extension: &str, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            collect(&path, extension, files);
        } else if path.extension().is_some_and(|e| e == extension) {
            files.push(path);
        }
    }
}

/// All Rust sources at a place: a file, or everything below a folder.
pub fn sources(place: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    match place.is_dir() {
        true => collect(place, "rs", &mut files),
        false => files.push(place.to_owned()),
    }
    files.sort();
    let text =
        |path: &PathBuf| fs::read_to_string(path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let texts = files.iter().map(text).collect::<Vec<_>>();
    files.into_iter().zip(texts).collect()
}

/// The same, one after the other.
pub fn text(place: &Path) -> String {
    sources(place).into_iter().map(|(_, text)| text).collect()
}

/// The file of the test `binary::modules::name` below `tests`; `unit::module::name` is somewhere in
/// that module of the library.
#[track_caller]
pub fn place(test: &str) -> PathBuf {
    let parts: Vec<&str> = test.split("::").collect();
    let places = match parts[..] {
        ["unit", module, _] => vec![format!("src/{module}"), format!("src/{module}.rs")],
        // Separate packages.
        [package @ ("hostile" | "models"), module, _] => {
            vec![format!("tests/{package}/tests/{module}.rs")]
        }
        [binary, _] => vec![format!("tests/{binary}/main.rs")],
        [_, .., _] => {
            let module = parts[..parts.len() - 1].join("/");
            vec![
                format!("tests/{module}.rs"),
                format!("tests/{module}/mod.rs"),
            ]
        }
        _ => panic!("{test} is no path of a test"),
    };
    let mut places = places.iter().map(|place| root().join(place));
    let place = places.find(|place| place.exists());
    place.unwrap_or_else(|| panic!("{test}: no such file"))
}

/// Whether the test of this path exists.
pub fn exists(test: &str) -> bool {
    let (_, name) = test.rsplit_once("::").expect("a path");
    text(&place(test)).contains(&format!("fn {name}("))
}

/// A folder of the system's temporary files, removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let name = format!("rocketmq-blocking-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
