//! Reads the captures of the Java clients below `tests/golden`; the README there has the format.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rocketmq_blocking::protocol::{Command, frame};
use serde_json::{Map, Value, json};

use super::files::collect;

/// One captured frame.
pub struct Frame {
    /// `file:line`, for failure texts.
    pub place: String,
    /// The whole frame as it was on the wire.
    pub raw: Vec<u8>,
    /// The capture's own description of the frame.
    pub line: Value,
}

impl Frame {
    /// The frame, decoded by the library.
    pub fn command(&self) -> Command {
        let raw = frame::split(&self.raw).unwrap_or_else(|e| panic!("{}: {e}", self.place));
        let raw = raw.unwrap_or_else(|| panic!("{}: not a whole frame", self.place));
        Command::decode(raw).unwrap_or_else(|e| panic!("{}: {e}", self.place))
    }

    /// The code of the request that this is, or that this answers.
    pub fn request_code(&self) -> i64 {
        let code = self.line.get("request_code").unwrap_or(&self.line["code"]);
        code.as_i64().expect("every frame has a code")
    }

    pub fn is_response(&self) -> bool {
        self.line["kind"] == "response"
    }

    pub fn is_request(&self, codes: &[i32]) -> bool {
        !self.is_response() && codes.iter().any(|c| i64::from(*c) == self.request_code())
    }

    pub fn answers(&self, codes: &[i32]) -> bool {
        self.is_response() && codes.iter().any(|c| i64::from(*c) == self.request_code())
    }

    /// The captured header's fields; an absent map counts as an empty one.
    pub fn ext(&self) -> Value {
        let ext = self.line["header"].get("extFields");
        ext.cloned().unwrap_or_else(|| json!({}))
    }

    pub fn body(&self) -> Vec<u8> {
        unhex(self.line["body_hex"].as_str().expect("a body in hex"))
    }
}

/// All frames of all captures.
pub fn frames() -> &'static [Frame] {
    static FRAMES: LazyLock<Vec<Frame>> =
        LazyLock::new(|| files().iter().flat_map(|f| read(f)).collect());
    &FRAMES
}

/// All capture files, in subdirectories too.
pub fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&root(), "jsonl", &mut files);
    files.sort();
    files
}

/// A header's fields as JSON, to be compared as a map.
pub fn as_map<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let map: Map<String, Value> = fields.map(|(n, v)| (n.to_owned(), json!(v))).collect();
    Value::Object(map)
}

/// The names under which two JSON values differ, at any depth.
pub fn differences(a: &Value, b: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    differ("(the whole)", a, b, &mut names);
    names
}

fn differ(name: &str, a: &Value, b: &Value, names: &mut BTreeSet<String>) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()) {
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => differ(key, a, b, names),
                    _ => drop(names.insert(key.clone())),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (a, b) in a.iter().zip(b) {
                differ(name, a, b, names);
            }
        }
        _ if a == b => {}
        _ => drop(names.insert(name.to_owned())),
    }
}

fn root() -> PathBuf {
    super::files::root().join("tests/golden")
}

/// The frames of a file; its first line describes the Java program.
fn read(file: &Path) -> Vec<Frame> {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{file:?}: {e}"));
    let name = file.strip_prefix(root()).unwrap_or(file).display();
    let frames = text.lines().enumerate().skip(1).map(|(index, line)| {
        let place = format!("{name}:{}", index + 1);
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{place}: {e}"));
        let raw = unhex(line["raw_hex"].as_str().expect("a frame in hex"));
        Frame { place, raw, line }
    });
    frames.collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    assert!(
        text.len() % 2 == 0 && text.is_ascii(),
        "not hexadecimal: {text}"
    );
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}
