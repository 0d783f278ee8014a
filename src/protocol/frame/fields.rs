use std::collections::BTreeMap;
use std::fmt;

use super::{FieldSink, Fields, ProtocolError};

/// The fields of a header: names and texts, kept in two allocations however many there are.
#[derive(Clone, Default)]
pub struct ExtFields {
    text: String,
    /// End of the name and end of the value in `text`, for each field.
    ends: Vec<(u32, u32)>,
}

impl ExtFields {
    /// No fields.
    pub const fn new() -> ExtFields {
        ExtFields {
            text: String::new(),
            ends: Vec::new(),
        }
    }

    /// Appends a field. Of equal names the last one counts, as in Java's map.
    pub fn push(&mut self, name: &str, value: &str) {
        self.push_with(|text| text.push_str(name), |text| text.push_str(value));
    }

    /// Sets a field, in place of any of the same name.
    pub fn set(&mut self, name: &str, value: &str) {
        if self.iter().any(|(known, _)| known == name) {
            *self = self.iter().filter(|(known, _)| *known != name).collect();
        }
        self.push(name, value);
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .filter(|(n, _)| *n == name)
            .last()
            .map(|(_, value)| value)
    }

    /// The value of a field as a number (or a `bool`, or whatever else parses); `None` without it.
    ///
    /// # Errors
    /// The value is no such thing.
    pub fn parse<T: std::str::FromStr>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, ProtocolError> {
        match self.get(name) {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(ProtocolError::new(format!(
                    "field {name} is not valid: {text}"
                ))),
            },
        }
    }

    /// The value of a field that must be there, as a number or whatever else parses.
    ///
    /// # Errors
    /// It is not there, or is no such thing.
    pub fn must<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, ProtocolError> {
        self.parse(name)?.ok_or_else(|| missing(name))
    }

    /// The text of a field that must be there.
    ///
    /// # Errors
    /// It is not there.
    pub fn must_text(&self, name: &'static str) -> Result<&str, ProtocolError> {
        self.get(name).ok_or_else(|| missing(name))
    }

    /// A copy of a field's text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// All names and values, in the order of the header.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, value_end)| {
            let (name_end, value_end) = (name_end as usize, value_end as usize);
            let field = (&self.text[start..name_end], &self.text[name_end..value_end]);
            start = value_end;
            field
        })
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Appends a field whose name and value are written by functions.
    pub(super) fn push_with(
        &mut self,
        name: impl FnOnce(&mut String),
        value: impl FnOnce(&mut String),
    ) {
        name(&mut self.text);
        let name_end = self.text.len();
        value(&mut self.text);
        self.push_ends(name_end);
    }

    /// The text buffer, for a decoder that appends a name, notes its end, and appends the value.
    pub(super) fn text_mut(&mut self) -> &mut String {
        &mut self.text
    }

    pub(super) fn push_ends(&mut self, name_end: usize) {
        // A frame is at most 16 MiB, and no other source of fields comes near 4 GiB.
        let end = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.ends.push((end(name_end), end(self.text.len())));
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// The memory that they hold, in bytes.
    pub fn capacity(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<(u32, u32)>()
    }

    pub(super) fn reserve(&mut self, text: usize, fields: usize) {
        self.text.reserve(text);
        self.ends.reserve(fields);
    }
}

fn missing(name: &str) -> ProtocolError {
    ProtocolError::new(format!("the header has no {name}"))
}

impl Fields for ExtFields {
    fn visit(&self, sink: &mut dyn FieldSink) {
        for (name, value) in self.iter() {
            sink.text(name, value);
        }
    }
}

impl FieldSink for ExtFields {
    fn text(&mut self, name: &str, value: &str) {
        self.push(name, value);
    }

    fn display(&mut self, name: &str, value: &dyn fmt::Display) {
        use fmt::Write;
        self.push_with(
            |text| text.push_str(name),
            |text| {
                // Writing to a String fails only if the value's own Display does.
                let _ = write!(text, "{value}");
            },
        );
    }
}

impl PartialEq for ExtFields {
    /// Equal as maps: the order does not count.
    fn eq(&self, other: &ExtFields) -> bool {
        self.iter().collect::<BTreeMap<_, _>>() == other.iter().collect::<BTreeMap<_, _>>()
    }
}

impl fmt::Debug for ExtFields {
    /// Prints the names only: values may be signatures or tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for ExtFields {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(items: I) -> ExtFields {
        let mut fields = ExtFields::new();
        for (name, value) in items {
            fields.push(name, value);
        }
        fields
    }
}
