//! Base64 (RFC 4648): few bytes now and then, which need no crate.

/// The last two digits differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// `+/`
    Standard,
    /// `-_`
    Url,
}

impl Alphabet {
    fn digits(self) -> &'static [u8; 64] {
        match self {
            Alphabet::Standard => {
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            }
            Alphabet::Url => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
        }
    }

    /// The text of some bytes, padded.
    pub(super) fn encode(self, bytes: &[u8]) -> String {
        let digits = self.digits();
        let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
        for chunk in bytes.chunks(3) {
            let three = [0, 1, 2].map(|i| chunk.get(i).copied().map_or(0, u32::from));
            let bits = three[0] << 16 | three[1] << 8 | three[2];
            for i in 0..4 {
                let digit = char::from(digits[(bits >> (18 - 6 * i) & 63) as usize]);
                text.push(if i <= chunk.len() { digit } else { '=' });
            }
        }
        text
    }

    /// The bytes of a text, padded or not.
    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        let all = self.digits();
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
                    Some(digit) => all.iter().position(|d| d == digit)?,
                    None => 0,
                };
                bits = bits << 6 | u32::try_from(value).ok()?;
            }
            bytes.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_rfc() {
        let url = Alphabet::Url;
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
            assert_eq!(url.encode(plain.as_bytes()), text);
            assert_eq!(url.decode(text).unwrap(), plain.as_bytes(), "{text}");
            let bare = text.trim_end_matches('=');
            assert_eq!(url.decode(bare).unwrap(), plain.as_bytes(), "{bare}");
        }
        for bad in [
            "Z", "Zg=", "Zg===", "Zm9v=", "Z g=", "Zm9+", "Zm9/", "=", "Zä",
        ] {
            assert_eq!(url.decode(bad), None, "{bad}");
        }
        assert_eq!(Alphabet::Standard.encode(b"~~~???"), "fn5+Pz8/");
        assert_eq!(Alphabet::Standard.decode("fn5+Pz8/").unwrap(), b"~~~???");
    }
}
