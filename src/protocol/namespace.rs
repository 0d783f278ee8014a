//! Namespaces of the first kind: an instance's name in front of the names of its topics and groups.
//!
//! `orders` in the namespace `MQ_INST_1` is `MQ_INST_1%orders` to brokers and name servers; a retry
//! topic keeps its prefix in front (`%RETRY%MQ_INST_1%group`). Names that belong to the system are
//! the same in every namespace.

use std::borrow::Cow;

use crate::message::FORBIDDEN_TOPICS;

const SEPARATOR: char = '%';
const RETRY: &str = "%RETRY%";
const DLQ: &str = "%DLQ%";

/// Topics of the brokers' own that clients may write to (Java's `TopicValidator`, 5.4.0).
const SYSTEM_TOPICS: &[&str] = &[
    "TBW102",
    "BenchmarkTest",
    "RMQ_SYS_TRACE_TOPIC",
    "CHECKPOINT_TOPIC",
];

/// Prefixes of further system topics and groups.
const SYSTEM_PREFIXES: &[&str] = &["rmq_sys_", "CID_RMQ_SYS_"];

/// The prefix of instance names.
const INSTANCE: &str = "MQ_INST_";

/// A topic's or group's name as brokers know it. One that is in the namespace already, or belongs
/// to the system, stays as it is.
pub fn add<'a>(namespace: &str, name: &'a str) -> Cow<'a, str> {
    let (prefix, rest) = split(name);
    if namespace.is_empty() || name.is_empty() || is_system(name) || is_in(namespace, rest) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(format!("{prefix}{namespace}{SEPARATOR}{rest}"))
}

/// A topic's or group's name without this namespace. One of another namespace, or of none, stays
/// as it is.
pub fn strip<'a>(namespace: &str, name: &'a str) -> Cow<'a, str> {
    let (prefix, rest) = split(name);
    if namespace.is_empty() || is_system(name) || !is_in(namespace, rest) {
        return Cow::Borrowed(name);
    }
    let bare = &rest[namespace.len() + SEPARATOR.len_utf8()..];
    match prefix {
        "" => Cow::Borrowed(bare),
        _ => Cow::Owned(format!("{prefix}{bare}")),
    }
}

/// The instance that a name server's address names: `MQ_INST_1_2` in
/// `http://MQ_INST_1_2.region.example:80`. (In Java's words: an address that matches
/// `^(\w+://|)MQ_INST_\w+_\w+\..*`.)
pub fn of_endpoint(address: &str) -> Option<&str> {
    let is_word = |text: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !text.is_empty() && text.chars().all(word)
    };
    let host = match address.split_once("://") {
        Some((scheme, host)) if is_word(scheme) => host,
        _ => address,
    };
    let (instance, _) = host.split_once('.')?;
    let id = instance.strip_prefix(INSTANCE)?;
    // Two words with an underscore between them; a word may itself contain underscores.
    let inner = id.get(1..id.len().checked_sub(1)?)?;
    (is_word(id) && inner.contains('_')).then_some(instance)
}

/// The prefix of a retry or dead-letter topic, and the rest of the name.
fn split(name: &str) -> (&str, &str) {
    let prefix = [RETRY, DLQ].into_iter().find(|p| name.starts_with(p));
    name.split_at(prefix.map_or(0, str::len))
}

fn is_in(namespace: &str, bare: &str) -> bool {
    let rest = bare.strip_prefix(namespace);
    rest.is_some_and(|rest| rest.starts_with(SEPARATOR))
}

fn is_system(name: &str) -> bool {
    FORBIDDEN_TOPICS.contains(&name)
        || SYSTEM_TOPICS.contains(&name)
        || SYSTEM_PREFIXES.iter().any(|p| name.starts_with(p))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_the_namespace_once_and_lose_it_again() {
        for (bare, full) in [
            ("T", "N%T"),
            ("N", "N%N"),
            ("NT", "N%NT"),
            ("M%T", "N%M%T"),
            ("%RETRY%g", "%RETRY%N%g"),
            ("%DLQ%g", "%DLQ%N%g"),
            ("CID_RMQ", "N%CID_RMQ"),
        ] {
            assert_eq!(add("N", bare), full);
            assert_eq!(add("N", full), full);
            assert_eq!(strip("N", full), bare);
            assert_eq!(strip("N", bare), bare);
            assert_eq!(add("", bare), bare);
            assert_eq!(strip("", full), full);
            assert_eq!(strip("M", full), full, "another namespace");
        }
        assert_eq!(add("N", ""), "");
    }

    #[test]
    fn system_names_are_in_no_namespace() {
        let more = ["rmq_sys_x", "CID_RMQ_SYS_x"];
        for name in SYSTEM_TOPICS.iter().chain(&more) {
            assert_eq!(add("N", name), *name);
            assert_eq!(strip("N", name), *name);
        }
    }

    #[test]
    fn an_instances_endpoint_names_it() {
        for (address, instance) in [
            ("MQ_INST_1_2.x:80", Some("MQ_INST_1_2")),
            ("http://MQ_INST_1_2.x:80", Some("MQ_INST_1_2")),
            ("tcp_1://MQ_INST_a_b_c.", Some("MQ_INST_a_b_c")),
            ("MQ_INST____.x", Some("MQ_INST____")),
            ("MQ_INST_12.x:80", None),
            ("MQ_INST_1_.x:80", None),
            ("MQ_INST__1.x:80", None),
            ("MQ_INST__.x:80", None),
            ("MQ_INST_.x:80", None),
            ("MQ_INST_1_2:80", None),
            ("MQ_INST_1-3_2.x:80", None),
            ("://MQ_INST_1_2.x:80", None),
            ("h-t://MQ_INST_1_2.x", None),
            ("x.MQ_INST_1_2.x:80", None),
            ("127.0.0.1:9876", None),
            ("MQ_INST_\u{fc}_2.x", None),
            ("", None),
        ] {
            assert_eq!(of_endpoint(address), instance, "{address}");
        }
    }
}
