//! The JSON that peers really write as headers, read in one pass.
//!
//! No white space, no escapes, nothing but ASCII, only the names that every header has, each once. Whatever is
//! otherwise is for serde to read; nothing is refused here.

use byteorder::{ByteOrder, LittleEndian};

use super::{Command, ExtFields, Language};

/// The header, if it is a plain one.
///
/// `ext` is empty, and keeps its memory.
pub(super) fn decode(header: &[u8], mut ext: ExtFields) -> Option<Command> {
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
mod tests {
    use super::*;
    use crate::protocol::frame::json;

    fn decode(header: &[u8]) -> Option<Command> {
        super::decode(header, ExtFields::new())
    }

    const ANSWER: &str = r#"{"code":0,"extFields":{"queueId":"3","TRACE_ON":"true","MSG_REGION":"DefaultRegion","msgId":"7F00000100002A9F0000000000000000","queueOffset":"12"},"flag":1,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":493}"#;

    /// Where this parser answers, serde answers the same.
    #[track_caller]
    fn check(header: &[u8]) -> bool {
        match decode(header) {
            Some(plain) => {
                let other = json::decode_any(header).unwrap();
                assert_eq!(plain, other, "{}", String::from_utf8_lossy(header));
                assert_eq!(plain.ext.len(), other.ext.len());
                true
            }
            None => false,
        }
    }

    #[test]
    fn what_brokers_answer_is_plain() {
        for header in [
            ANSWER,
            r#"{"code":1,"flag":1,"language":"GO","opaque":-7,"remark":"no, really","version":0}"#,
            r#"{"extFields":{},"opaque":2147483647,"code":0}"#,
        ] {
            assert!(check(header.as_bytes()), "{header}");
        }
    }

    #[test]
    fn unusual_headers_are_left_to_serde() {
        for header in [
            "",
            "{",
            "{}",
            r#"{"code":0}"#,
            r#"{"code":0,"opaque":1"#,
            r#"{"code":0,"opaque":1}x"#,
            r#"{"code":0,"opaque":1,}"#,
            r#"{"code":0, "opaque":1}"#,
            r#"{"code":00,"opaque":1}"#,
            r#"{"code":-0,"opaque":1}"#,
            r#"{"code":-,"opaque":1}"#,
            r#"{"code":1-1,"opaque":1}"#,
            r#"{"code":2147483648,"opaque":1}"#,
            r#"{"code":0.5,"opaque":1}"#,
            r#"{"code":0,"code":0,"opaque":1}"#,
            r#"{"code":0,"opaque":1,"remark":null}"#,
            r#"{"code":0,"opaque":1,"remark":"a\n"}"#,
            r#"{"code":0,"opaque":1,"remark":"größer"}"#,
            r#"{"code":0,"opaque":1,"extFields":{"a":1}}"#,
            r#"{"code":0,"opaque":1,"extFields":{"a":"b",}}"#,
            r#"{"code":0,"opaque":1,"extFields":null}"#,
            r#"{"code":0,"opaque":1,"other":"x"}"#,
        ] {
            assert!(!check(header.as_bytes()), "{header}");
        }
        assert!(decode(b"{\"code\":0,\"opaque\":1,\"remark\":\"\xFF\"}").is_none());
    }

    #[test]
    fn every_header_with_one_byte_changed_is_read_as_serde_reads_it_or_left() {
        for at in 0..ANSWER.len() {
            for byte in (0..128).chain([0x80, 0xC3, 0xFF]) {
                let mut header = ANSWER.as_bytes().to_vec();
                header[at] = byte;
                check(&header);
            }
            check(&ANSWER.as_bytes()[..at]);
        }
    }
}
