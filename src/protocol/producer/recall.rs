//! Handles by which timer messages are taken back.

use super::ProtocolError;
use super::base64::Alphabet;

/// The content of the handle in a send's answer: url-safe base64 of `v1 <topic> <broker> <epoch
/// milliseconds> <unique key>` (Java's `RecallMessageHandle`).
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
        Alphabet::Url.encode(format!("v1 {topic} {broker} {timestamp} {unique_key}").as_bytes())
    }

    /// Reads a handle's text.
    ///
    /// # Errors
    /// It is not base64, not of version 1, or one of its parts is missing or not a number.
    pub fn decode(text: &str) -> Result<RecallHandle, ProtocolError> {
        let bad = |why: &str| ProtocolError::new(format!("not a recall handle: {why}"));
        let bytes = Alphabet::Url
            .decode(text)
            .ok_or_else(|| bad("not base64"))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_reads_back_and_an_invalid_one_is_refused() {
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
                RecallHandle::decode(&Alphabet::Url.encode(plain.as_bytes())).is_err(),
                "{plain}"
            );
        }
        assert!(RecallHandle::decode("!").is_err());
        assert!(RecallHandle::decode(&Alphabet::Url.encode(&[0xFF; 30])).is_err());
        assert!(RecallHandle::decode(&Alphabet::Url.encode(b"v1 T b 1 K more")).is_ok());
    }
}
