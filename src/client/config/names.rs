//! Names of topics and groups: what is legal, and what a namespace makes of them.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::protocol::namespace;

/// Java's limit for topics (`Validators`).
pub(crate) const LONGEST_TOPIC: usize = 127;

/// Topics and groups have two names: the users' own, and the one on the wire, which has the
/// namespace (of the first kind) in front.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(Option<Arc<str>>);

impl Names {
    /// An empty namespace is none.
    pub(super) fn in_namespace(namespace: Option<Arc<str>>) -> Names {
        Names(namespace.filter(|name| !name.is_empty()))
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        self.0.as_deref()
    }

    pub(crate) fn on_wire(&self, name: &Arc<str>) -> Arc<str> {
        self.map(namespace::add, name)
    }

    pub(crate) fn for_users(&self, name: &Arc<str>) -> Arc<str> {
        self.map(namespace::strip, name)
    }

    fn map(&self, map: for<'a> fn(&str, &'a str) -> Cow<'a, str>, name: &Arc<str>) -> Arc<str> {
        match &self.0 {
            Some(namespace) => map(namespace, name).into(),
            None => name.clone(),
        }
    }
}

/// Checks the characters of a topic or group: `%|a-zA-Z0-9_-`, as in Java.
pub(crate) fn check_name(what: &str, name: &str, longest: usize) -> Result<()> {
    if name.is_empty() || name.trim().is_empty() {
        return Err(Error::invalid(format!("the {what} is blank")));
    }
    if name.len() > longest {
        let text = format!("the {what} is longer than {longest} characters");
        return Err(Error::invalid(text));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '%' | '|' | '_' | '-');
    if name.bytes().all(|byte| legal(byte.into())) {
        return Ok(());
    }
    match name.chars().find(|c| !legal(*c)) {
        Some(c) => Err(Error::invalid(format!(
            "the {what} has the character {c:?}; only letters, digits and % | _ - are allowed"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_javas_characters() {
        for good in ["TopicTest", "%RETRY%g", "a|b", "x".repeat(127).as_str()] {
            assert!(check_name("topic", good, 127).is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "a.b", "ü", "x".repeat(128).as_str()] {
            assert!(check_name("topic", bad, 127).is_err(), "{bad}");
        }
    }
}
