//! What the command line says about servers and producers.

use std::env;
use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};
use rocketmq_blocking::producer::{FaultStrategy, ProducerBuilder};
use rocketmq_blocking::protocol::HeaderFormat;
use rocketmq_blocking::transaction::TransactionProducerBuilder;
use rocketmq_blocking::{
    ClientOptions, Compression, Producer, TransactionProducer, TransactionState,
};

/// The most messages without an answer. More would not be faster, only later: each one's timeout
/// runs from the call on.
const MOST_IN_FLIGHT: usize = 1024;

#[derive(Args)]
pub struct Settings {
    /// Name servers, HOST:PORT[;HOST:PORT] [default: $NAMESRV_ADDR, or else a cluster inside this
    /// process]
    #[arg(long, value_name = "ADDRESSES")]
    name_server: Option<String>,

    /// A web page with the list of name servers instead, http://HOST:PORT/PATH (feature discovery)
    #[arg(long, value_name = "URL", conflicts_with = "name_server")]
    name_server_url: Option<String>,

    /// The producer group
    #[arg(long, default_value = "produce")]
    group: String,

    /// The namespace of topic and group, as a part of their names
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,

    /// The namespace that requests carry beside the names (servers from 5.2 on)
    #[arg(long, value_name = "NS")]
    namespace_v2: Option<String>,

    /// The part of the client's id behind the @ [default: a new one for each process]
    #[arg(long, value_name = "NAME")]
    instance_name: Option<String>,

    /// The unit that this client belongs to
    #[arg(long, value_name = "NAME")]
    unit_name: Option<String>,

    /// The whole time of a send, retries included
    #[arg(long, value_name = "MS", default_value_t = 3000, value_parser = value_parser!(u64).range(1..))]
    timeout_ms: u64,

    /// How often a failed send is tried again; never for oneway, --queue and --sharding-key
    #[arg(long, value_name = "N", default_value_t = 2)]
    retries: u32,

    /// How request headers are written
    #[arg(long, value_enum, default_value_t = Header::Json)]
    header: Header,

    /// How bodies are compressed, those of batches excepted (features lz4, zstd)
    #[arg(long, value_enum, default_value_t = Compress::Zlib)]
    compress: Compress,

    /// Compress bodies of at least so many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    compress_over: usize,

    /// Sign requests, for servers with access control (feature acl)
    #[arg(long, value_name = "K", requires = "secret_key")]
    access_key: Option<String>,

    /// The secret that belongs to the access key
    #[arg(long, value_name = "S", requires = "access_key")]
    secret_key: Option<String>,

    /// The token that belongs to temporary keys
    #[arg(long, value_name = "T", requires = "access_key")]
    security_token: Option<String>,

    /// Secure all connections (feature tls)
    #[arg(long)]
    tls: bool,

    /// Trust the authorities in this PEM file instead of the public ones
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_ca: Option<String>,

    /// Take any certificate from anybody: for servers in test mode
    #[arg(long, requires = "tls", conflicts_with = "tls_ca")]
    tls_insecure: bool,

    /// Trace what is stored to RMQ_SYS_TRACE_TOPIC
    #[arg(long)]
    trace: bool,

    /// Send to the brokers' port for sends only, which is theirs less 2
    #[arg(long)]
    vip: bool,

    /// Avoid brokers that are slow or fail, for a while
    #[arg(long)]
    latency_fault: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Header {
    Json,
    Binary,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Compress {
    Zlib,
    Lz4,
    Zstd,
}

/// Applies the settings to a builder. Producers and transaction producers have builders of their
/// own, with the same setters.
macro_rules! apply {
    ($settings:expr, $name_server:expr, $builder:expr) => {{
        let settings = $settings;
        let mut builder = $builder
            .send_timeout(settings.timeout())
            .retries(settings.retries)
            .async_retries(settings.retries)
            .options(ClientOptions::new().header_format(settings.header_format()))
            .compression(settings.compression())
            .compress_over(settings.compress_over)
            .options(
                ClientOptions::new()
                    .vip_channel(settings.vip)
                    .max_in_flight_messages(MOST_IN_FLIGHT),
            );
        if let Some(addresses) = $name_server {
            builder = builder.name_server(addresses);
        }
        if let Some(namespace) = &settings.namespace {
            builder = builder.namespace(namespace);
        }
        if let Some(namespace) = &settings.namespace_v2 {
            builder = builder.options(ClientOptions::new().namespace_v2(namespace));
        }
        if let Some(name) = &settings.instance_name {
            builder = builder.instance_name(name);
        }
        if let Some(name) = &settings.unit_name {
            builder = builder.options(ClientOptions::new().unit_name(name));
        }
        if settings.trace {
            builder = builder.trace();
        }
        if settings.latency_fault {
            builder = builder.latency_fault(FaultStrategy::default());
        }
        #[cfg(feature = "discovery")]
        if let Some(url) = &settings.name_server_url {
            builder = builder.options(ClientOptions::new().name_server_url(url));
        }
        #[cfg(feature = "acl")]
        if let (Some(key), Some(secret)) = (&settings.access_key, &settings.secret_key) {
            builder = builder.credentials(key, secret);
        }
        #[cfg(feature = "acl")]
        if let Some(token) = &settings.security_token {
            builder = builder.options(ClientOptions::new().security_token(token));
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = settings.tls() {
            builder = builder.tls(tls);
        }
        builder
    }};
}

impl Settings {
    pub fn producer(&self, name_server: Option<&str>) -> ProducerBuilder {
        apply!(self, name_server, Producer::builder(&self.group))
    }

    pub fn transactions(&self, name_server: Option<&str>) -> TransactionProducerBuilder {
        // The broker may ask about a transaction of another process, of which nothing is known here.
        let builder = TransactionProducer::builder(&self.group, |_| TransactionState::Unknown);
        apply!(self, name_server, builder)
    }

    /// The name servers, if they are given as such.
    pub fn name_server(&self) -> Option<String> {
        let set = || env::var("NAMESRV_ADDR").ok().filter(|a| !a.is_empty());
        self.name_server.clone().or_else(set)
    }

    /// Whether the name servers are to be asked for.
    pub fn discovers(&self) -> bool {
        self.name_server_url.is_some()
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Refuses what this build cannot do, and what needs a real server.
    pub fn check(&self) -> Result<(), String> {
        let needed = [
            (self.tls, "--tls", "tls", cfg!(feature = "tls")),
            (
                self.access_key.is_some(),
                "--access-key",
                "acl",
                cfg!(feature = "acl"),
            ),
            (
                self.compress == Compress::Lz4,
                "--compress lz4",
                "lz4",
                cfg!(feature = "lz4"),
            ),
            (
                self.compress == Compress::Zstd,
                "--compress zstd",
                "zstd",
                cfg!(feature = "zstd"),
            ),
            (
                self.discovers(),
                "--name-server-url",
                "discovery",
                cfg!(feature = "discovery"),
            ),
        ];
        for (wanted, option, feature, is_on) in needed {
            if wanted && !is_on {
                return Err(format!(
                    "{option} needs the feature {feature}: cargo run --features {feature} \
                     --example produce -- ..."
                ));
            }
        }
        let own_cluster = self.name_server().is_none() && !self.discovers();
        for (wanted, option) in [(self.tls, "--tls"), (self.vip, "--vip")] {
            if wanted && own_cluster {
                return Err(format!(
                    "{option} needs --name-server: the cluster inside this process cannot do that"
                ));
            }
        }
        Ok(())
    }

    fn header_format(&self) -> HeaderFormat {
        match self.header {
            Header::Json => HeaderFormat::Json,
            Header::Binary => HeaderFormat::Binary,
        }
    }

    fn compression(&self) -> Compression {
        match self.compress {
            #[cfg(feature = "lz4")]
            Compress::Lz4 => Compression::Lz4,
            #[cfg(feature = "zstd")]
            Compress::Zstd => Compression::Zstd,
            _ => Compression::Zlib,
        }
    }

    #[cfg(feature = "tls")]
    fn tls(&self) -> Option<rocketmq_blocking::TlsConfig> {
        let mut tls = rocketmq_blocking::TlsConfig::new();
        if let Some(file) = &self.tls_ca {
            tls = tls.ca_file(file);
        }
        if self.tls_insecure {
            tls = tls.danger_accept_any_certificate();
        }
        self.tls.then_some(tls)
    }
}
