//! The rules of the architecture, checked on the sources as text. A violation is reported with its
//! line.

use std::collections::BTreeSet;

use crate::source::Source;

/// The modules at the top and their levels: an import may only go to a lower one.
const LEVELS: &[(&str, u32)] = &[
    ("error", 0),
    ("message", 0),
    ("panics", 0),
    ("protocol", 1),
    ("sync", 1),
    ("logging", 1),
    ("transport", 2),
    ("client", 3),
    ("send", 4),
    ("producer", 5),
    ("consumer", 5),
    // Shows private parts of any level to the benchmarks; nothing may import it.
    ("internals", 6),
];

/// What the in-process cluster may import: it has its own sockets, and shares with the tested
/// client only the wire format and the handling of panics and log lines.
const EMBEDDED_IMPORTS: &[&str] = &["error", "logging", "message", "panics", "protocol"];

/// Files (below `src`) that may use `thread_local!`, and why.
const THREAD_LOCALS: &[(&str, &str)] = &[
    (
        "transport/request.rs",
        "a buffer for headers, and the start of the last one: the written bytes do not depend on it",
    ),
    (
        "transport/connection/call.rs",
        "a waiter that each thread uses again and that carries nothing from call to call",
    ),
    (
        "transport/remoting.rs",
        "when a thread last looked whether it is in a fork of the process",
    ),
];

/// Files (below `src`) that may name the clock on the wall, which jumps, and why. Whatever waits,
/// expires or repeats goes by `Instant`.
const WALL_CLOCKS: &[(&str, &str)] = &[
    (
        "message/message.rs",
        "a time of delivery that the caller chose",
    ),
    ("message/schedule.rs", "the same, as brokers read it"),
    ("message/view.rs", "when a message was born and stored"),
    (
        "transport/work/wait.rs",
        "when a message was born, beside the clock to wait by",
    ),
    ("transport/work/mod.rs", "hands on the former"),
    ("transport/mod.rs", "hands on the former"),
    ("message/id.rs", "the same, as the key has it"),
    (
        "client/admin/calls.rs",
        "when messages were stored, by the broker's clock",
    ),
    (
        "send/prepared_message.rs",
        "when a message was born, beside the clock that deadlines go by",
    ),
    ("client/admin/questions.rs", "the same"),
    ("client/admin/group.rs", "the same"),
    ("client/admin/dead_letters.rs", "the same"),
    (
        "client/admin/reports.rs",
        "a time to go on from that the caller chose",
    ),
    ("send/prepared_message/batch.rs", "the same"),
    ("send/flow.rs", "the same, in the request"),
    (
        "producer/gather/gatherer.rs",
        "the same, for the keys of batches",
    ),
    ("producer/trace.rs", "when something happened, for people"),
    ("consumer/consume/trace.rs", "the same"),
    (
        "consumer/offset/start.rs",
        "a time to start from that the caller chose",
    ),
    (
        "consumer/pull/seek.rs",
        "a time to go on from that the caller chose",
    ),
    ("consumer/ends.rs", "how old a message is, for people"),
    (
        "consumer/control/start.rs",
        "since when the consumer runs, for operators",
    ),
    (
        "consumer/control/asked/answers.rs",
        "when something happened, for operators",
    ),
    ("consumer/questions.rs", "the same"),
    (
        "consumer/offset/local.rs",
        "when a queue was last ours, in a file that outlives the process",
    ),
    (
        "consumer/running.rs",
        "a version that tells newer subscriptions of a group from older ones, of all its members",
    ),
    (
        "consumer/simple/running.rs",
        "the same, and when the consumer started, which tools print",
    ),
    (
        "consumer/pop/shared.rs",
        "the time that a long poll names until the broker's own clock is known",
    ),
];

/// Files (below `src`) of the protocol and of messages that may have a `OnceLock`, and why.
const LAZY: &[(&str, &str)] = &[(
    "message/view.rs",
    "properties are parsed on first use: an invisible cache",
)];

/// More than this in a file, and it has a second subject.
const MOST_LINES: usize = 500;

/// Linux cuts longer names of threads.
const LONGEST_THREAD_NAME: usize = 15;

/// A rule: returns the violations in the sources.
type Rule = fn(&[Source]) -> Vec<String>;

#[test]
fn the_protocol_is_pure() {
    assert_none(impure, "the protocol and messages are functions of values");
}

#[test]
fn arrows_go_one_way() {
    assert_none(arrows_up, "an import goes up, or sideways");
}

#[test]
fn the_library_reads_no_environment_and_has_no_global_state() {
    assert_none(global_state, "configuration and state belong to a client");
}

#[test]
fn locks_come_from_one_place() {
    assert_none(foreign_locks, "crate::sync has locks");
}

#[test]
fn no_deadline_goes_by_the_clock_on_the_wall() {
    assert_none(wall_clock, "a clock that jumps is no clock to wait by");
    for (file, why) in WALL_CLOCKS {
        let source = Source::all().iter().find(|s| s.path == *file);
        let source = source.unwrap_or_else(|| panic!("{file} ({why}) is not there"));
        assert!(
            source.paths().iter().any(|p| is_wall_clock(&p.segments)),
            "{file} ({why}) needs no exception"
        );
    }
}

#[test]
fn the_library_prints_nothing() {
    assert_none(prints, "the library logs, and prints nothing");
}

#[test]
fn files_are_short() {
    assert_none(long_files, "look for the second subject of the file");
}

#[test]
fn names_of_threads_fit() {
    assert_none(long_thread_names, "the name of a thread is cut");
}

#[test]
fn every_line_of_the_log_has_the_target_of_its_layer() {
    assert_none(other_targets, "a module's path is no name to filter by");
}

#[test]
fn the_logger_is_called_in_one_place() {
    assert_none(
        bare_loggers,
        "a logger that panics ends a thread that many sends depend on",
    );
}

#[test]
fn the_guide_names_all_threads_and_no_others() {
    let sources = Source::all();
    let names = |text: &str, mark: char| -> BTreeSet<String> {
        let begin = format!("{mark}rmq-");
        let ends = text.split(&begin).skip(1);
        ends.filter_map(|rest| rest.split(mark).next())
            .map(|name| format!("rmq-{name}"))
            .collect()
    };
    let code = sources.iter().flat_map(|s| names(&s.with_texts, '"'));
    let guide = sources.iter().find(|s| s.path == "lib.rs").expect("lib.rs");
    let (_, section) = guide.text.split_once("//! # Threads").expect("it");
    let (section, _) = section.split_once("//! # ").expect("the next one");
    let documented = names(section, '`');
    assert!(documented.len() > 10, "{documented:?}");
    assert_eq!(documented, code.collect());
}

/// Those that are still to come are counted too.
#[test]
fn the_root_has_few_names() {
    const TO_COME: &[&str] = &[
        "PushConsumer",
        "PullConsumer",
        "SimpleConsumer",
        "Filter",
        "StartFrom",
        "Retry",
    ];
    let lib = Source::all().iter().find(|s| s.path == "lib.rs");
    let lib = lib.expect("lib.rs");
    // Behind a line break: those of the modules in it are indented.
    let uses = lib.code.split("\npub use ").skip(1);
    let mut names: BTreeSet<String> = TO_COME.iter().map(|name| (*name).to_owned()).collect();
    for list in uses.filter_map(|rest| rest.split(';').next()) {
        let list = list.rsplit("::").next().unwrap_or(list);
        let words = list.split(|c: char| !c.is_alphanumeric() && c != '_');
        names.extend(words.filter(|w| !w.is_empty()).map(str::to_owned));
    }
    assert!(
        names.contains("Producer") && names.contains("MessageView"),
        "{names:?}"
    );
    assert!(names.len() <= 30, "{} names: {names:?}", names.len());
}

#[track_caller]
fn assert_none(rule: Rule, why: &str) {
    let sources = Source::all();
    let modules = ["error", "message", "protocol"];
    for module in modules {
        let there = sources.iter().any(|s| s.top_module() == module);
        assert!(there, "no source of {module} was read");
    }
    let found = rule(sources);
    assert!(found.is_empty(), "{why}:\n  {}", found.join("\n  "));
}

/// Sockets, threads, clocks, locks and channels where there should be none. `IpAddr` and
/// `SocketAddr` are values, and so is a `SystemTime` that was given.
fn impure(sources: &[Source]) -> Vec<String> {
    const WORDS: &[&str] = &[
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "UnixStream",
        "UnixListener",
        "ToSocketAddrs",
        "Instant",
        "Mutex",
        "RwLock",
        "Condvar",
        "Once",
        "OnceLock",
        "LazyLock",
        "Barrier",
        "mpsc",
        "atomic",
        "parking_lot",
        "crossbeam",
        "crossbeam_channel",
        "thread_local",
    ];
    const PAIRS: &[(&str, &str)] = &[
        ("SystemTime", "now"),
        ("std", "thread"),
        ("thread", "spawn"),
        ("thread", "sleep"),
        ("std", "fs"),
        ("std", "process"),
        ("net", "*"),
        ("time", "*"),
        ("sync", "*"),
    ];
    find(sources, |source, path| {
        let pure = matches!(source.top_module(), "protocol" | "message");
        let lazy = LAZY.iter().any(|(file, _)| *file == source.path);
        let word = |s: &String| WORDS.contains(&s.as_str()) && !(lazy && s == "OnceLock");
        pure && (path.iter().any(word) || has_pair(path, PAIRS))
    })
}

fn arrows_up(sources: &[Source]) -> Vec<String> {
    let reexports = reexports(sources);
    find(sources, |source, path| {
        let from = source.top_module();
        if from == "lib" {
            return false;
        }
        let Some(target) = below_root(source, path) else {
            return false;
        };
        let reexported = reexports.iter().find(|(name, _)| name == target);
        let to = reexported.map_or(target, |(_, module)| module.as_str());
        // A glob hides what it imports; anything else unknown is a macro, or does not compile.
        to == "*" || is_module(sources, to) && !may_import(from, to)
    })
}

fn global_state(sources: &[Source]) -> Vec<String> {
    let mut found = find(sources, |_, path| {
        has_pair(path, &[("std", "env"), ("env", "var"), ("env", "var_os")])
            || path.iter().any(|s| s == "lazy_static")
    });
    for source in sources {
        let listed = THREAD_LOCALS.iter().any(|(file, _)| *file == source.path);
        let mut rest = Source::new(&source.path, &source.text);
        for at in source.macros(&["thread_local"]) {
            crate::source::blank_block(&mut rest.code, at);
            if !listed {
                found.push(source.show(at));
            }
        }
        // A `static` that needs no change can be a `const`.
        let statics = rest
            .paths()
            .into_iter()
            .filter(|p| p.segments == ["static"]);
        found.extend(statics.map(|p| source.show(p.at)));
    }
    found
}

/// The in-process cluster is exempt.
fn foreign_locks(sources: &[Source]) -> Vec<String> {
    find(sources, |source, path| {
        let free = ["embedded", "sync"].contains(&source.top_module());
        !free && path.iter().any(|segment| segment == "parking_lot")
    })
}

fn wall_clock(sources: &[Source]) -> Vec<String> {
    find(sources, |source, path| {
        let listed = WALL_CLOCKS.iter().any(|(file, _)| *file == source.path);
        !listed && source.top_module() != "embedded" && is_wall_clock(path)
    })
}

fn is_wall_clock(path: &[String]) -> bool {
    const WORDS: &[&str] = &["SystemTime", "UNIX_EPOCH", "epoch_millis"];
    path.iter().any(|s| WORDS.contains(&s.as_str())) || has_pair(path, &[("time", "*")])
}

fn prints(sources: &[Source]) -> Vec<String> {
    let names = ["println", "print", "eprintln", "eprint", "dbg"];
    let found = sources
        .iter()
        .flat_map(|s| s.macros(&names).map(|at| s.show(at)).collect::<Vec<_>>());
    found.collect()
}

fn other_targets(sources: &[Source]) -> Vec<String> {
    let names = ["error", "warn", "info", "debug", "trace", "log"];
    let mut found = Vec::new();
    for source in sources.iter().filter(|s| s.path != "logging.rs") {
        for at in source.macros(&names) {
            let arguments = source.code[at..].split_once("!(").map(|(_, rest)| rest);
            if !arguments.is_some_and(|rest| rest.trim_start().starts_with("target: LOG,")) {
                found.push(source.show(at));
            }
        }
    }
    found
}

/// `logging.rs` guards what a logger does.
fn bare_loggers(sources: &[Source]) -> Vec<String> {
    let names = ["error", "warn", "info", "debug", "trace", "log"];
    let mut found = Vec::new();
    for source in sources.iter().filter(|s| s.path != "logging.rs") {
        for at in source.macros(&names) {
            if !source.code[..at].ends_with("logging::") {
                found.push(source.show(at));
            }
        }
    }
    found
}

fn long_files(sources: &[Source]) -> Vec<String> {
    let lines = |s: &Source| s.text.lines().count();
    let long = sources.iter().filter(|s| lines(s) > MOST_LINES);
    long.map(|s| format!("src/{}: {} lines", s.path, lines(s)))
        .collect()
}

fn long_thread_names(sources: &[Source]) -> Vec<String> {
    // The calls that name a thread, and the prefixes of thread names.
    const MARKS: &[&str] = &[".name(", ".spawn(", "thread_name:", "\"rmq-", "\"mq-"];
    let mut found = Vec::new();
    for source in sources {
        let text = &source.with_texts;
        let places = MARKS.iter().flat_map(|mark| text.match_indices(mark));
        for (at, mark) in places {
            let value = text[at + mark.find('"').unwrap_or(mark.len())..].trim_start();
            let value = value.trim_start_matches("format!(");
            let Some(value) = value.trim_start().strip_prefix('"') else {
                continue;
            };
            let name = value.split('"').next().unwrap_or_default();
            // A placeholder counts as two digits.
            let (fixed, number) = name.split_once('{').map_or((name, 0), |(f, _)| (f, 2));
            if fixed.len() + number > LONGEST_THREAD_NAME {
                found.push(source.show(at));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The lines whose paths a rule forbids.
fn find(sources: &[Source], forbidden: impl Fn(&Source, &[String]) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        for path in source.paths() {
            if forbidden(source, &path.segments) {
                found.push(source.show(path.at));
            }
        }
    }
    found
}

fn has_pair(path: &[String], pairs: &[(&str, &str)]) -> bool {
    let mut neighbours = path.windows(2);
    neighbours.any(|n| pairs.iter().any(|(a, b)| n[0] == *a && n[1] == *b))
}

/// The first name below the crate's root, if the path leads there: through `crate`, or through as
/// many `super` as the file is deep. Modules inside a file are one deeper than counted here, which
/// can only find too much.
fn below_root<'a>(source: &Source, path: &'a [String]) -> Option<&'a str> {
    let supers = path.iter().take_while(|s| *s == "super").count();
    let root = path[0] == "crate" || supers > 0 && supers >= source.depth();
    let target = path.get(supers.max(1)).filter(|_| root)?;
    Some(target)
}

/// The names that `lib.rs` re-exports, each with its module.
fn reexports(sources: &[Source]) -> Vec<(String, String)> {
    let lib = sources.iter().filter(|s| s.path == "lib.rs");
    let paths = lib.flat_map(|s| s.paths());
    let names = paths.filter(|p| p.segments.len() > 1).filter_map(|p| {
        let mut inside = p.segments.iter().filter(|s| *s != "crate" && *s != "self");
        let module = inside.next()?.clone();
        Some((inside.next_back()?.clone(), module))
    });
    names.collect()
}

fn is_module(sources: &[Source], name: &str) -> bool {
    let known = name == "embedded" || LEVELS.iter().any(|(module, _)| *module == name);
    known || sources.iter().any(|s| s.top_module() == name)
}

fn may_import(from: &str, to: &str) -> bool {
    let level = |name| LEVELS.iter().find(|(n, _)| *n == name).map(|(_, l)| *l);
    match (level(from), level(to)) {
        _ if from == to => true,
        _ if from == "embedded" => EMBEDDED_IMPORTS.contains(&to),
        (Some(from), Some(to)) => to < from || from == 0 && to == 0,
        // A module that is in no level must be given one here.
        _ => false,
    }
}

/// The rules themselves are tested: they must find violations.
#[test]
#[rustfmt::skip]
fn the_rules_find_exactly_the_violations() {
    const LIB: &str = "pub mod protocol; pub use producer::{Producer, hook::SendHook};";
    #[track_caller]
    fn check(rule: Rule, path: &str, text: &str, lines: &[usize]) {
        let sources = [Source::new("lib.rs", LIB), Source::new(path, text)];
        let mut found: Vec<usize> = Vec::new();
        for finding in rule(&sources) {
            let place = finding.split(':').nth(1).expect("file:line");
            let line = place.trim().trim_end_matches(" lines");
            found.push(line.parse().expect("a number"));
        }
        found.sort_unstable();
        assert_eq!(found, lines, "{path}: {text}");
    }

    let pure = "use std::net::{IpAddr, SocketAddr};\nuse std::time::{Duration, SystemTime};";
    check(impure, "protocol/a.rs", pure, &[]);
    check(impure, "protocol/a.rs", "// Mutex\n/* a /* std::thread */ Instant */ /// Mutex", &[]);
    check(impure, "protocol/a.rs", "let a = \"Mutex\\\" Instant\"; let b = r#\"\"Mutex\"#;", &[]);
    check(impure, "protocol/a.rs", "#[cfg(test)]\nmod tests { use std::thread; fn f() {} }\n", &[]);
    check(impure, "protocol/a.rs", "let q = '\"'; let r = '\\''; fn f<'a>(x: &'a str) {}\nMutex", &[2]);
    check(impure, "protocol/a.rs", "use std::{\n    fmt,\n    thread,\n    net::{self, TcpStream},\n};", &[3, 4]);
    check(impure, "message/mod.rs", "let t = SystemTime::now();\nstd::time::SystemTime::now()", &[1, 2]);
    check(impure, "protocol/a.rs", "use std::net::*;\nuse parking_lot::Mutex;", &[1, 2]);
    check(impure, "transport/a.rs", "use std::net::TcpStream;", &[]);

    check(arrows_up, "transport/a.rs", "use crate::protocol::Command;\nuse crate::{error, message};", &[]);
    check(arrows_up, "transport/a.rs", "use crate::client::Api;\ncrate::producer::x();", &[1, 2]);
    check(arrows_up, "transport/a.rs", "use crate::{\n protocol::x,\n client::{self, y},\n};", &[3, 3]);
    check(arrows_up, "client/a.rs", "use crate::Producer;\nuse crate::SendHook;", &[1, 2]);
    check(arrows_up, "client/mod.rs", "use super::producer::x;\nuse self::producer::x;", &[1]);
    check(arrows_up, "client/a.rs", "use super::producer::x;\nuse super::super::producer::x;", &[2]);
    check(arrows_up, "producer/a.rs", "use crate::consumer::x;\nuse crate::embedded::x;", &[1, 2]);
    check(arrows_up, "embedded/a.rs", "use crate::protocol::x;\nuse crate::transport::x;", &[2]);
    check(arrows_up, "client/a.rs", "// crate::producer::x\npub(crate) fn f() { crate::message::f() }", &[]);
    check(arrows_up, "surprise.rs", "use crate::error::x;\nuse crate::*;", &[1, 2]);

    check(global_state, "a.rs", "let v = std::env::var(\"X\");\nuse std::env;\nenv!(\"X\")", &[1, 2]);
    check(global_state, "a.rs", "static N: AtomicU32 = x;\nfn f(x: &'static str) {}", &[1]);
    check(global_state, "a.rs", "thread_local! {\n    static X: u32 = 1;\n}\nstatic Y: u32 = 1;", &[1, 4]);

    let clock = "use std::time::{Duration, Instant};\nuse std::time::SystemTime;\nx(epoch_millis());\nuse std::time::*;";
    check(wall_clock, "transport/a.rs", clock, &[2, 3, 4]);
    check(wall_clock, "client/admin/calls.rs", clock, &[]);
    check(wall_clock, "embedded/a.rs", clock, &[]);

    let locks = "use parking_lot::Mutex;\nuse crate::sync::Mutex;\nlet a = parking_lot::RwLock::new(1);";
    check(foreign_locks, "transport/a.rs", locks, &[1, 3]);
    check(foreign_locks, "sync.rs", locks, &[]);

    check(prints, "a.rs", "println!(\"a\");\nstd::dbg!(x);\n// println!()\nwriteln!(f, \"\")", &[1, 2]);

    check(other_targets, "a.rs", "log::warn!(target: LOG, \"a\");\nlog::log!(\n target: LOG,\n x)", &[]);
    check(other_targets, "a.rs", "log::warn!(\"a\");\nlog::log!(level, x);\nwarn!(target: T, x)", &[1, 2, 3]);

    let name = "b.name(\"exactly-15-long\".into()).spawn(f);\nb.name(format!(\"rmq-callback-{n}\"))";
    check(bare_loggers, "a.rs", "logging::warn!(target: LOG, \"a\");\nlog::warn!(target: LOG, x);\nwarn!(x)", &[2, 3]);
    check(bare_loggers, "logging.rs", "log::log!(target: LOG, \"a\");", &[]);

    check(long_thread_names, "a.rs", name, &[]);
    let name = "b.name(\n\"sixteen-bytes-ok\".into())\nb.name(format!(\"rmq-callback-x{n}\"))\nx.name()";
    check(long_thread_names, "a.rs", name, &[1, 3]);
    check(long_thread_names, "a.rs", "thread_name: \"a-name-that-is-too-long\",", &[1]);
    let name = "const NAME: &str = \"rmq-callback-much\";\nt.spawn(\"sixteen-bytes-ok\", || x(\"a\"))";
    check(long_thread_names, "a.rs", name, &[1, 2]);
    check(long_thread_names, "a.rs", "t.spawn(move || log::warn!(\"a text of any length\"))", &[]);

    check(long_files, "a.rs", &"\n".repeat(500), &[]);
    check(long_files, "a.rs", &"\n".repeat(501), &[501]);
}
