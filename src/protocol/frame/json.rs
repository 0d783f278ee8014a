//! Headers as JSON: how they are written, and how those are read that peers really write.

use std::fmt;

use byteorder::{ByteOrder, LittleEndian};
use serde::ser::{Serialize, Serializer};

use super::send::{Constants, Memo};
use super::{Command, ExtFields, FieldSink, Fields, Head, Language, ProtocolError, any_json};

/// Appends the header; `write` hands its own fields to the sink.
pub(super) fn encode(head: &Head<'_>, out: &mut Vec<u8>, write: impl FnOnce(&mut Sink<'_>)) {
    out.extend_from_slice(b"{\"code\":");
    value(out, &head.code);
    out.extend_from_slice(b",\"extFields\":{");
    write(&mut Sink { out, fields: 0 });
    out.extend_from_slice(b"},\"flag\":");
    value(out, &head.flag);
    out.extend_from_slice(b",\"language\":");
    text(out, head.language.name());
    out.extend_from_slice(b",\"opaque\":");
    value(out, &head.opaque);
    if let Some(remark) = head.remark {
        out.extend_from_slice(b",\"remark\":");
        text(out, remark);
    }
    out.extend_from_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    value(out, &head.version);
    out.push(b'}');
}

/// Writes the fields as they are visited, escaping on the way: no text is built for a field.
pub(super) struct Sink<'a> {
    out: &'a mut Vec<u8>,
    fields: usize,
}

impl Sink<'_> {
    /// The first fields, copied from the last time if they are the same.
    pub(super) fn repeat(&mut self, memo: &mut Memo, fields: &Constants<'_>) {
        let write = |out: &mut Vec<u8>| fields.visit(&mut Sink { out, fields: 0 });
        self.out.extend_from_slice(memo.written(fields, write));
        // More than none, which is all that counts.
        self.fields = 1;
    }

    fn name(&mut self, name: &str) {
        if self.fields > 0 {
            self.out.push(b',');
        }
        self.fields += 1;
        match name.as_bytes() {
            // The names of the most common fields.
            [letter @ b'a'..=b'z'] => self.out.extend_from_slice(&[b'"', *letter, b'"', b':']),
            _ => {
                text(self.out, name);
                self.out.push(b':');
            }
        }
    }
}

impl FieldSink for Sink<'_> {
    fn text(&mut self, name: &str, shown: &str) {
        self.name(name);
        text(self.out, shown);
    }

    fn number(&mut self, name: &str, number: i64) {
        self.name(name);
        quoted_number(self.out, number);
    }

    fn display(&mut self, name: &str, shown: &dyn fmt::Display) {
        self.name(name);
        value(self.out, &Displayed(shown));
    }
}

struct Displayed<'a>(&'a dyn fmt::Display);

impl Serialize for Displayed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

/// A text in quotes. Most texts of headers are plain; those that are not (properties have two control
/// characters each) are so in few places. Looking at many bytes at once, and copying what lies between
/// such places, is what makes this faster than serde's way, byte by byte.
fn text(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = first_special(rest) {
        out.extend_from_slice(&rest[..at]);
        escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The position of the first byte that needs an escape in JSON.
fn first_special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = ONES << 7;
    let words = bytes.chunks_exact(8);
    let rest = words.remainder();
    for (i, word) in words.enumerate() {
        let word = LittleEndian::read_u64(word);
        // The top bit of each byte that is zero, or below 0x20; a false positive can only follow a
        // true one, since borrows go upwards.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quote | backslash | control) & TOPS;
        if found != 0 {
            return Some(i * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    let in_rest = rest.iter().position(is_special)?;
    Some(bytes.len() - rest.len() + in_rest)
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        _ => {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digits[0], digits[1]]);
        }
    }
}

/// A whole number, in quotes.
fn quoted_number(out: &mut Vec<u8>, number: i64) {
    if let digit @ 0..=9 = number {
        return out.extend_from_slice(&[b'"', b'0' + digit as u8, b'"']);
    }
    out.push(b'"');
    value(out, &number);
    out.push(b'"');
}

/// Any other value, by way of serde.
fn value<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Serialising to memory fails only if a Display implementation does, and none of ours does.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Reads a header: in one pass if it is a plain one, else by way of serde.
pub(super) fn decode(header: &[u8], spare: ExtFields) -> Result<Command, ProtocolError> {
    match decode_plain(header, spare) {
        Some(command) => Ok(command),
        None => any_json::decode(header),
    }
}

/// The header, if it is a plain one: no white space, no escapes, nothing but ASCII, only the names that
/// every header has, each once. Whatever is otherwise is for serde to read; nothing is refused here.
///
/// `ext` is empty, and keeps its memory.
pub(super) fn decode_plain(header: &[u8], mut ext: ExtFields) -> Option<Command> {
    // Looked at as a whole, which takes a few vector instructions; then a quote ends a text.
    let is_odd = |byte: u8| byte < 0x20 || byte == b'\\' || byte >= 0x80;
    if header.iter().fold(false, |any, byte| any | is_odd(*byte)) {
        return None;
    }
    let mut rest = Rest {
        all: std::str::from_utf8(header).ok()?,
        at: 0,
    };
    let mut seen = Seen::default();
    let (mut code, mut opaque, mut flag, mut version) = (None, None, None, None);
    let (mut language, mut remark) = (None, None);
    rest.eat(b'{')?;
    loop {
        // The middle part that nearly all brokers write, compared at once.
        if rest.eat_all(JAVA_ANSWERS) {
            let is_first = seen.first(1) && flag.is_none();
            is_first.then_some(())?;
            (flag, language) = (Some(Command::RESPONSE), Some(Language::JAVA));
        }
        let name = rest.text()?;
        rest.eat(b':')?;
        match name {
            "code" => rest.number_into(&mut code)?,
            "opaque" => rest.number_into(&mut opaque)?,
            "flag" => rest.number_into(&mut flag)?,
            "version" => rest.number_into(&mut version)?,
            "language" if seen.first(1) => language = Some(Language::from_name(rest.text()?)),
            "remark" if seen.first(2) => remark = Some(rest.text()?.to_owned()),
            "extFields" if seen.first(4) => rest.fields(&mut ext)?,
            "serializeTypeCurrentRPC" if seen.first(8) => drop(rest.text()?),
            _ => return None,
        }
        if !rest.goes_on()? {
            break;
        }
    }
    rest.is_empty().then_some(())?;
    Some(Command {
        code: code?,
        flag: flag.unwrap_or(0),
        opaque: opaque?,
        language: language.unwrap_or(Language::OTHER),
        version: version.unwrap_or(0),
        remark,
        ext,
        body: Vec::new(),
    })
}

const JAVA_ANSWERS: &[u8] = br#""flag":1,"language":"JAVA","#;

/// The names that have been there.
#[derive(Default)]
struct Seen(u8);

impl Seen {
    fn first(&mut self, bit: u8) -> bool {
        let is_first = self.0 & bit == 0;
        self.0 |= bit;
        is_first
    }
}

/// The unread rest.
struct Rest<'a> {
    all: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn is_empty(&self) -> bool {
        self.at == self.all.len()
    }

    fn bytes(&self) -> &'a [u8] {
        self.all.as_bytes()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.bytes().get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    fn eat_all(&mut self, bytes: &[u8]) -> bool {
        let there = self.bytes()[self.at..].starts_with(bytes);
        if there {
            self.at += bytes.len();
        }
        there
    }

    /// After a value: whether another one follows, or the object ends.
    fn goes_on(&mut self) -> Option<bool> {
        let goes_on = match self.bytes().get(self.at)? {
            b',' => true,
            b'}' => false,
            _ => return None,
        };
        self.at += 1;
        Some(goes_on)
    }

    /// A text; there are no escapes.
    fn text(&mut self) -> Option<&'a str> {
        self.eat(b'"')?;
        let end = self.at + quote(&self.bytes()[self.at..])?;
        let text = &self.all[self.at..end];
        self.at = end + 1;
        Some(text)
    }

    /// A whole number for a name that has none yet.
    fn number_into(&mut self, number: &mut Option<i32>) -> Option<()> {
        let rest = &self.bytes()[self.at..];
        let negative = rest.first() == Some(&b'-');
        let start = usize::from(negative);
        let mut value = 0i64;
        let mut len = start;
        while let Some(digit @ b'0'..=b'9') = rest.get(len) {
            // So few digits that nothing overflows.
            if len == 12 {
                return None;
            }
            value = value * 10 + i64::from(digit - b'0');
            len += 1;
        }
        // JSON has no leading zeros, and no peer writes "-0".
        let starts_well = rest.get(start) != Some(&b'0') || (len == 1);
        if number.is_some() || len == start || !starts_well {
            return None;
        }
        *number = Some(i32::try_from(if negative { -value } else { value }).ok()?);
        self.at += len;
        Some(())
    }

    fn fields(&mut self, fields: &mut ExtFields) -> Option<()> {
        self.eat(b'{')?;
        if self.eat(b'}').is_some() {
            return Some(());
        }
        fields.reserve(192, 8);
        loop {
            let name = self.text()?;
            self.eat(b':')?;
            fields.push(name, self.text()?);
            if !self.goes_on()? {
                return Some(());
            }
        }
    }
}

/// The position of the first quote, eight bytes at a time.
fn quote(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let words = bytes.chunks_exact(8);
    let rest = words.remainder();
    for (i, word) in words.enumerate() {
        // A quote becomes zero. All bytes are ASCII, so the addition sets no other byte's top bit
        // and never carries.
        let other = LittleEndian::read_u64(word) ^ (ONES * u64::from(b'"'));
        let quotes = !(other + ONES * 0x7F) & (ONES * 0x80);
        if quotes != 0 {
            return Some(i * 8 + quotes.trailing_zeros() as usize / 8);
        }
    }
    let in_rest = rest.iter().position(|byte| *byte == b'"')?;
    Some(bytes.len() - rest.len() + in_rest)
}

#[cfg(test)]
mod tests;
