use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::addresses::AddressList;
#[cfg(feature = "discovery")]
use super::addresses::WebAddress;
#[cfg(feature = "acl")]
use crate::protocol::acl::Secret;
use crate::protocol::{HeaderFormat, Language};
use crate::transport::RpcHook;
#[cfg(feature = "tls")]
use crate::transport::TlsConfig;

/// The settings of a [`Client`](crate::Client): name servers, identity, TLS, access control, limits,
/// intervals, hooks.
///
/// Give them to [`Client::start`](crate::Client::start) for a client that several producers share,
/// or to a builder's [`options`](crate::producer::ProducerBuilder::options) for the producer's own
/// client. Builders also have `name_server`, `credentials`, `tls`, `namespace` and `instance_name`
/// as methods. If a setting is repeated, the last value counts; name servers and hooks add up.
///
/// A value out of its range is an error of kind [`Config`](crate::ErrorKind::Config) at the start;
/// [all settings](crate::docs::settings) are on one page.
///
/// ```
/// # fn main() -> rocketmq_blocking::Result<()> {
/// use std::time::Duration;
///
/// use rocketmq_blocking::{ClientOptions, Producer};
///
/// let options = ClientOptions::new()
///     .name_server("10.0.0.1:9876;10.0.0.2:9876")
///     .connect_timeout(Duration::from_secs(1));
/// let producer = Producer::builder("orders").options(options).start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use = "options do nothing until a client is started with them"]
#[doc(alias = "ClientConfig")]
pub struct ClientOptions {
    pub(super) name_servers: AddressList,
    pub(super) instance_name: Option<String>,
    pub(super) client_ip: Option<IpAddr>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) api_timeout: Option<Duration>,
    pub(super) route_interval: Option<Duration>,
    pub(super) heartbeat_interval: Option<Duration>,
    pub(super) header_format: Option<HeaderFormat>,
    pub(super) language: Option<Language>,
    pub(super) version: Option<i32>,
    pub(super) callback_threads: Option<usize>,
    pub(super) max_in_flight_messages: Option<usize>,
    pub(super) max_in_flight_bytes: Option<usize>,
    pub(super) hooks: Vec<Arc<dyn RpcHook>>,
    #[cfg(feature = "acl")]
    pub(super) credentials: Option<(String, Secret)>,
    #[cfg(feature = "acl")]
    pub(super) security_token: Option<Secret>,
    pub(super) namespace: Option<Arc<str>>,
    pub(super) namespace_v2: Option<String>,
    pub(super) vip_channel: Option<bool>,
    pub(super) unit_name: Option<String>,
    pub(super) unit_mode: Option<bool>,
    #[cfg(feature = "discovery")]
    pub(super) name_server_url: Option<WebAddress>,
    #[cfg(feature = "discovery")]
    pub(super) discovery_interval: Option<Duration>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<TlsConfig>,
}

impl ClientOptions {
    /// Nothing is set: everything is at its default.
    pub fn new() -> ClientOptions {
        ClientOptions::default()
    }

    /// The name servers, as `host:port`, several with `;` between them. Adds to earlier ones; at
    /// least one is needed. Host names are resolved for each connection; an IPv6 address has
    /// brackets (`[::1]:9876`). A leading `http://` is dropped, as in Java. Any other text than
    /// host and port is an error that names the defect.
    #[doc(alias = "setNamesrvAddr")]
    pub fn name_server(mut self, addresses: impl AsRef<str>) -> Self {
        self.name_servers.add(addresses.as_ref());
        self
    }

    /// The part of the client's id behind the `@` (default: process id and a number, so that
    /// every client differs; neither empty nor with `@` or control characters). Two clients with the
    /// same id replace each other at a broker.
    #[doc(alias = "setInstanceName")]
    pub fn instance_name(mut self, name: impl Into<String>) -> Self {
        self.instance_name = Some(name.into());
        self
    }

    /// The address in the client's id and in message ids (default: the one by which this host
    /// would reach the first name server).
    #[doc(alias = "setClientIP")]
    pub fn client_ip(mut self, ip: IpAddr) -> Self {
        self.client_ip = Some(ip);
        self
    }

    /// The longest time for making one connection (default 3 s; not zero). A call's own deadline
    /// may end it earlier.
    #[doc(alias = "com.rocketmq.remoting.client.connect.timeout")]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// The longest time of a route lookup at the name servers, of a heartbeat, and of a call of
    /// [`Admin`](crate::Admin) (default 3 s; not zero).
    #[doc(alias = "setMqClientApiTimeout")]
    pub fn api_timeout(mut self, timeout: Duration) -> Self {
        self.api_timeout = Some(timeout);
        self
    }

    /// How often the routes of known topics are looked up again (default 30 s; not zero).
    #[doc(alias = "setPollNameServerInterval")]
    pub fn route_interval(mut self, interval: Duration) -> Self {
        self.route_interval = Some(interval);
        self
    }

    /// How often brokers get a heartbeat of this client (default 30 s; not zero; they forget it after
    /// 120 s).
    #[doc(alias = "setHeartbeatBrokerInterval")]
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = Some(interval);
        self
    }

    /// How headers are written (default [`Json`](HeaderFormat::Json)). The client always reads both
    /// forms.
    #[doc(alias = "ROCKETMQ_SERIALIZE_TYPE")]
    pub fn header_format(mut self, format: HeaderFormat) -> Self {
        self.header_format = Some(format);
        self
    }

    /// The language to announce (default [`RUST`](Language::RUST), which
    /// brokers know from 4.9.4 on; `OTHER` is known to all).
    #[doc(alias = "setLanguage")]
    pub fn language(mut self, language: Language) -> Self {
        self.language = Some(language);
        self
    }

    /// The version to announce, as an ordinal of Java's `MQVersion` (default 493, which is 5.4.0;
    /// only the lower 15 bits are sent). Servers use it to decide what they may send.
    #[doc(alias = "MQVersion")]
    pub fn protocol_version(mut self, version: u16) -> Self {
        self.version = Some(i32::from(version & 0x7FFF));
        self
    }

    /// How many threads run callbacks (default: one per core; 1 to 1024).
    #[doc(alias = "setClientCallbackExecutorThreads")]
    #[doc(alias = "setCallbackExecutor")]
    pub fn callback_threads(mut self, threads: usize) -> Self {
        self.callback_threads = Some(threads);
        self
    }

    /// The most asynchronous and oneway messages in flight (default 65,535; not zero). Further sends
    /// wait, and fail with [`Busy`](crate::ErrorKind::Busy) at their deadline.
    #[doc(alias = "setBackPressureForAsyncSendNum")]
    #[doc(alias = "setEnableBackpressureForAsyncMode")]
    pub fn max_in_flight_messages(mut self, messages: usize) -> Self {
        self.max_in_flight_messages = Some(messages);
        self
    }

    /// The most bytes of message bodies in flight, of all modes (default 64 MiB; not zero). Further
    /// sends wait, and fail with [`Busy`](crate::ErrorKind::Busy) at their deadline. A message that
    /// is larger than the limit is sent when nothing else is in flight.
    #[doc(alias = "setBackPressureForAsyncSendSize")]
    pub fn max_in_flight_bytes(mut self, bytes: usize) -> Self {
        self.max_in_flight_bytes = Some(bytes);
        self
    }

    /// The web address of the list of name servers, instead of [`name_server`](Self::name_server)
    /// (default: none): `http://host:port/rocketmq/nsaddr` answers `host:port;host:port`. The list
    /// is fetched when a name server is first needed, within that call's deadline and at most 3 s,
    /// and again every [`discovery_interval`](Self::discovery_interval). If that fails, or the
    /// answer is unusable, the list stays unchanged. With [`unit_name`](Self::unit_name) the
    /// address becomes `..-unit?nofix=1`. Only plain `http`, without a proxy. Needs the feature
    /// `discovery`.
    #[cfg(feature = "discovery")]
    #[doc(alias = "rocketmq.namesrv.domain")]
    #[doc(alias = "DefaultTopAddressing")]
    pub fn name_server_url(mut self, url: impl Into<String>) -> Self {
        self.name_server_url = Some(WebAddress(url.into()));
        self
    }

    /// How often the list behind [`name_server_url`](Self::name_server_url) is fetched again
    /// (default 2 minutes; not zero). Needs the feature `discovery`.
    #[cfg(feature = "discovery")]
    #[doc(alias = "fetchNameServerAddr")]
    pub fn discovery_interval(mut self, interval: Duration) -> Self {
        self.discovery_interval = Some(interval);
        self
    }

    /// Secures all connections, to name servers and brokers (default: plain ones). A certificate or
    /// key that cannot be read is an error of kind [`Config`](crate::ErrorKind::Config) at the
    /// start. Needs the feature `tls`.
    #[cfg(feature = "tls")]
    #[doc(alias = "setUseTLS")]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Adds user code that runs before and after every request: sends, heartbeats, route lookups. Hooks run in the order in which they were added; see
    /// [`RpcHook`](crate::hook::RpcHook) for threads, failures and its cost. Default: none.
    #[doc(alias = "RPCHook")]
    pub fn rpc_hook(mut self, hook: impl RpcHook + 'static) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// Signs every request, for servers with access control (default: no signature). Both
    /// the plain ACL of brokers 4.x and the ACL 2.0 of brokers 5.x take it. A broker that does
    /// not accept it answers 16 (5.x) or 1 (4.x); name servers ignore it.
    ///
    /// Neither key may be blank. Neither the secret nor a token is ever logged or printed. Needs
    /// the feature `acl`.
    #[cfg(feature = "acl")]
    #[doc(alias = "AclClientRPCHook")]
    #[doc(alias = "SessionCredentials")]
    pub fn credentials(
        mut self,
        access_key: impl Into<String>,
        secret_key: impl Into<String>,
    ) -> Self {
        let secret = Secret::new(secret_key);
        self.credentials = Some((access_key.into(), secret));
        self
    }

    /// A token that belongs to temporary [`credentials`](Self::credentials) (default: none; not blank, and not without credentials). Needs
    /// the feature `acl`.
    #[cfg(feature = "acl")]
    pub fn security_token(mut self, token: impl Into<String>) -> Self {
        let token = Secret::new(token);
        self.security_token = Some(token);
        self
    }

    /// The namespace (of the first kind) of all topics and groups: `T` is `namespace%T` to
    /// brokers and name servers, and `T` everywhere in this crate. The brokers' own topics are
    /// in no namespace. Messages carry it as the property `INSTANCE_ID`, a batch as a whole.
    /// Names are limited with their namespace: topics to 127 bytes, groups to 120. It has the
    /// characters `|a-zA-Z0-9_-`.
    ///
    /// Default: the instance in a name server's address, if that begins with `MQ_INST_.._..` and a
    /// dot (`http://MQ_INST_1_2.region.example:80`), else none. An empty text means none.
    #[doc(alias = "setNamespace")]
    pub fn namespace(mut self, namespace: impl AsRef<str>) -> Self {
        self.namespace = Some(namespace.as_ref().into());
        self
    }

    /// The namespace (of the second kind), which every request carries in its header beside
    /// the names (default: none; neither blank nor with control characters). For servers from 5.2
    /// on that know it.
    #[doc(alias = "setNamespaceV2")]
    pub fn namespace_v2(mut self, namespace: impl Into<String>) -> Self {
        self.namespace_v2 = Some(namespace.into());
        self
    }

    /// Whether messages go to the brokers' port for sends only, which is the ordinary one less 2
    /// (default no; the ordinary port where there is no such number). A broker that does not listen
    /// there (the embedded ones do not) cannot be sent to. Heartbeats use the ordinary port, so that
    /// each broker has two connections.
    #[doc(alias = "setVipChannelEnabled")]
    #[doc(alias = "setSendMessageWithVIPChannel")]
    pub fn vip_channel(mut self, vip: bool) -> Self {
        self.vip_channel = Some(vip);
        self
    }

    /// The unit that this client belongs to: its id becomes `ip@instance@unit` (default: none;
    /// neither blank nor with `@` or control characters).
    #[doc(alias = "setUnitName")]
    pub fn unit_name(mut self, unit: impl Into<String>) -> Self {
        self.unit_name = Some(unit.into());
        self
    }

    /// Whether messages are marked as sent by a client of a unit (default no).
    #[doc(alias = "setUnitMode")]
    pub fn unit_mode(mut self, unit: bool) -> Self {
        self.unit_mode = Some(unit);
        self
    }

    /// These settings, with those of `later` in their place that are set there. Lists add up.
    pub(in crate::client) fn merged(mut self, later: ClientOptions) -> ClientOptions {
        self.name_servers.add_all(later.name_servers);
        self.hooks.extend(later.hooks);
        ClientOptions {
            instance_name: later.instance_name.or(self.instance_name),
            client_ip: later.client_ip.or(self.client_ip),
            connect_timeout: later.connect_timeout.or(self.connect_timeout),
            api_timeout: later.api_timeout.or(self.api_timeout),
            route_interval: later.route_interval.or(self.route_interval),
            heartbeat_interval: later.heartbeat_interval.or(self.heartbeat_interval),
            header_format: later.header_format.or(self.header_format),
            language: later.language.or(self.language),
            version: later.version.or(self.version),
            callback_threads: later.callback_threads.or(self.callback_threads),
            max_in_flight_messages: later.max_in_flight_messages.or(self.max_in_flight_messages),
            max_in_flight_bytes: later.max_in_flight_bytes.or(self.max_in_flight_bytes),
            #[cfg(feature = "acl")]
            credentials: later.credentials.or(self.credentials),
            #[cfg(feature = "acl")]
            security_token: later.security_token.or(self.security_token),
            namespace: later.namespace.or(self.namespace),
            namespace_v2: later.namespace_v2.or(self.namespace_v2),
            vip_channel: later.vip_channel.or(self.vip_channel),
            unit_name: later.unit_name.or(self.unit_name),
            unit_mode: later.unit_mode.or(self.unit_mode),
            #[cfg(feature = "discovery")]
            name_server_url: later.name_server_url.or(self.name_server_url),
            #[cfg(feature = "discovery")]
            discovery_interval: later.discovery_interval.or(self.discovery_interval),
            #[cfg(feature = "tls")]
            tls: later.tls.or(self.tls),
            name_servers: self.name_servers,
            hooks: self.hooks,
        }
    }
}
