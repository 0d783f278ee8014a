//! The common parts of the examples: command line, servers, exit code.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use clap::Parser;
use rocketmq_blocking::embedded::{Cluster, ClusterBuilder};

/// Reads the command line and runs the example. The exit code is 0, or 1 if it failed, or 2 if the
/// command line makes no sense.
pub fn main<A: Parser>(run: impl FnOnce(A) -> Result<(), Box<dyn Error>>) -> ExitCode {
    env_logger::init(); // RUST_LOG=rocketmq_blocking=debug shows what the client does
    match run(A::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", A::command().get_name());
            ExitCode::FAILURE
        }
    }
}

/// The option that all examples have.
#[derive(clap::Args)]
pub struct Servers {
    /// Send to these name servers, HOST:PORT[;HOST:PORT], instead of to a cluster inside this process
    #[arg(long, value_name = "ADDRESSES")]
    name_server: Option<String>,
}

impl Servers {
    /// The name servers that were given, or else those of this cluster, which runs until it is
    /// dropped.
    pub fn given_or(&self, cluster: ClusterBuilder) -> io::Result<(String, Option<Cluster>)> {
        if let Some(address) = &self.name_server {
            return Ok((address.clone(), None));
        }
        let cluster = cluster.start()?;
        Ok((cluster.name_server(), Some(cluster)))
    }
}
