//! The JSON that peers really write as headers, read in one pass.
//!
//! No white space, no escapes, nothing but ASCII, only the names that every header has, each once. Whatever is
//! otherwise is for serde to read; nothing is refused here.

use super::{Command, ExtFields, Language};

/// The header, if it is a plain one.
pub(super) fn decode(header: &[u8]) -> Option<Command> {
    // Looked at as a whole, which takes a few vector instructions; then a quote ends a text.
    let is_odd = |byte: u8| byte < 0x20 || byte == b'\\' || byte >= 0x80;
    if header.iter().fold(false, |any, byte| any | is_odd(*byte)) {
        return None;
    }
    let mut rest = Rest(std::str::from_utf8(header).ok()?);
    let mut seen = Seen::default();
    let (mut code, mut opaque, mut flag, mut version) = (None, None, None, None);
    let (mut language, mut remark, mut ext) = (None, None, ExtFields::new());
    rest.eat(b'{')?;
    loop {
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
    rest.0.is_empty().then_some(())?;
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

/// What is still to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.0.as_bytes().first() == Some(&byte)).then(|| self.0 = &self.0[1..])
    }

    /// Behind a value: whether there is another one, or the object ends.
    fn goes_on(&mut self) -> Option<bool> {
        match self.eat(b',') {
            Some(()) => Some(true),
            None => self.eat(b'}').map(|()| false),
        }
    }

    /// A text; there are no escapes.
    fn text(&mut self) -> Option<&'a str> {
        self.eat(b'"')?;
        let end = self.0.as_bytes().iter().position(|byte| *byte == b'"')?;
        let text = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(text)
    }

    /// A whole number for a name that has none yet.
    fn number_into(&mut self, number: &mut Option<i32>) -> Option<()> {
        let is_part = |&byte: &u8| byte.is_ascii_digit() || byte == b'-';
        let len = self.0.as_bytes().iter().take_while(|b| is_part(b)).count();
        let (digits, rest) = self.0.split_at(len);
        // JSON has no leading zeros, and "-0" is not what anybody writes.
        let starts_well = digits == "0" || !digits.trim_start_matches('-').starts_with('0');
        if number.is_some() || !starts_well {
            return None;
        }
        *number = Some(digits.parse().ok()?);
        self.0 = rest;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json;

    const ANSWER: &str = r#"{"code":0,"extFields":{"queueId":"3","TRACE_ON":"true","MSG_REGION":"DefaultRegion","msgId":"7F00000100002A9F0000000000000000","queueOffset":"12"},"flag":1,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":493}"#;

    /// Where there is an answer, it is serde's.
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
    fn what_is_not_plain_is_left_to_serde() {
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
