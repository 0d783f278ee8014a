//! Signed requests: `Signature` is the HMAC-SHA1, in base64, of all header values in the order of
//! their names, followed by the body.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;

use super::ExtFields;
use crate::message::string_order;

const ACCESS_KEY: &str = "AccessKey";
const SECURITY_TOKEN: &str = "SecurityToken";
const SIGNATURE: &str = "Signature";

/// A text that cannot be printed.
#[derive(Clone)]
pub(crate) struct Secret(Arc<str>);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Secret {
        Secret(text.into().into())
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// The signer's access key.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) access_key: String,
    pub(crate) secret_key: Secret,
    pub(crate) security_token: Option<Secret>,
}

impl Credentials {
    /// Adds the fields that identify the sender and authenticate the request.
    pub(crate) fn sign(&self, ext: &mut ExtFields, body: &[u8]) {
        // A binary header has no empty values, and a peer that reads one as null would sign the
        // word "null": leave it out.
        if ext.iter().any(|(_, value)| value.is_empty()) {
            *ext = ext.iter().filter(|(_, value)| !value.is_empty()).collect();
        }
        ext.set(ACCESS_KEY, &self.access_key);
        if let Some(token) = &self.security_token {
            ext.set(SECURITY_TOKEN, &token.0);
        }
        ext.set(SIGNATURE, &signature(&self.secret_key, ext, body));
    }
}

/// The signature of a request with these fields; one that is there already does not count.
fn signature(secret: &Secret, ext: &ExtFields, body: &[u8]) -> String {
    let mut fields: Vec<_> = ext.iter().filter(|(name, _)| *name != SIGNATURE).collect();
    // Java sorts by UTF-16 units. The sort is stable: of equal names the last one stays the last.
    fields.sort_by(|(a, _), (b, _)| string_order(a, b));
    let mut mac = match Hmac::<Sha1>::new_from_slice(secret.0.as_bytes()) {
        Ok(mac) => mac,
        // An HMAC takes keys of any length.
        Err(_) => return String::new(),
    };
    for (i, (name, value)) in fields.iter().enumerate() {
        let replaced = fields.get(i + 1).is_some_and(|(next, _)| next == name);
        if !replaced {
            mac.update(value.as_bytes());
        }
    }
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(secret: &str, fields: &[(&str, &str)], body: &[u8], expected: &str) {
        let ext = fields.iter().copied().collect();
        assert_eq!(signature(&Secret::new(secret), &ext, body), expected);
    }

    /// Expected values made with Python's `hmac`, from the joined values as they stand behind each.
    #[test]
    #[rustfmt::skip]
    fn signatures_are_those_of_another_implementation() {
        let long = "k".repeat(100);
        check("goldenSecretKey123", &[], b"", "ztuoVdWwRS9zSkOg88Lb+50IgaU="); // ""
        check("goldenSecretKey123", &[("topic", "T"), ("AccessKey", "goldenAccessKey")], b"", "eIII5OSThbbNr09OmbIY55t8ejA="); // "goldenAccessKeyT"
        check("goldenSecretKey123", &[("a", "1"), ("B", "2"), ("aa", "3"), ("Signature", "x")], b"body", "eqIzqSZVoTXvirUKiVenCfaIy6E="); // "213body"
        check("goldenSecretKey123", &[("a", "old"), ("b", "2"), ("a", "new")], &[0, 255], "rWF92OKRMbcM6DKNF86iAqbycAo="); // "new2\x00\xff"
        check("goldenSecretKey123", &[("a", ""), ("b", "2")], b"", "uhn+qZgj2KQRSJxTy9fERR36ieU="); // "2"
        check("plainSecret99", &[("a", "gr\u{fc}n\u{1}")], "\u{20ac}".as_bytes(), "5HJg/TfNehX1wdyeeTp6P+df5fg="); // "grün\x01€"
        check(&long, &[("a", "1")], b"", "wb5D1xsmrDOLon6GtFk6CHZt6dM="); // "1"
        check("s\u{fc}\u{20ac}", &[("a", "1")], b"x", "hRqqXG8hYsbhqpDa4q4H0LaBsew="); // "1x"
        // U+FF5E has the larger UTF-16 unit, and the smaller code point.
        check("s", &[("\u{ff5e}", "later"), ("\u{1f600}", "first")], b"", "YAbeYRUpJOYWZKJMZm7KtTfeQhE="); // "firstlater"
    }

    #[test]
    fn the_signed_fields_are_added_and_replace_older_ones() {
        let mut credentials = Credentials {
            access_key: "key".into(),
            secret_key: Secret::new("secret"),
            security_token: None,
        };
        let mut ext: ExtFields = [("a", "1"), ("empty", "")].into_iter().collect();
        credentials.sign(&mut ext, b"x");
        let first = ext.clone();
        let names: Vec<_> = ext.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", ACCESS_KEY, SIGNATURE]);
        credentials.sign(&mut ext, b"x");
        assert_eq!(ext, first);
        credentials.security_token = Some(Secret::new("token"));
        credentials.sign(&mut ext, b"x");
        assert_eq!(ext.get(SECURITY_TOKEN), Some("token"));
        assert_ne!(ext.get(SIGNATURE), first.get(SIGNATURE));
    }

    #[test]
    fn secrets_do_not_print() {
        let credentials = Credentials {
            access_key: "key".into(),
            secret_key: Secret::new("canary"),
            security_token: Some(Secret::new("canary")),
        };
        let secret = &credentials.secret_key;
        let printed = format!("{credentials:?} {credentials:#?} {secret} {secret:?}");
        assert!(!printed.contains("canary"), "{printed}");
    }
}
