use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use super::discovery::Discovery;
#[cfg(feature = "discovery")]
use super::discovery::WebAddress;
use super::rpc::RpcConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{HeaderFormat, Language, frame};
use crate::transport::Tls;

/// How a client is to be set up. Immutable once it is started.
#[derive(Debug, Clone)]
pub(crate) struct ClientConfig {
    pub(crate) name_servers: Vec<String>,
    pub(crate) instance_name: Option<String>,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) connect_timeout: Duration,
    pub(crate) api_timeout: Duration,
    pub(crate) route_interval: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) header_format: HeaderFormat,
    pub(crate) language: Language,
    pub(crate) version: i32,
    pub(crate) callback_threads: usize,
    pub(crate) max_in_flight_messages: usize,
    pub(crate) max_in_flight_bytes: usize,
    pub(crate) rpc: RpcConfig,
    #[cfg(feature = "discovery")]
    pub(crate) name_server_url: Option<WebAddress>,
    #[cfg(feature = "discovery")]
    pub(crate) discovery_interval: Duration,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::transport::TlsConfig>,
}

impl Default for ClientConfig {
    fn default() -> ClientConfig {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        ClientConfig {
            name_servers: Vec::new(),
            instance_name: None,
            client_ip: None,
            connect_timeout: Duration::from_secs(3),
            api_timeout: Duration::from_secs(3),
            route_interval: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(120),
            header_format: HeaderFormat::Json,
            language: Language::RUST,
            version: frame::VERSION,
            callback_threads: cores,
            max_in_flight_messages: 65_535,
            max_in_flight_bytes: 64 * 1024 * 1024,
            rpc: RpcConfig::default(),
            #[cfg(feature = "discovery")]
            name_server_url: None,
            #[cfg(feature = "discovery")]
            discovery_interval: Duration::from_secs(120),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// Sets up a [`Client`] that several producers share; made by [`Client::builder`]. Its settings stand
/// on the builders of producers too, for the client that a producer makes for itself. A value out of
/// its range is an error of kind [`Config`](ErrorKind::Config) at [`start`](ClientBuilder::start);
/// [all settings](crate::docs::settings) are on one page.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until it is started"]
pub struct ClientBuilder {
    config: ClientConfig,
}

/// The setters of everything that belongs to a client. They stand on [`ClientBuilder`], and on the
/// builders of producers for the client that a producer makes for itself.
macro_rules! client_setters {
    ($config:ident) => {
        crate::client::rpc_setters!($config);

        /// The name servers, as `host:port`, several with `;` between them. Adds to earlier ones; at
        /// least one is needed. Host names are resolved at each connect; an address of version 6 has
        /// brackets (`[::1]:9876`). An `http://` in front is left out, as in Java.
        #[doc(alias = "setNamesrvAddr")]
        pub fn name_server(mut self, addresses: impl AsRef<str>) -> Self {
            let addresses = addresses.as_ref().split(';').map(str::trim);
            let new = addresses
                .filter(|address| !address.is_empty())
                .map(str::to_owned);
            self.$config().name_servers.extend(new);
            self
        }

        /// The part of the client's id behind the `@` (default: process id and a number, so that
        /// every client differs; neither empty nor with `@` or control characters). Two clients of one
        /// id on one broker take each other's place.
        #[doc(alias = "setInstanceName")]
        pub fn instance_name(mut self, name: impl Into<String>) -> Self {
            self.$config().instance_name = Some(name.into());
            self
        }

        /// The address in the client's id and in message ids (default: the one by which this host
        /// would reach the first name server).
        #[doc(alias = "setClientIP")]
        pub fn client_ip(mut self, ip: std::net::IpAddr) -> Self {
            self.$config().client_ip = Some(ip);
            self
        }

        /// The longest time for making one connection (default 3 s; not zero). A call's own deadline
        /// may end it earlier.
        #[doc(alias = "com.rocketmq.remoting.client.connect.timeout")]
        pub fn connect_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.$config().connect_timeout = timeout;
            self
        }

        /// The longest time for one question to a name server, for heartbeats, and for calls of
        /// [`Admin`](crate::Admin) (default 3 s; not zero).
        #[doc(alias = "setMqClientApiTimeout")]
        pub fn api_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.$config().api_timeout = timeout;
            self
        }

        /// How often the routes of known topics are asked for again (default 30 s; not zero).
        #[doc(alias = "setPollNameServerInterval")]
        pub fn route_interval(mut self, interval: std::time::Duration) -> Self {
            self.$config().route_interval = interval;
            self
        }

        /// How often brokers hear from this client (default 30 s; not zero; they forget it after
        /// 120 s).
        #[doc(alias = "setHeartbeatBrokerInterval")]
        pub fn heartbeat_interval(mut self, interval: std::time::Duration) -> Self {
            self.$config().heartbeat_interval = interval;
            self
        }

        /// How headers are written (default [`Json`](crate::protocol::HeaderFormat::Json)). Both
        /// forms are always understood.
        #[doc(alias = "ROCKETMQ_SERIALIZE_TYPE")]
        pub fn header_format(mut self, format: crate::protocol::HeaderFormat) -> Self {
            self.$config().header_format = format;
            self
        }

        /// The language to announce (default [`RUST`](crate::protocol::Language::RUST), which
        /// brokers know from 4.9.4 on; `OTHER` is known to all).
        #[doc(alias = "setLanguage")]
        pub fn language(mut self, language: crate::protocol::Language) -> Self {
            self.$config().language = language;
            self
        }

        /// The version to announce, as an ordinal of Java's `MQVersion` (default 493, which is
        /// 5.4.0; the lower 15 bits count). Servers decide by it what they may send.
        #[doc(alias = "MQVersion")]
        pub fn protocol_version(mut self, version: u16) -> Self {
            self.$config().version = i32::from(version & 0x7FFF);
            self
        }

        /// How many threads run callbacks (default: one per core; 1 to 1024).
        #[doc(alias = "setClientCallbackExecutorThreads")]
        #[doc(alias = "setCallbackExecutor")]
        pub fn callback_threads(mut self, threads: usize) -> Self {
            self.$config().callback_threads = threads;
            self
        }

        /// The most asynchronous and oneway messages in flight (default 65,535; not zero). Who finds
        /// the limit reached waits to its deadline and then gets [`Busy`](crate::ErrorKind::Busy).
        #[doc(alias = "setBackPressureForAsyncSendNum")]
        #[doc(alias = "setEnableBackpressureForAsyncMode")]
        pub fn max_in_flight_messages(mut self, messages: usize) -> Self {
            self.$config().max_in_flight_messages = messages;
            self
        }

        /// The most bytes of message bodies in flight, of all modes (default 64 MiB; not zero). Who
        /// finds no room waits to its deadline and then gets [`Busy`](crate::ErrorKind::Busy). A
        /// message that is larger than the limit goes when nothing else is in flight.
        #[doc(alias = "setBackPressureForAsyncSendSize")]
        pub fn max_in_flight_bytes(mut self, bytes: usize) -> Self {
            self.$config().max_in_flight_bytes = bytes;
            self
        }

        /// Where the list of name servers is to be had, instead of [`name_server`](Self::name_server)
        /// (default: nowhere):
        /// `http://host:port/rocketmq/nsaddr` answers `host:port;host:port`. It is asked for when a
        /// name server is first needed, within that call's deadline and at most 3 s, and again
        /// every [`discovery_interval`](Self::discovery_interval). After an answer that cannot be
        /// used, or none, the list stays as it was. With [`unit_name`](Self::unit_name) the address
        /// becomes `..-unit?nofix=1`. Only plain `http`, without a proxy. Needs the feature
        /// `discovery`.
        #[cfg(feature = "discovery")]
        #[doc(alias = "rocketmq.namesrv.domain")]
        #[doc(alias = "DefaultTopAddressing")]
        pub fn name_server_url(mut self, url: impl Into<String>) -> Self {
            self.$config().name_server_url = Some($crate::client::WebAddress(url.into()));
            self
        }

        /// How often the list behind [`name_server_url`](Self::name_server_url) is asked for again
        /// (default 2 minutes; not zero). Needs the feature `discovery`.
        #[cfg(feature = "discovery")]
        #[doc(alias = "fetchNameServerAddr")]
        pub fn discovery_interval(mut self, interval: std::time::Duration) -> Self {
            self.$config().discovery_interval = interval;
            self
        }

        /// Secures all connections, to name servers and brokers alike (default: plain ones). What
        /// cannot be read of it is an error of kind [`Config`](crate::ErrorKind::Config) at the
        /// start. Needs the feature `tls`.
        #[cfg(feature = "tls")]
        #[doc(alias = "setUseTLS")]
        pub fn tls(mut self, tls: crate::TlsConfig) -> Self {
            self.$config().tls = Some(tls);
            self
        }
    };
}
pub(crate) use client_setters;

impl ClientBuilder {
    client_setters!(config_mut);

    fn config_mut(&mut self) -> &mut ClientConfig {
        &mut self.config
    }

    /// Starts the client's threads. Nothing is connected before the first send.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if a name server's address or another setting cannot work;
    /// [`NoNameServer`](ErrorKind::NoNameServer) if there is none; [`Io`](ErrorKind::Io) if the
    /// system gives no threads.
    pub fn start(self) -> Result<Client> {
        Client::start(self.config)
    }
}

impl From<ClientConfig> for ClientBuilder {
    fn from(config: ClientConfig) -> ClientBuilder {
        ClientBuilder { config }
    }
}

impl ClientConfig {
    /// The checked list of name servers.
    pub(crate) fn checked_name_servers(&self) -> Result<Vec<Arc<str>>> {
        if self.discovery()?.is_some() {
            if self.name_servers.is_empty() {
                return Ok(Vec::new());
            }
            let text = "name_server and name_server_url exclude each other";
            return Err(Error::new(ErrorKind::Config, text));
        }
        if self.name_servers.is_empty() {
            let text = "no name server is set: call name_server(\"host:port\") on the builder";
            return Err(Error::new(ErrorKind::NoNameServer, text));
        }
        let mut checked: Vec<Arc<str>> = Vec::new();
        for address in &self.name_servers {
            let address = address.strip_prefix("http://").unwrap_or(address);
            check_address(address)?;
            if !checked.iter().any(|known| **known == *address) {
                checked.push(address.into());
            }
        }
        Ok(checked)
    }

    /// Where the name servers are to be asked for, if they are not given.
    pub(super) fn discovery(&self) -> Result<Option<Discovery>> {
        #[cfg(feature = "discovery")]
        if let Some(url) = &self.name_server_url {
            return Discovery::new(&url.0, self.rpc.unit_name.as_deref()).map(Some);
        }
        Ok(None)
    }

    /// What secures the connections, read and checked.
    pub(crate) fn checked_tls(&self) -> Result<Option<Tls>> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.build().map(Some);
        }
        Ok(None)
    }

    /// Checks what has bounds.
    pub(crate) fn check(&self) -> Result<()> {
        self.rpc.check()?;
        let config = |text: &str| Err(Error::new(ErrorKind::Config, text));
        let zero = [
            (
                self.connect_timeout.is_zero(),
                "connect_timeout must not be zero",
            ),
            (self.api_timeout.is_zero(), "api_timeout must not be zero"),
            #[cfg(feature = "discovery")]
            (
                self.discovery_interval.is_zero(),
                "discovery_interval must not be zero",
            ),
            (
                self.route_interval.is_zero(),
                "route_interval must not be zero",
            ),
            (
                self.heartbeat_interval.is_zero(),
                "heartbeat_interval must not be zero",
            ),
            (
                self.max_in_flight_messages == 0,
                "max_in_flight_messages must not be zero",
            ),
            (
                self.max_in_flight_bytes == 0,
                "max_in_flight_bytes must not be zero",
            ),
            (
                self.callback_threads == 0,
                "callback_threads must not be zero",
            ),
            (
                self.callback_threads > 1024,
                "callback_threads must not exceed 1024",
            ),
        ];
        if let Some((_, text)) = zero.iter().find(|(bad, _)| *bad) {
            return config(text);
        }
        match &self.instance_name {
            Some(name) if name.is_empty() || name.chars().any(|c| c.is_control() || c == '@') => {
                config("instance_name must not be empty nor contain @ or control characters")
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn check_address(address: &str) -> Result<()> {
    let bad = |why: &str| {
        let text = format!("name server address {address:?} {why}; expected host:port");
        Err(Error::new(ErrorKind::Config, text))
    };
    if address.contains(',') {
        return bad("has a comma; several addresses are separated by semicolons");
    }
    let Some((host, port)) = address.rsplit_once(':') else {
        return bad("has no port");
    };
    if port.parse::<u16>().ok().filter(|port| *port > 0).is_none() {
        return bad("has no port between 1 and 65535");
    }
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bracketed {
        Some(ip) if ip.parse::<std::net::Ipv6Addr>().is_ok() => Ok(()),
        Some(_) => bad("has no IPv6 address in its brackets"),
        None if host.contains(':') => bad("needs brackets around its IPv6 address"),
        None if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') => {
            bad("has no host")
        }
        None => Ok(()),
    }
}

/// The characters of topics and groups: `%|a-zA-Z0-9_-`, as Java has it.
pub(crate) fn check_name(what: &str, name: &str, longest: usize) -> Result<()> {
    if name.is_empty() || name.trim().is_empty() {
        return Err(Error::invalid(format!("the {what} is blank")));
    }
    if name.len() > longest {
        let text = format!("the {what} is longer than {longest} characters");
        return Err(Error::invalid(text));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '%' | '|' | '_' | '-');
    if name.bytes().all(|byte| legal(byte.into())) {
        return Ok(());
    }
    match name.chars().find(|c| !legal(*c)) {
        Some(c) => Err(Error::invalid(format!(
            "the {what} has the character {c:?}; only letters, digits and % | _ - are allowed"
        ))),
        None => Ok(()),
    }
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
        ] {
            assert!(check_address(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost",
            ":9876",
            "h:",
            "h:0",
            "h:99999",
            "::1:9876",
            "[x]:1",
            "h /:1",
        ] {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_may_have_blanks_and_repeats() {
        let builder = ClientBuilder::default()
            .name_server(" a:1 ;;http://b:2;")
            .name_server("a:1");
        let servers = builder.config.checked_name_servers().unwrap();
        assert_eq!(
            servers.iter().map(|s| &**s).collect::<Vec<_>>(),
            ["a:1", "b:2"]
        );
        let none = ClientBuilder::default()
            .name_server(" ; ")
            .config
            .checked_name_servers();
        assert_eq!(none.unwrap_err().kind(), ErrorKind::NoNameServer);
    }

    #[test]
    fn names_have_javas_characters() {
        for good in ["TopicTest", "%RETRY%g", "a|b", "x".repeat(127).as_str()] {
            assert!(check_name("topic", good, 127).is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "a.b", "ü", "x".repeat(128).as_str()] {
            assert!(check_name("topic", bad, 127).is_err(), "{bad}");
        }
    }
}
