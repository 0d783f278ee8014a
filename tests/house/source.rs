//! Reads Rust sources as text, well enough to find paths, macros and literals in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::support::files::collect;

/// One source file of the library.
pub struct Source {
    /// Below `src`, with `/`.
    pub path: String,
    /// As it is.
    pub text: String,
    /// Without comments, texts and test code; every other byte stays where it is.
    pub code: String,
    /// Without comments and test code.
    pub with_texts: String,
}

/// A path such as `std::net::TcpStream`, with the groups of `use` written out.
pub struct NamedPath {
    pub at: usize,
    pub segments: Vec<String>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let mut code = mask(text, false);
        let mut with_texts = mask(text, true);
        for (start, end) in test_items(&code) {
            blank(&mut code, start, end);
            blank(&mut with_texts, start, end);
        }
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            with_texts,
        }
    }

    /// All of `src`, but for the files of modules that exist only in tests.
    pub fn all() -> &'static [Source] {
        static ALL: LazyLock<Vec<Source>> = LazyLock::new(Source::read_all);
        &ALL
    }

    fn read_all() -> Vec<Source> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files: Vec<PathBuf> = Vec::new();
        collect(&root, "rs", &mut files);
        files.sort();
        let sources: Vec<Source> = files
            .iter()
            .map(|file| {
                let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{file:?}: {e}"));
                let path = file.strip_prefix(&root).unwrap_or(file);
                Source::new(&path.to_string_lossy().replace('\\', "/"), &text)
            })
            .collect();
        let test_only: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
        let is_test = |s: &Source| {
            let path = s.path.trim_end_matches(".rs").trim_end_matches("/mod");
            test_only
                .iter()
                .any(|t| path == t || path.starts_with(&format!("{t}/")))
        };
        sources.into_iter().filter(|s| !is_test(s)).collect()
    }

    /// The module at the top of the crate to which this file belongs.
    pub fn top_module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs")
    }

    /// The depth of the module: 0 for `lib.rs`, 1 for `error.rs`, `message/mod.rs`.
    pub fn depth(&self) -> usize {
        let path = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        if path == "lib" {
            0
        } else {
            path.split('/').count()
        }
    }

    /// `file:line` of a byte, and the line itself, for a failure text.
    pub fn show(&self, at: usize) -> String {
        let line = self.text[..at].matches('\n').count();
        let text = self.text.lines().nth(line).unwrap_or_default().trim();
        format!("src/{}:{}: {text}", self.path, line + 1)
    }

    /// All paths in the code, single words included.
    pub fn paths(&self) -> Vec<NamedPath> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.code.len() {
            if starts_word(&self.code, at) {
                at = path_at(&self.code, at, &[], &mut paths);
            } else {
                at += 1;
            }
        }
        paths
    }

    /// Where each macro of these names is called.
    pub fn macros<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
        let paths = self.paths().into_iter();
        paths.filter_map(|path| {
            let name = path.segments.last()?;
            let end = path.at + word(&self.code[path.at..]).len();
            let called = self.code[end..].trim_start().starts_with('!');
            (called && names.contains(&name.as_str())).then_some(path.at)
        })
    }

    /// Files of `#[cfg(test)] mod name;`, as `directory/name`.
    fn test_modules(&self) -> Vec<String> {
        let code = mask(&self.text, false);
        let base = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let base = if base == "lib" {
            String::new()
        } else {
            format!("{base}/")
        };
        let items = test_items(&code).into_iter();
        items
            .filter_map(|(start, end)| {
                let name = code[start..end].trim_end().strip_suffix(';')?;
                let (_, name) = name.rsplit_once("mod ")?;
                Some(format!("{base}{}", name.trim()))
            })
            .collect()
    }
}

/// Reads the path, or the tree of a `use`, that starts at `at`; returns where it ends.
fn path_at(code: &str, at: usize, before: &[String], paths: &mut Vec<NamedPath>) -> usize {
    let mut segments = before.to_vec();
    let mut last = at;
    let mut end = at;
    loop {
        let name = word(&code[end..]);
        if name.is_empty() {
            break;
        }
        segments.push(name.to_owned());
        (last, end) = (end, end + name.len());
        let Some(rest) = code[end..].trim_start().strip_prefix("::") else {
            break;
        };
        let next = code.len() - rest.trim_start().len();
        match code[next..].chars().next() {
            Some('{') => return group_at(code, next + 1, &segments, paths),
            Some('*') => {
                segments.push("*".to_owned());
                end = next + 1;
                break;
            }
            _ if word(&code[next..]).is_empty() => break,
            _ => end = next,
        }
    }
    paths.push(NamedPath { at: last, segments });
    end
}

/// Reads the inside of `{..}` of a `use`.
fn group_at(code: &str, mut at: usize, before: &[String], paths: &mut Vec<NamedPath>) -> usize {
    while let Some(c) = code[at..].chars().next() {
        match c {
            '}' => return at + 1,
            '*' => {
                let segments = [before, &["*".to_owned()]].concat();
                paths.push(NamedPath { at, segments });
                at += 1;
            }
            _ if starts_word(code, at) => at = path_at(code, at, before, paths),
            _ => at += c.len_utf8(),
        }
    }
    at
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The identifier at the start of a text.
fn word(text: &str) -> &str {
    let end = text.bytes().position(|b| !is_word(b)).unwrap_or(text.len());
    &text[..end]
}

/// Whether an identifier starts here that is no lifetime.
fn starts_word(code: &str, at: usize) -> bool {
    let bytes = code.as_bytes();
    let before = at.checked_sub(1).map(|i| bytes[i]);
    let fresh = before.is_none_or(|b| !is_word(b) && b != b'\'');
    fresh && (bytes[at].is_ascii_alphabetic() || bytes[at] == b'_')
}

/// Replaces comments, and texts unless they are kept, by blanks.
fn mask(text: &str, keep_texts: bool) -> String {
    let mut masked = text.as_bytes().to_vec();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let fresh = at == 0 || !is_word(text.as_bytes()[at - 1]);
        if rest.starts_with("//") {
            let end = at + rest.find('\n').unwrap_or(rest.len());
            blank_bytes(&mut masked[at..end]);
            at = end;
        } else if rest.starts_with("/*") {
            let end = at + comment_len(rest);
            blank_bytes(&mut masked[at..end]);
            at = end;
        } else if let Some(len) = text_len(rest, fresh) {
            if !keep_texts {
                blank_bytes(&mut masked[at..at + len]);
            }
            at += len;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    String::from_utf8(masked).expect("whole tokens were blanked")
}

/// The length of the (nestable) block comment at the start.
fn comment_len(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let pair = &text.as_bytes()[at..text.len().min(at + 2)];
        match pair {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the text or character literal at the start, if there is one.
fn text_len(text: &str, fresh: bool) -> Option<usize> {
    let unprefixed = text.trim_start_matches(['b', 'c']);
    let raw = unprefixed.strip_prefix('r').filter(|_| fresh);
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if let Some(inside) = raw[hashes..].strip_prefix('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let end = inside.find(&close).map_or(0, |i| inside.len() - i);
            return Some(text.len() - end + close.len().min(end));
        }
    }
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut inside = text.char_indices().skip(1);
    if quote == '\'' {
        // 'a' and '\n' are characters; 'a without a second quote is a lifetime.
        let (_, first) = inside.next()?;
        let (next, second) = inside.next()?;
        if first != '\\' {
            return (second == '\'').then_some(next + 1);
        }
    }
    while let Some((at, c)) = inside.next() {
        if c == '\\' {
            inside.next();
        } else if c == quote {
            return Some(at + 1);
        }
    }
    Some(text.len())
}

/// Where the items under `#[cfg(test)]` start and end.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(") {
        let start = from + found;
        let end = item_end(code, start);
        let condition = &code[start + 6..];
        if condition.starts_with("test)") || condition.starts_with("all(test") {
            items.push((start, end));
            from = end;
        } else {
            from = start + 6;
        }
    }
    items
}

/// The end of an item: its `;`, or the `}` of its body.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' => depth -= 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

fn blank(text: &mut String, start: usize, end: usize) {
    let mut part = text.as_bytes()[start..end].to_vec();
    blank_bytes(&mut part);
    let blanks = String::from_utf8(part).expect("blanks");
    text.replace_range(start..end, &blanks);
}

/// Leaves the ends of lines, so that what follows keeps its line.
fn blank_bytes(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|b| **b != b'\n') {
        *byte = b' ';
    }
}

/// Blanks everything inside the `{}` behind `at`.
pub fn blank_block(code: &mut String, at: usize) {
    if let Some(open) = code[at..].find(['{', '(']) {
        let end = item_end(code, at + open);
        blank(code, at, end);
    }
}
