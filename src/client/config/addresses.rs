//! Addresses of servers as people write them, and the reasons to refuse one.

use std::fmt;
use std::net::Ipv6Addr;

use crate::error::{Error, ErrorKind, Printable, Result};

/// The distance from a broker's port to the one that takes sends only.
const VIP_PORT_BELOW: u16 = 2;

/// Characters that people write between two addresses, and their names.
const SEPARATORS: &[(char, &str)] = &[
    (',', "a comma"),
    ('\u{FF1B}', "a full-width semicolon (\u{FF1B})"),
    ('\u{FF0C}', "a full-width comma (\u{FF0C})"),
    ('\u{3001}', "an ideographic comma (\u{3001})"),
    ('|', "a vertical bar"),
];

/// The addresses of name servers, as given. `Debug` hides passwords.
#[derive(Clone, Default)]
pub(super) struct AddressList(Vec<String>);

impl AddressList {
    /// Adds the addresses of a text that has semicolons between them.
    pub(super) fn add(&mut self, text: &str) {
        let addresses = text.split(';').map(str::trim);
        let given = addresses.filter(|address| !address.is_empty());
        self.0.extend(given.map(str::to_owned));
    }

    pub(super) fn add_all(&mut self, other: AddressList) {
        self.0.extend(other.0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Debug for AddressList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(without_credentials))
            .finish()
    }
}

/// The address of a list of name servers. `Debug` hides secrets.
#[cfg(feature = "discovery")]
#[derive(Clone)]
pub(super) struct WebAddress(pub(super) String);

#[cfg(feature = "discovery")]
impl fmt::Debug for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(&self.0).fmt(f)
    }
}

/// A web address for people: without what may be secret in it, a password or a query.
#[cfg(feature = "discovery")]
pub(in crate::client) fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let gap = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{gap}{host}{path}")
}

/// A server's address for people: without a user and a password, wherever they begin.
fn without_credentials(address: &str) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        (None, Some((_, rest))) => rest.to_owned(),
        (_, None) => address.to_owned(),
    }
}

/// Checks the address of a name server: `host:port`.
///
/// # Errors
/// `Config`, which names everything that is wrong.
pub(in crate::client) fn check_address(address: &str) -> Result<()> {
    let wrong = faults(address);
    if wrong.is_empty() {
        return Ok(());
    }
    let shown = without_credentials(address);
    let text = format!(
        "name server address \"{}\" {}; expected host:port",
        Printable(&shown),
        wrong.join(" and ")
    );
    Err(Error::new(ErrorKind::Config, text))
}

/// The defect of an address. Host and port are checked only if the form is right.
fn faults(address: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut rest = address;
    if let Some((scheme, behind)) = rest.split_once("://") {
        let scheme = Printable(scheme).to_string();
        wrong.push(match &*scheme {
            "https" => "begins with the scheme https:// (enable TLS with tls(..) instead)".into(),
            _ => format!("begins with the scheme {scheme}://"),
        });
        rest = behind;
    }
    for (separator, name) in SEPARATORS {
        if rest.contains(*separator) {
            wrong.push(format!(
                "has {name}: several addresses are separated by semicolons"
            ));
        }
    }
    if rest.contains(char::is_whitespace) {
        wrong.push("has a blank: several addresses are separated by semicolons".into());
    }
    if let Some((_, behind)) = rest.rsplit_once('@') {
        wrong.push("has credentials before an @ (set them with credentials(..) instead)".into());
        rest = behind;
    }
    if let Some((before, path)) = rest.split_once('/') {
        wrong.push(match path {
            "" => "ends with a slash".into(),
            _ => format!("has a path (/{})", Printable(path)),
        });
        rest = before;
    }
    if rest.contains('\u{FF1A}') {
        wrong.push("has a full-width colon (\u{FF1A})".into());
    }
    if let Some(odd) = rest.chars().find(|c| is_odd(*c)) {
        wrong.push(format!("has the character {odd:?}"));
    }
    if wrong.is_empty() {
        wrong.extend(fault_of_host_and_port(rest).map(str::to_owned));
    }
    wrong
}

/// Characters that are in no host and no port. (A host need not be of ASCII: the resolver knows.)
fn is_odd(c: char) -> bool {
    c.is_control() && !c.is_whitespace()
        || matches!(c, '"' | '\'' | '`' | '<' | '>' | '\\' | '?' | '#' | '=')
}

fn fault_of_host_and_port(address: &str) -> Option<&'static str> {
    if address.starts_with('[') && address.ends_with(']') {
        return Some("has no port");
    }
    let Some((host, port)) = address.rsplit_once(':') else {
        return Some("has no port");
    };
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bracketed {
        Some(ip) if ip.parse::<Ipv6Addr>().is_err() => {
            return Some("has no IPv6 address in its brackets");
        }
        None if address.parse::<Ipv6Addr>().is_ok() || host.parse::<Ipv6Addr>().is_ok() => {
            return Some("needs brackets around its IPv6 address");
        }
        None if host.contains(':') => return Some("has more than one colon"),
        None if host.is_empty() => return Some("has no host"),
        _ => {}
    }
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let number = port.parse::<u16>().ok().filter(|port| digits && *port > 0);
    number
        .is_none()
        .then_some("has no port between 1 and 65535")
}

/// The address of a broker that takes sends only; `None` if there can be none.
pub(super) fn vip_address(broker: &str) -> Option<String> {
    let (host, port) = broker.rsplit_once(':')?;
    let port = port.parse::<u16>().ok()?.checked_sub(VIP_PORT_BELOW)?;
    (port > 0).then(|| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_a_host_and_a_port() {
        for good in [
            "localhost:9876",
            "10.0.0.1:1",
            "[::1]:9876",
            "ns-1.example:65535",
            "ns_1:9876",
        ] {
            assert!(check_address(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn an_unusable_address_is_refused_with_the_reason() {
        for (bad, expected) in [
            ("", "has no port"),
            ("localhost", "has no port"),
            ("[::1]", "has no port"),
            (":9876", "has no host"),
            ("h:", "has no port between 1 and 65535"),
            ("h:0", "has no port between 1 and 65535"),
            ("h:+80", "has no port between 1 and 65535"),
            ("h:99999", "has no port between 1 and 65535"),
            ("::1:9876", "needs brackets around its IPv6 address"),
            ("fe80::1", "needs brackets around its IPv6 address"),
            ("h:1:2", "has more than one colon"),
            ("[x]:1", "has no IPv6 address in its brackets"),
            ("tcp://h:1", "begins with the scheme tcp://"),
            ("rocketmq://h:1", "begins with the scheme rocketmq://"),
            ("HTTP://h:1", "begins with the scheme HTTP://"),
            ("https://h:1", "(enable TLS with tls(..) instead)"),
            (
                "h:1 h:2",
                "has a blank: several addresses are separated by semicolons",
            ),
            ("h :1", "has a blank"),
            ("h:1\th:2", "has a blank"),
            ("h:1\u{3000}h:2", "has a blank"),
            (
                "h:1,h:2",
                "has a comma: several addresses are separated by semicolons",
            ),
            ("h:1\u{FF1B}h:2", "has a full-width semicolon (\u{FF1B})"),
            ("h:1\u{FF0C}h:2", "has a full-width comma (\u{FF0C})"),
            ("h:1|h:2", "has a vertical bar"),
            ("h\u{FF1A}1", "has a full-width colon (\u{FF1A})"),
            ("user:pw@h:1", "has credentials before an @"),
            ("h:1/", "ends with a slash"),
            ("h:1/rocketmq", "has a path (/rocketmq)"),
            ("\"h:1\"", "has the character '\"'"),
            (
                "rocketmq://user:pw@h:1/",
                "begins with the scheme rocketmq:// and has credentials",
            ),
            ("rocketmq://user:pw@h:1/", "and ends with a slash"),
        ] {
            let error = check_address(bad).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
            let text = error.to_string();
            assert!(text.contains(expected), "{bad}: {text}");
            assert!(!text.contains("pw"), "{bad}: {text}");
        }
    }

    #[test]
    fn addresses_print_without_what_may_be_secret() {
        for (address, expected) in [
            ("http://user:secret@h:1", "http://h:1"),
            ("user:secret/secret@h:1", "h:1"),
            ("h:1", "h:1"),
        ] {
            let mut list = AddressList::default();
            list.add(address);
            assert_eq!(format!("{list:?}"), format!("[{expected:?}]"));
        }
    }

    #[cfg(feature = "discovery")]
    #[test]
    fn a_web_address_is_shown_without_what_may_be_secret() {
        for (url, expected) in [
            (
                "http://user:secret@web:80/ns?token=secret#secret",
                "http://web:80/ns",
            ),
            ("http://web/a@b", "http://web/a@b"),
            ("http://user:secret@", "http://"),
            ("user:secret@web", "web"),
        ] {
            assert_eq!(shown(url), expected);
            let printed = format!("{:?}", WebAddress(url.into()));
            assert_eq!(printed, format!("{expected:?}"));
        }
    }

    #[test]
    fn the_vip_port_is_two_below_where_there_is_one() {
        for (broker, vip) in [
            ("h:10911", Some("h:10909")),
            ("[::1]:3", Some("[::1]:1")),
            ("h:2", None),
            ("h:0", None),
            ("h", None),
            ("h:x", None),
        ] {
            assert_eq!(vip_address(broker).as_deref(), vip, "{broker}");
        }
    }
}
