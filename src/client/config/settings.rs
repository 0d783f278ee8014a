//! The effective settings of a client: every setting with its value, and the checks of values.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "discovery")]
use super::addresses::WebAddress;
use super::addresses::{AddressList, check_address};
use super::options::ClientOptions;
use super::rpc::RpcConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{HeaderFormat, Language, frame};
use crate::transport::Tls;
#[cfg(feature = "tls")]
use crate::transport::TlsConfig;

/// The values of a client's settings. They do not change once it is started.
#[derive(Debug)]
pub(crate) struct ClientConfig {
    name_servers: AddressList,
    pub(crate) instance_name: Option<String>,
    pub(in crate::client) client_ip: Option<IpAddr>,
    pub(in crate::client) connect_timeout: Duration,
    pub(in crate::client) api_timeout: Duration,
    pub(in crate::client) route_interval: Duration,
    pub(in crate::client) heartbeat_interval: Duration,
    pub(in crate::client) idle_timeout: Duration,
    pub(in crate::client) header_format: HeaderFormat,
    pub(in crate::client) language: Language,
    pub(in crate::client) version: i32,
    pub(in crate::client) callback_threads: usize,
    pub(in crate::client) max_in_flight_messages: usize,
    pub(in crate::client) max_in_flight_bytes: usize,
    pub(crate) rpc: RpcConfig,
    #[cfg(feature = "discovery")]
    name_server_url: Option<WebAddress>,
    #[cfg(feature = "discovery")]
    pub(in crate::client) discovery_interval: Duration,
    #[cfg(feature = "tls")]
    tls: Option<TlsConfig>,
}

impl From<ClientOptions> for ClientConfig {
    /// Unset settings have their defaults.
    fn from(options: ClientOptions) -> ClientConfig {
        let cores = || std::thread::available_parallelism().map_or(1, |n| n.get());
        let seconds = Duration::from_secs;
        ClientConfig {
            rpc: RpcConfig {
                hooks: options.hooks,
                #[cfg(feature = "acl")]
                credentials: options.credentials,
                #[cfg(feature = "acl")]
                security_token: options.security_token,
                namespace: options.namespace,
                namespace_v2: options.namespace_v2,
                vip_channel: options.vip_channel.unwrap_or(false),
                unit_name: options.unit_name,
                unit_mode: options.unit_mode.unwrap_or(false),
            },
            name_servers: options.name_servers,
            instance_name: options.instance_name,
            client_ip: options.client_ip,
            connect_timeout: options.connect_timeout.unwrap_or(seconds(3)),
            api_timeout: options.api_timeout.unwrap_or(seconds(3)),
            route_interval: options.route_interval.unwrap_or(seconds(30)),
            heartbeat_interval: options.heartbeat_interval.unwrap_or(seconds(30)),
            idle_timeout: seconds(120),
            header_format: options.header_format.unwrap_or(HeaderFormat::Json),
            language: options.language.unwrap_or(Language::RUST),
            version: options.version.unwrap_or(frame::VERSION),
            callback_threads: options.callback_threads.unwrap_or_else(cores),
            max_in_flight_messages: options.max_in_flight_messages.unwrap_or(65_535),
            max_in_flight_bytes: options.max_in_flight_bytes.unwrap_or(64 << 20),
            #[cfg(feature = "discovery")]
            name_server_url: options.name_server_url,
            #[cfg(feature = "discovery")]
            discovery_interval: options.discovery_interval.unwrap_or(seconds(120)),
            #[cfg(feature = "tls")]
            tls: options.tls,
        }
    }
}

impl fmt::Debug for ClientOptions {
    /// Fills in the defaults of unset settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ClientConfig::from(self.clone()).fmt(f)
    }
}

impl ClientConfig {
    /// Checks everything that has bounds, and takes the namespace from a name server's address if
    /// none was set.
    ///
    /// # Errors
    /// `Config`, which names the setting.
    pub(in crate::client) fn complete(&mut self) -> Result<()> {
        self.rpc.find_namespace(self.name_servers.iter());
        self.rpc.check()?;
        let bad = [
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
        if let Some((_, text)) = bad.iter().find(|(bad, _)| *bad) {
            return Err(Error::new(ErrorKind::Config, *text));
        }
        match &self.instance_name {
            Some(name) if name.is_empty() || name.chars().any(|c| c.is_control() || c == '@') => {
                let text = "instance_name must not be empty nor contain @ or control characters";
                Err(Error::new(ErrorKind::Config, text))
            }
            _ => Ok(()),
        }
    }

    /// The checked list of name servers; empty if it comes from a web server.
    pub(in crate::client) fn checked_name_servers(&self) -> Result<Vec<Arc<str>>> {
        if self.has_discovery() {
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
        for address in self.name_servers.iter() {
            let address = address.strip_prefix("http://").unwrap_or(address);
            check_address(address)?;
            if !checked.iter().any(|known| **known == *address) {
                checked.push(address.into());
            }
        }
        Ok(checked)
    }

    /// The TLS configuration, read and checked.
    pub(in crate::client) fn checked_tls(&self) -> Result<Option<Tls>> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.build().map(Some);
        }
        Ok(None)
    }

    /// The web address of the list of name servers, and the unit whose list it is.
    #[cfg(feature = "discovery")]
    pub(in crate::client) fn web_list(&self) -> Option<(&str, Option<&str>)> {
        let url = self.name_server_url.as_ref()?;
        Some((&url.0, self.rpc.unit_name.as_deref()))
    }

    fn has_discovery(&self) -> bool {
        #[cfg(feature = "discovery")]
        if self.name_server_url.is_some() {
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_servers(options: ClientOptions) -> Result<Vec<String>> {
        let servers = ClientConfig::from(options).checked_name_servers()?;
        Ok(servers.iter().map(|server| server.to_string()).collect())
    }

    #[test]
    fn a_list_may_have_blanks_and_repeats() {
        let options = ClientOptions::new()
            .name_server(" a:1 ;;http://b:2;")
            .name_server("a:1");
        assert_eq!(name_servers(options).unwrap(), ["a:1", "b:2"]);
        let none = name_servers(ClientOptions::new().name_server(" ; "));
        assert_eq!(none.unwrap_err().kind(), ErrorKind::NoNameServer);
    }

    #[test]
    fn later_settings_count_unset_ones_stay_and_name_servers_add_up() {
        let first = ClientOptions::new()
            .name_server("a:1")
            .instance_name("first")
            .unit_mode(true)
            .unit_name("unit");
        let later = ClientOptions::new()
            .name_server("b:1")
            .instance_name("later")
            .unit_mode(false);
        let both = ClientConfig::from(first.merged(later));
        assert_eq!(both.checked_name_servers().unwrap().join(" "), "a:1 b:1");
        assert_eq!(both.instance_name.as_deref(), Some("later"));
        assert_eq!(both.rpc.unit_name.as_deref(), Some("unit"));
        assert!(!both.rpc.unit_mode);
    }
}
