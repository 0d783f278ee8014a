//! Handles by which timer messages are taken back.

use super::ProtocolError;

/// What the handle in a send's answer says: url-safe base64 of
/// `v1 <topic> <broker> <epoch milliseconds> <unique key>` (Java's `RecallMessageHandle`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecallHandle {
    /// The topic.
    pub topic: String,
    /// The name of the broker that has the message.
    pub broker: String,
    /// When it is due, epoch milliseconds.
    pub timestamp: i64,
    /// The message's unique key.
    pub unique_key: String,
}

impl RecallHandle {
    /// The handle's text.
    pub fn encode(&self) -> String {
        let RecallHandle {
            topic,
            broker,
            timestamp,
            unique_key,
        } = self;
        base64(format!("v1 {topic} {broker} {timestamp} {unique_key}").as_bytes())
    }

    /// Reads a handle's text.
    ///
    /// # Errors
    /// It is not base64, not of version 1, or one of its parts is missing or not a number.
    pub fn decode(text: &str) -> Result<RecallHandle, ProtocolError> {
        let bad = |why: &str| ProtocolError::new(format!("not a recall handle: {why}"));
        let bytes = unbase64(text).ok_or_else(|| bad("not base64"))?;
        let plain = String::from_utf8(bytes).map_err(|_| bad("not UTF-8"))?;
        // A later version may append parts, as Java allows.
        let mut parts = plain.split(' ').filter(|part| !part.is_empty());
        if parts.next() != Some("v1") {
            return Err(bad("not of version 1"));
        }
        let mut next = || parts.next().ok_or_else(|| bad("too few parts"));
        Ok(RecallHandle {
            topic: next()?.to_owned(),
            broker: next()?.to_owned(),
            timestamp: next()?.parse().map_err(|_| bad("not a time"))?,
            unique_key: next()?.to_owned(),
        })
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// RFC 4648 with the URL-safe alphabet, padded.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let three = [0, 1, 2].map(|i| chunk.get(i).copied().map_or(0, u32::from));
        let bits = three[0] << 16 | three[1] << 8 | three[2];
        for i in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * i) & 63) as usize]);
            text.push(if i <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

/// Padding may be there or not.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let padding = text.len() - digits.len();
    if padding > 2 || (padding > 0 && text.len() % 4 != 0) || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.chunks(4) {
        let mut bits = 0u32;
        for i in 0..4 {
            let value = match chunk.get(i) {
                Some(digit) => DIGITS.iter().position(|d| d == digit)?,
                None => 0,
            };
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
            ("~~~???", "fn5-Pz8_"),
        ] {
            assert_eq!(base64(plain.as_bytes()), text);
            assert_eq!(unbase64(text).unwrap(), plain.as_bytes(), "{text}");
            let bare = text.trim_end_matches('=');
            assert_eq!(unbase64(bare).unwrap(), plain.as_bytes(), "{bare}");
        }
        for bad in [
            "Z", "Zg=", "Zg===", "Zm9v=", "Z g=", "Zm9+", "Zm9/", "=", "Zä",
        ] {
            assert_eq!(unbase64(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_handle_reads_back_and_what_is_none_is_refused() {
        let handle = RecallHandle {
            topic: "T".into(),
            broker: "broker-a".into(),
            timestamp: 1_700_000_000_000,
            unique_key: "C000020262E930946E096B2963250001".into(),
        };
        assert_eq!(RecallHandle::decode(&handle.encode()).unwrap(), handle);
        for plain in [
            "",
            "v1",
            "v2 T b 1 K",
            "v1 T b 1",
            "v1 T b x K",
            "T b 1 K",
            "v1  b 1 K",
        ] {
            assert!(
                RecallHandle::decode(&base64(plain.as_bytes())).is_err(),
                "{plain}"
            );
        }
        assert!(RecallHandle::decode("!").is_err());
        assert!(RecallHandle::decode(&base64(&[0xFF; 30])).is_err());
        assert!(RecallHandle::decode(&base64(b"v1 T b 1 K more")).is_ok());
    }
}
