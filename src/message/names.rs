//! Legal names of topics and groups.

use crate::error::{Error, Result};

/// Java's limit (`Validators`).
pub(crate) const LONGEST_TOPIC: usize = 127;
/// Java's limit (`Validators`).
pub(crate) const LONGEST_GROUP: usize = 120;

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
