//! The client's sockets and threads: connections, pending requests, budgets, callback workers.
//!
//! One reader thread per connection matches responses to waiters by opaque id. Everything that
//! decides (who waits, what is queued, when to dial again) is a plain type that takes `now`; the
//! files around it own the sockets and threads.

mod backoff;
mod budget;
mod connection;
mod deadline;
mod dial;
mod encoded;
mod end;
mod expiry;
mod hook;
mod inbound;
mod outbox;
mod patience;
mod peer;
mod pending;
mod pool;
mod reader;
mod ready;
mod receive;
mod remoting;
mod request;
mod resolve;
mod rpc_hook;
mod shared;
mod slot;
#[cfg(test)]
mod tests;
mod threads;
mod timer;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod workers;
mod writer;

pub(crate) use budget::{Account, Budget, Permit};
pub(crate) use connection::{Connection, Via};
pub(crate) use deadline::Deadline;
pub(crate) use encoded::Encoded;
pub(crate) use hook::Hooks;
pub(crate) use inbound::Inbound;
pub(crate) use pending::{Entry, Pending};
pub(crate) use pool::{Job, Pool};
pub(crate) use remoting::{CONNECTIONS_PER_CALL, Remoting, To};
pub(crate) use request::Request;
pub use rpc_hook::{RpcHook, RpcRequest, RpcResponse};
pub(crate) use shared::RemotingConfig;
#[cfg(feature = "internals")]
pub(crate) use slot::Slot;
pub(crate) use slot::{Completion, Next, Outcome};
pub(crate) use threads::{Threads, contained};
pub(crate) use timer::Timer;
pub(crate) use tls::Tls;
#[cfg(feature = "tls")]
pub use tls::TlsConfig;
pub(crate) use workers::Workers;

/// The target of what is logged here: a name to filter by, which stays when files move.
pub(crate) const LOG: &str = "rocketmq_blocking::transport";
