//! The offset files of other clients: read, never written.
//!
//! Java writes `{"offsetTable":{{"brokerName":"broker-a","queueId":3,"topic":"T"}:12,..}}`, with
//! objects as keys, which is not JSON. Go and others write the same object as a quoted key. Both are
//! read, in any order and with any white space.

use super::table::{Damage, MOST_BYTES, OffsetTable};
use crate::message::MessageQueue;

/// How deep unknown values may be nested.
const DEEPEST: usize = 32;

/// Reads a file of Java's, or one of the same form. Its queues count as seen at `now_ms`. Negative
/// offsets are skipped: Java writes them for an unknown offset.
///
/// # Errors
/// The text has another form, or is too large.
pub(crate) fn parse(text: &[u8], now_ms: u64) -> Result<OffsetTable, Damage> {
    if text.len() > MOST_BYTES {
        return Err(Damage::TooLarge);
    }
    let mut table = OffsetTable::default();
    let mut found = false;
    let mut rest = Rest { text, at: 0 };
    rest.object(|rest| {
        let name = rest.text()?;
        rest.expect(b':', "a colon")?;
        if name != "offsetTable" {
            return rest.skip_value();
        }
        found = true;
        rest.object(|rest| {
            let queue = rest.key()?;
            rest.expect(b':', "a colon")?;
            if let Ok(offset) = u64::try_from(rest.number()?) {
                table.set(&queue, offset, now_ms);
            }
            Ok(())
        })
    })?;
    rest.end()?;
    match found {
        true => Ok(table),
        false => Err(Damage::Syntax("an offsetTable", text.len())),
    }
}

/// The rest of the text.
struct Rest<'a> {
    text: &'a [u8],
    at: usize,
}

impl Rest<'_> {
    fn wrong<T>(&self, expected: &'static str) -> Result<T, Damage> {
        Err(Damage::Syntax(expected, self.at))
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let space = self.text[self.at..]
            .iter()
            .take_while(|b| b.is_ascii_whitespace());
        self.at += space.count();
        self.text.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8, name: &'static str) -> Result<(), Damage> {
        if self.peek() != Some(byte) {
            return self.wrong(name);
        }
        self.at += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Damage> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.wrong("the end"),
        }
    }

    /// `{..}`, whose members are read by `member`.
    fn object(
        &mut self,
        mut member: impl FnMut(&mut Self) -> Result<(), Damage>,
    ) -> Result<(), Damage> {
        self.expect(b'{', "an object")?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            member(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.wrong("a comma"),
            }
        }
    }

    /// A queue: an object, or the text of one.
    fn key(&mut self) -> Result<MessageQueue, Damage> {
        if self.peek() != Some(b'"') {
            return self.queue();
        }
        let at = self.at;
        let text = self.text()?;
        let mut inner = Rest {
            text: text.as_bytes(),
            at: 0,
        };
        let queue = inner.queue().and_then(|queue| inner.end().map(|()| queue));
        queue.map_err(|_| Damage::Syntax("a queue", at))
    }

    fn queue(&mut self) -> Result<MessageQueue, Damage> {
        let (mut topic, mut broker, mut id) = (None, None, None);
        self.object(|rest| {
            let name = rest.text()?;
            rest.expect(b':', "a colon")?;
            match &*name {
                "topic" => topic = Some(rest.text()?),
                "brokerName" => broker = Some(rest.text()?),
                "queueId" => id = i32::try_from(rest.number()?).ok(),
                _ => rest.skip_value()?,
            }
            Ok(())
        })?;
        match (topic, broker, id) {
            (Some(topic), Some(broker), Some(id)) => Ok(MessageQueue::new(topic, broker, id)),
            _ => self.wrong("topic, brokerName and queueId"),
        }
    }

    fn text(&mut self) -> Result<String, Damage> {
        if self.peek() != Some(b'"') {
            return self.wrong("a text");
        }
        let start = self.at;
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                None => return self.wrong("the end of a text"),
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        let quoted = &self.text[start..self.at];
        serde_json::from_slice(quoted).or(Err(Damage::Syntax("a text", start)))
    }

    /// A whole number, also as text.
    fn number(&mut self) -> Result<i64, Damage> {
        if self.peek() == Some(b'"') {
            let at = self.at;
            let text = self.text()?;
            return text.parse().or(Err(Damage::Syntax("a number", at)));
        }
        let rest = &self.text[self.at..];
        let is_part = |b: &&u8| b.is_ascii_digit() || **b == b'-';
        let digits = &rest[..rest.iter().take_while(is_part).count()];
        let number = std::str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse().ok());
        match number {
            Some(number) => {
                self.at += digits.len();
                Ok(number)
            }
            None => self.wrong("a number"),
        }
    }

    /// A value that is not used.
    fn skip_value(&mut self) -> Result<(), Damage> {
        let mut depth = 0;
        loop {
            match self.peek() {
                None => return self.wrong("a value"),
                Some(b'"') => drop(self.text()?),
                Some(b'{' | b'[') if depth == DEEPEST => return self.wrong("a flatter value"),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') if depth == 0 => return self.wrong("a value"),
                Some(b'}' | b']') => {
                    depth -= 1;
                    self.at += 1;
                }
                Some(b',' | b':') if depth == 0 => return self.wrong("a value"),
                Some(b',' | b':') => self.at += 1,
                Some(_) => {
                    let is_word = |b: &&u8| b.is_ascii_alphanumeric() || b"+-._".contains(b);
                    let word = self.text[self.at..].iter().take_while(is_word).count();
                    if word == 0 {
                        return self.wrong("a value");
                    }
                    self.at += word;
                }
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = r#"{"brokerName":"broker-a","queueId":0,"topic":"T"}"#;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str, i32, u64)]) {
        let table = parse(text.as_bytes(), 7).unwrap_or_else(|e| panic!("{text}: {e}"));
        let mut other = OffsetTable::default();
        for (topic, broker, id, offset) in expected {
            other.set(&MessageQueue::new(*topic, *broker, *id), *offset, 7);
        }
        assert_eq!(table, other, "{text}");
    }

    #[test]
    fn files_of_java_and_others_are_read() {
        let two = [
            ("Golden-push-broadcast", "broker-a", 0, 4),
            ("Golden-push-broadcast", "broker-a", 1, 3),
        ];
        // Captured of Java 4.9.7 and 5.4.0.
        check(
            "{\n\t\"offsetTable\":{{\n\t\t\t\"brokerName\":\"broker-a\",\n\t\t\t\"queueId\":0,\n\t\t\t\"topic\":\"Golden-push-broadcast\"\n\t\t}:4,{\n\t\t\t\"brokerName\":\"broker-a\",\n\t\t\t\"queueId\":1,\n\t\t\t\"topic\":\"Golden-push-broadcast\"\n\t\t}:3\n\t}\n}",
            &two,
        );
        check(
            "{\n\t\"offsetTable\":{\n\t\t{\n\t\t\t\"brokerName\":\"broker-a\",\n\t\t\t\"queueId\":0,\n\t\t\t\"topic\":\"Golden-push-broadcast\"\n\t\t}:4,\n\t\t{\n\t\t\t\"brokerName\":\"broker-a\",\n\t\t\t\"queueId\":1,\n\t\t\t\"topic\":\"Golden-push-broadcast\"\n\t\t}:3\n\t}\n}",
            &two,
        );
        check("{\n\t\"offsetTable\":{\n\t\t\n\t}\n}", &[]);
        // As Go writes it, with unknown fields.
        check(
            r#"{"offsetTable":{"{\"topic\":\"T\",\"brokerName\":\"broker-a\",\"queueId\":2}":12}}"#,
            &[("T", "broker-a", 2, 12)],
        );
        check(
            r#" {"version" : [1, {"a": "}"}, null, -1.5e3], "offsetTable": {{"queueId" : "3", "more":{"x":[]},
               "topic":"\u0054\"", "brokerName":"b"} : "5"}, "z": true} "#,
            &[("T\"", "b", 3, 5)],
        );
        // The last value counts, and -1 is no offset.
        check(
            &format!(r#"{{"offsetTable":{{{ONE}:1,{ONE}:2}}}}"#),
            &[("T", "broker-a", 0, 2)],
        );
        check(&format!(r#"{{"offsetTable":{{{ONE}:-1}}}}"#), &[]);
    }

    #[test]
    fn other_texts_are_refused() {
        let wrong = |text: &str| match parse(text.as_bytes(), 0) {
            Err(damage) => damage.to_string(),
            Ok(table) => panic!("{text}: {table:?}"),
        };
        assert_eq!(wrong(""), "an object expected at byte 0");
        assert_eq!(wrong("{}"), "an offsetTable expected at byte 2");
        assert_eq!(
            wrong(r#"{"offsetTable":{}} x"#),
            "the end expected at byte 19"
        );
        assert_eq!(
            wrong(r#"{"offsetTable":{{"topic":"T"}:1}}"#),
            "topic, brokerName and queueId expected at byte 29"
        );
        assert_eq!(
            wrong(r#"{"offsetTable":{"no queue":1}}"#),
            "a queue expected at byte 16"
        );
        assert_eq!(
            wrong(&format!(r#"{{"offsetTable":{{{ONE}:x}}}}"#)),
            "a number expected at byte 66"
        );
        assert_eq!(
            wrong(&format!(
                r#"{{"offsetTable":{{{ONE}:99999999999999999999}}}}"#
            )),
            "a number expected at byte 66"
        );
        assert_eq!(
            wrong(&format!(r#"{{"a":{}"#, "[".repeat(100_000))),
            "a flatter value expected at byte 37"
        );
        assert_eq!(wrong(r#"{"a":"\"#), "the end of a text expected at byte 8");
        let large = vec![b' '; MOST_BYTES + 1];
        assert_eq!(parse(&large, 0), Err(Damage::TooLarge));
    }

    proptest! {
        #![proptest_config(crate::consumer::cases(256, 100_000))]
        /// Cut and changed texts give an error or a table, and never a panic or a loop.
        #[test]
        fn nothing_panics(cut in 0usize..200, changes in prop::collection::vec((0usize..200, any::<u8>()), 0..4), noise in "[\\[\\]{}\",:a1\\\\-]{0,40}") {
            let text = format!(r#"{{"x":[1,{{"y":2}}],"offsetTable":{{{ONE}:1,"{{\"topic\":\"T\",\"brokerName\":\"b\",\"queueId\":2}}":12}}}}"#);
            let mut bytes = text.into_bytes();
            for (at, byte) in changes {
                if let Some(old) = bytes.get_mut(at) {
                    *old = byte;
                }
            }
            bytes.truncate(cut);
            let _ = parse(&bytes, 0);
            bytes.extend(noise.bytes());
            let _ = parse(&bytes, 0);
        }
    }
}
