//! Text that may come from a peer, made safe for errors and log lines: it cannot forge a line.

use std::fmt::{self, Write};

/// Shows a value with its control characters escaped.
pub(crate) struct OneLine<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.contains(char::is_control) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|c| match c.is_control() {
            true => write!(self.0, "{}", c.escape_default()),
            false => self.0.write_char(c),
        })
    }
}

/// Shows text from a peer escaped and truncated.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 256;
        match self.0.char_indices().nth(MOST) {
            None => write!(f, "{}", OneLine(self.0)),
            Some((end, _)) => write!(f, "{}...", OneLine(&self.0[..end])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_peer_becomes_one_short_line() {
        assert_eq!(Printable("plain, ä").to_string(), "plain, ä");
        let forged = "\u{1b}[31m\r\nINFO";
        assert_eq!(Printable(forged).to_string(), "\\u{1b}[31m\\r\\nINFO");
        let long = "ä".repeat(257);
        assert_eq!(Printable(&long[2..]).to_string(), long[2..]);
        assert_eq!(Printable(&long).to_string(), format!("{}...", &long[2..]));
        let lines = format_args!("{forged}, {}", 1).to_string();
        assert_eq!(OneLine(lines).to_string(), "\\u{1b}[31m\\r\\nINFO, 1");
    }
}
