//! The list of name servers from a web server (Java: `DefaultTopAddressing`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ureq::http::{StatusCode, Uri};

use crate::client::config::{ClientConfig, check_address, shown};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Mutex;
use crate::transport::Deadline;

/// The longest time of one fetch (Java: the same).
const TIMEOUT: Duration = Duration::from_secs(3);

/// More than any list of name servers needs.
const LONGEST: u64 = 64 * 1024;

type Servers = Vec<Arc<str>>;

pub(in crate::client) struct Discovery {
    url: String,
    agent: ureq::Agent,
    /// The number of ended fetches, so that waiting callers notice one.
    ended: AtomicU64,
    /// Locked during a fetch; the result of the last one.
    last: Mutex<Result<()>>,
}

impl Discovery {
    /// The address in the settings, unless the list is given.
    ///
    /// # Errors
    /// Those of [`new`](Discovery::new).
    pub(in crate::client) fn from_config(config: &ClientConfig) -> Result<Option<Discovery>> {
        let url = config.web_list();
        url.map(|(url, unit)| Discovery::new(url, unit)).transpose()
    }

    /// `unit` is a part of a company with its own name servers.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if the address is not a plain web address.
    fn new(url: &str, unit: Option<&str>) -> Result<Discovery> {
        let url = with_unit(url, unit);
        let bad = |why: &str| {
            let url = shown(&url);
            let text = format!("name_server_url {url:?} {why}; expected http://host:port/path");
            Error::new(ErrorKind::Config, text)
        };
        let uri: Uri = url.parse().map_err(|_| bad("cannot be read"))?;
        if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
            return Err(bad("is no http address with a host"));
        }
        let config = ureq::Agent::config_builder()
            // Proxy settings in the environment do not apply here.
            .proxy(None)
            .max_idle_connections(0)
            .http_status_as_error(false)
            .build();
        Ok(Discovery {
            url,
            agent: config.into(),
            ended: AtomicU64::new(0),
            last: Mutex::new(Ok(())),
        })
    }

    /// Fetches the list and hands it over. Single flight: a concurrent caller waits for the running
    /// fetch, and shares its failure.
    ///
    /// # Errors
    /// [`NoNameServer`](ErrorKind::NoNameServer): no answer, or none that can be used.
    pub(super) fn fetch(&self, deadline: Deadline, take: impl FnOnce(Servers)) -> Result<()> {
        let seen = self.ended.load(Ordering::Relaxed);
        let Some(mut last) = self.last.try_lock_until(deadline.instant()) else {
            return Err(self.failed("no answer in time".to_owned()));
        };
        if self.ended.load(Ordering::Relaxed) != seen {
            return last.clone();
        }
        let result = self.ask(deadline).map(take);
        self.ended.fetch_add(1, Ordering::Relaxed);
        last.clone_from(&result);
        result
    }

    fn ask(&self, deadline: Deadline) -> Result<Servers> {
        let left = deadline.remaining(Instant::now()).min(TIMEOUT);
        if left.is_zero() {
            return Err(self.failed("no time left".to_owned()));
        }
        let request = self.agent.get(&self.url).config();
        let request = request.timeout_global(Some(left)).build();
        let failed = |e: ureq::Error| self.failed(e.to_string()).caused_by(e);
        let mut response = request.call().map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(self.failed(format!("status {}", response.status())));
        }
        let body = response.body_mut().with_config().limit(LONGEST);
        let text = body.read_to_string().map_err(failed)?;
        parse(&text).map_err(|e| self.failed(e.to_string()).caused_by(e))
    }

    fn failed(&self, why: String) -> Error {
        let url = shown(&self.url);
        let text = format!("{url} gave no list of name servers: {why}");
        Error::new(ErrorKind::NoNameServer, text)
    }
}

fn with_unit(url: &str, unit: Option<&str>) -> String {
    match unit.map(str::trim) {
        Some(unit) if !unit.is_empty() => format!("{url}-{unit}?nofix=1"),
        _ => url.to_owned(),
    }
}

/// The first line is the list: `host:port;host:port`.
fn parse(text: &str) -> Result<Servers> {
    let line = text.trim().lines().next().unwrap_or_default();
    let mut servers = Servers::new();
    for address in line.split(';').map(str::trim).filter(|a| !a.is_empty()) {
        check_address(address)?;
        if !servers.iter().any(|known| **known == *address) {
            servers.push(address.into());
        }
    }
    if servers.is_empty() {
        return Err(Error::new(ErrorKind::NoNameServer, "the answer is empty"));
    }
    Ok(servers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_used_is_refused_without_its_secrets() {
        let refused = Discovery::new("https://user:secret@web/ns", None);
        let text = refused.err().expect("no plain web").to_string();
        assert!(
            !text.contains("secret") && text.contains("https://web/ns"),
            "{text}"
        );
    }

    #[test]
    fn a_unit_has_its_own_list() {
        let url = "http://ns.example:8080/rocketmq/nsaddr";
        assert_eq!(with_unit(url, None), url);
        assert_eq!(with_unit(url, Some(" ")), url);
        assert_eq!(
            with_unit(url, Some("south")),
            format!("{url}-south?nofix=1")
        );
        assert!(Discovery::new(url, Some("south")).is_ok());
    }

    #[test]
    fn the_first_line_is_the_list_and_all_of_it_must_be_good() {
        let list = |text: &str| parse(text).map(|servers| servers.join(" ")).ok();
        for (text, expected) in [
            ("a:1", Some("a:1")),
            ("\r\n a:1 ; b:2;;a:1\r\n", Some("a:1 b:2")),
            ("[::1]:9876\nwhatever", Some("[::1]:9876")),
            ("", None),
            (" \n;", None),
            ("a", None),
            ("a:1;b", None),
            ("<html>", None),
        ] {
            assert_eq!(list(text).as_deref(), expected, "{text:?}");
        }
    }
}
