//! How files depend on each other: imports without circles, and few files in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::source::Source;

/// Circles that are still open, by the files in them. A type and its builder may import each other.
const OPEN_CIRCLES: &[&[&str]] = &[];

/// Folders below `src` that still have more files than fit.
const FULL_FOLDERS: &[&str] = &[];

/// Types whose methods are still in more files, as `file::Type`.
const SCATTERED_TYPES: &[&str] = &["client/core.rs::Client"];

/// The most files in a folder: more are not read.
const MOST_FILES: usize = 13;

/// The most files with methods of one type.
const MOST_PLACES: usize = 2;

/// Layers of the same level that must not import each other.
const STRANGERS: [&str; 2] = ["producer", "consumer"];

#[test]
fn files_import_each_other_in_no_circle() {
    let circles = House::new(Source::all()).circles();
    let open = |circle: &Vec<&str>| OPEN_CIRCLES.iter().any(|known| **known == circle[..]);
    let new: Vec<_> = circles.iter().filter(|c| !open(c)).collect();
    assert!(new.is_empty(), "files that import each other: {new:#?}");
    for known in OPEN_CIRCLES {
        let there = circles.iter().any(|circle| circle[..] == **known);
        assert!(there, "this circle is not there any more: {known:?}");
    }
}

#[test]
fn producers_and_consumers_do_not_know_each_other() {
    let found = strangers_meet(Source::all());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn folders_hold_a_dozen_files() {
    let full = full_folders(Source::all());
    let new: Vec<_> = full.iter().filter(|f| !FULL_FOLDERS.contains(f)).collect();
    assert!(new.is_empty(), "more than {MOST_FILES} files in {new:?}");
    for known in FULL_FOLDERS {
        assert!(full.contains(known), "{known} needs no exception");
    }
}

#[test]
fn methods_of_one_type_are_in_at_most_two_files() {
    let scattered = House::new(Source::all()).scattered();
    let known = |found: &(String, _)| SCATTERED_TYPES.contains(&&*found.0);
    let new: Vec<_> = scattered.iter().filter(|found| !known(found)).collect();
    assert!(new.is_empty(), "{new:#?}");
    for known in SCATTERED_TYPES {
        let there = scattered.iter().any(|(name, _)| name == known);
        assert!(there, "{known} needs no exception");
    }
}

fn full_folders(sources: &[Source]) -> Vec<&str> {
    let mut files: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources {
        let folder = source
            .path
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        *files.entry(folder).or_default() += 1;
    }
    files.retain(|_, files| *files > MOST_FILES);
    files.into_keys().collect()
}

fn strangers_meet(sources: &[Source]) -> Vec<String> {
    let house = House::new(sources);
    let top = |file: &str| file.split('/').next().map(str::to_owned);
    let mut found = Vec::new();
    for (from, targets) in &house.imports {
        for to in targets {
            let (one, other) = (top(from).unwrap(), top(to).unwrap());
            let both = STRANGERS.contains(&&*one) && STRANGERS.contains(&&*other);
            if both && one != other {
                found.push(format!("{from} imports {to}"));
            }
        }
    }
    found
}

/// All files as modules, with their imports.
struct House<'a> {
    sources: &'a [Source],
    /// Files by the paths of their modules.
    modules: BTreeMap<Vec<String>, &'a Source>,
    /// The names that `use` brings into each file.
    names: BTreeMap<&'a str, BTreeMap<String, Vec<String>>>,
    imports: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> House<'a> {
    fn new(sources: &'a [Source]) -> House<'a> {
        let modules = sources.iter().map(|s| (module(s), s)).collect();
        let mut house = House {
            sources,
            modules,
            names: BTreeMap::new(),
            imports: BTreeMap::new(),
        };
        for source in sources {
            let uses = uses(source);
            let paths = source.paths().into_iter();
            let imported = paths.filter(|p| uses.iter().any(|range| range.contains(&p.at)));
            let named = imported.filter_map(|p| {
                let name = p.segments.last()?.clone();
                Some((name, house.absolute(source, &p.segments)?))
            });
            let named = named.collect();
            house.names.insert(&source.path, named);
        }
        for source in sources {
            let targets = house.targets(source);
            house.imports.insert(&source.path, targets);
        }
        house
    }

    /// A path from the root of the crate, if it leads into the crate.
    fn absolute(&self, source: &Source, path: &[String]) -> Option<Vec<String>> {
        let mut base = module(source);
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|s| s == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            // A bare word is a variable, or `mod name;`.
            _ if rest.len() == 1 => return None,
            first => {
                let mut child = base.clone();
                child.push(first.to_owned());
                self.modules.get(&child)?;
            }
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// The file that defines the item of a path, found through re-exports.
    fn file_of(&self, path: &[String], most: usize) -> Option<&'a str> {
        let mut deep = path.len();
        while !self.modules.contains_key(&path[..deep]) {
            deep = deep.checked_sub(1)?;
        }
        let source = self.modules[&path[..deep]];
        let rest = &path[deep..];
        let reexported = rest.first().and_then(|name| {
            let names = self.names.get(&*source.path)?;
            names.get(name).filter(|_| most > 0)
        });
        match reexported {
            Some(target) => self.file_of(&[target, &rest[1..]].concat(), most - 1),
            // A folder, and not something in it.
            None if rest.is_empty() && source.path.ends_with("mod.rs") => None,
            None => Some(&source.path),
        }
    }

    fn targets(&self, source: &Source) -> BTreeSet<&'a str> {
        let uses = uses(source);
        let is_list = source.path.ends_with("mod.rs") || source.path == "lib.rs";
        let paths = source.paths().into_iter();
        // A re-export is used by the files that name it.
        let paths = paths.filter(|p| !is_list || !uses.iter().any(|range| range.contains(&p.at)));
        let paths = paths.filter_map(|p| self.absolute(source, &p.segments));
        let files = paths.filter_map(|path| self.file_of(&path, 8));
        files.filter(|file| *file != source.path).collect()
    }

    /// Files that lead back to themselves, each circle with all that belongs to it.
    fn circles(&self) -> Vec<Vec<&'a str>> {
        let reached: BTreeMap<&str, BTreeSet<&'a str>> = self
            .sources
            .iter()
            .map(|source| (&*source.path, self.reached(&source.path)))
            .collect();
        let mut circles: Vec<Vec<&'a str>> = Vec::new();
        for source in self.sources {
            let file = &*source.path;
            let own = &reached[file];
            let back = |other: &&&str| reached[**other].contains(file);
            let circle: Vec<&'a str> = own.iter().filter(back).copied().collect();
            if circle.len() > 1 && !circles.contains(&circle) && !is_builder_pair(&circle) {
                circles.push(circle);
            }
        }
        circles
    }

    fn reached(&self, from: &str) -> BTreeSet<&'a str> {
        let mut reached: BTreeSet<&'a str> = BTreeSet::new();
        let mut open: Vec<&str> = vec![from];
        while let Some(file) = open.pop() {
            for next in &self.imports[file] {
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
        reached
    }

    /// Types whose methods are in too many files.
    fn scattered(&self) -> Vec<(String, BTreeSet<&'a str>)> {
        let mut places: BTreeMap<String, BTreeSet<&'a str>> = BTreeMap::new();
        for source in self.sources {
            for name in own_impls(&source.code) {
                let is_here = ["struct", "enum", "union"].iter().any(|kind| {
                    let declared = format!("{kind} {name}");
                    let mut found = source.code.match_indices(&declared);
                    found.any(|(at, text)| !source.code[at + text.len()..].starts_with(is_word))
                });
                let imported = || {
                    let path = self.names[&*source.path].get(&name)?;
                    self.file_of(path, 8)
                };
                let home = is_here.then_some(&*source.path).or_else(imported);
                if let Some(home) = home {
                    let type_name = format!("{home}::{name}");
                    places.entry(type_name).or_default().insert(&source.path);
                }
            }
        }
        places.retain(|_, files| files.len() > MOST_PLACES);
        places.into_iter().collect()
    }
}

fn is_builder_pair(circle: &[&str]) -> bool {
    circle.len() == 2 && circle.iter().any(|file| file.ends_with("/builder.rs"))
}

fn module(source: &Source) -> Vec<String> {
    let path = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
    match path {
        "lib" => Vec::new(),
        _ => path.split('/').map(str::to_owned).collect(),
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The places of a file's `use` declarations.
fn uses(source: &Source) -> Vec<Range<usize>> {
    let code = &source.code;
    let starts = code.match_indices("use ").map(|(at, _)| at);
    let starts = starts.filter(|at| !code[..*at].ends_with(is_word));
    starts
        .map(|at| at..at + code[at..].find(';').unwrap_or(code.len() - at))
        .collect()
}

/// The types of `impl Type { .. }`, without those of `impl Trait for Type`.
fn own_impls(code: &str) -> Vec<String> {
    let starts = code.match_indices("impl").filter_map(|(at, _)| {
        let fresh = at == 0 || code[..at].ends_with('\n');
        code[at + 4..].split_once('{').filter(|_| fresh)
    });
    let own = starts.filter_map(|(head, _)| {
        let mut head = head.trim();
        if head.starts_with('<') {
            let mut depth = 0;
            let end = head.char_indices().find(|(at, c)| {
                depth += i32::from(*c == '<') - i32::from(*c == '>' && !head[..*at].ends_with('-'));
                depth == 0
            });
            head = head[end?.0 + 1..].trim();
        }
        let is_own = !head.contains(" for ");
        let name: String = head.chars().take_while(|c| is_word(*c)).collect();
        (is_own && !name.is_empty()).then_some(name)
    });
    own.collect()
}

/// The rules themselves are tested: they must find violations.
#[test]
fn the_rules_of_structure_find_exactly_the_violations() {
    let house = |files: &[(&str, &str)]| -> Vec<Source> {
        let sources = files.iter().map(|(path, text)| Source::new(path, text));
        sources.collect()
    };
    let lists = (
        "a/mod.rs",
        "mod one; mod two;\npub use one::One;\npub use two::Two;",
    );
    let root = ("lib.rs", "mod a;\npub use a::One;");
    let circles = |one: &str, two: &str| {
        let files = house(&[root, lists, ("a/one.rs", one), ("a/two.rs", two)]);
        House::new(&files).circles().len()
    };
    let (one, two) = ("pub struct One;", "use super::One;\npub struct Two(One);");
    assert_eq!(circles(one, two), 0);
    assert_eq!(circles("use super::two::Two;\npub struct One;", two), 1);
    assert_eq!(circles("use crate::a::{Two, x};\npub struct One;", two), 1);
    assert_eq!(
        circles("fn f() { super::Two::new() }", "use crate::One;"),
        1
    );
    assert_eq!(
        circles("#[cfg(test)]\nmod tests { use super::super::Two; }", two),
        0
    );
    assert_eq!(circles("use std::a::Two;", two), 0);
    let pair = house(&[
        ("a/mod.rs", "pub use builder::B; pub use thing::T;"),
        ("a/builder.rs", "use super::T;"),
        ("a/thing.rs", "use super::B;"),
    ]);
    assert!(House::new(&pair).circles().is_empty());

    let strangers = house(&[
        ("producer/mod.rs", "pub use a::A;"),
        ("producer/a.rs", "pub struct A;"),
        ("consumer/b.rs", "use crate::producer::A;"),
    ]);
    assert_eq!(
        strangers_meet(&strangers),
        ["consumer/b.rs imports producer/a.rs"]
    );

    let scattered = house(&[
        ("a/mod.rs", "pub use one::One;"),
        (
            "a/one.rs",
            "pub struct One;\nimpl One {\n}\nimpl<T: Fn() -> u8> Two<T> {}",
        ),
        (
            "a/two.rs",
            "use super::One;\nimpl One {}\nimpl fmt::Debug for One {}",
        ),
        ("a/three.rs", "use super::One;\nimpl One {}"),
        ("a/four.rs", "pub struct One;\nimpl One {}"),
    ]);
    let found = House::new(&scattered).scattered();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "a/one.rs::One");
    assert_eq!(found[0].1.len(), 3);

    let many: Vec<_> = (0..14)
        .map(|i| Source::new(&format!("a/{i}.rs"), ""))
        .collect();
    assert_eq!(full_folders(&many), ["a"]);
    assert!(full_folders(&many[1..]).is_empty());
}
