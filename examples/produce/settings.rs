//! The command line's settings of servers and producers.

use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};
use rocketmq_blocking::producer::{FaultStrategy, ProducerBuilder};
use rocketmq_blocking::protocol::HeaderFormat;
use rocketmq_blocking::transaction::TransactionProducerBuilder;
use rocketmq_blocking::{
    ClientOptions, Compression, Producer, TransactionProducer, TransactionState,
};

use crate::client::{self, ClientArgs};

const PROGRAM: &str = "produce";

/// The most messages without an answer. More would not be faster, only later: each one's timeout
/// runs from the call on.
const MOST_IN_FLIGHT: usize = 1024;

#[derive(Args)]
pub struct Settings {
    #[command(flatten)]
    client: ClientArgs,

    /// The producer group
    #[arg(long, default_value = "produce")]
    group: String,

    /// The whole time of a send, retries included
    #[arg(long, value_name = "MS", default_value_t = 3000, value_parser = value_parser!(u64).range(1..))]
    timeout_ms: u64,

    /// Number of retries of a failed send; none for oneway, --queue and --sharding-key
    #[arg(long, value_name = "N", default_value_t = 2)]
    retries: u32,

    /// How request headers are written
    #[arg(long, value_enum, default_value_t = Header::Json)]
    header: Header,

    /// How bodies are compressed, those of batches excepted (features lz4, zstd)
    #[arg(long, value_enum, default_value_t = Compress::Zlib)]
    compress: Compress,

    /// Compress bodies of at least this many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    compress_over: usize,

    /// Trace stored messages to RMQ_SYS_TRACE_TOPIC
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

/// Applies the settings to a builder. Producers and transaction producers have different builders,
/// with the same setters.
macro_rules! apply {
    ($settings:expr, $name_server:expr, $builder:expr) => {{
        let settings = $settings;
        let mut builder = $builder
            .options(settings.options())
            .send_timeout(settings.timeout())
            .retries(settings.retries)
            .async_retries(settings.retries)
            .compression(settings.compression())
            .compress_over(settings.compress_over);
        if let Some(addresses) = $name_server {
            builder = builder.name_server(addresses);
        }
        if settings.trace {
            builder = builder.trace();
        }
        if settings.latency_fault {
            builder = builder.latency_fault(FaultStrategy::default());
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
        self.client.name_server()
    }

    pub fn has_own_cluster(&self) -> bool {
        self.client.has_own_cluster()
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Refuses options that this build lacks or that need a real server.
    pub fn check(&self) -> Result<(), String> {
        self.client.check(PROGRAM)?;
        let is = |compression| self.compress == compression;
        let needed = [
            (
                is(Compress::Lz4),
                "--compress lz4",
                "lz4",
                cfg!(feature = "lz4"),
            ),
            (
                is(Compress::Zstd),
                "--compress zstd",
                "zstd",
                cfg!(feature = "zstd"),
            ),
        ];
        client::check_features(&needed, PROGRAM)?;
        match self.vip && self.has_own_cluster() {
            true => Err(client::needs_name_server("--vip")),
            false => Ok(()),
        }
    }

    fn options(&self) -> ClientOptions {
        let options = self.client.options();
        options
            .header_format(self.header_format())
            .vip_channel(self.vip)
            .max_in_flight_messages(MOST_IN_FLIGHT)
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
}
