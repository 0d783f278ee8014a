// What the producers (later: consumers) of one client share: name servers, routes, heartbeats,
// identity, and the life of all of it.

mod admin;
mod api;
mod config;
mod core;
mod describe;
#[cfg_attr(not(feature = "discovery"), path = "no_discovery.rs")]
mod discovery;
mod heartbeat;
mod identity;
mod inbound;
mod name_server;
mod process;
mod publish;
mod requests;
mod route;
mod rpc;
mod shutdown;
mod throttle;
mod ticker;

pub use admin::Admin;
pub use config::ClientBuilder;
pub use core::Client;
pub use describe::{ClientState, ConnectionState, DialFailure, NameServerState, TopicState};
pub use shutdown::ShutdownReport;

pub(crate) use config::{ClientConfig, check_name, client_setters};
pub(crate) use core::Registration;
#[cfg(feature = "discovery")]
pub(crate) use discovery::WebAddress;
pub(crate) use identity::epoch_millis;
pub(crate) use inbound::TransactionChecks;
pub(crate) use publish::PublishInfo;
pub(crate) use requests::{Answer, Waiting};
pub(crate) use route::DefaultTopic;
pub(crate) use rpc::{Names, rpc_setters};
pub(crate) use throttle::Throttle;
pub(crate) use ticker::Ticker;

/// The target of what is logged here: a name to filter by, which stays when files move.
pub(crate) const LOG: &str = "rocketmq_blocking::client";

/// Java's limit (`Validators`).
pub(crate) const LONGEST_TOPIC: usize = 127;
