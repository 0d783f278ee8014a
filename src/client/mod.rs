//! What the producers (later: consumers) of one client share: name servers, routes, heartbeats,
//! identity, and the life of all of it.

mod api;
mod config;
mod core;
mod heartbeat;
mod identity;
mod inbound;
mod name_server;
mod publish;
mod requests;
mod route;
mod rpc;
mod shutdown;
mod ticker;

pub use config::ClientBuilder;
pub use core::Client;
pub use shutdown::ShutdownReport;

pub(crate) use config::{ClientConfig, check_name, client_setters};
pub(crate) use core::Registration;
pub(crate) use identity::epoch_millis;
pub(crate) use inbound::TransactionChecks;
pub(crate) use publish::PublishInfo;
pub(crate) use requests::{Answer, Waiting};
pub(crate) use route::DefaultTopic;
pub(crate) use rpc::{Names, rpc_setters};
pub(crate) use ticker::Ticker;
