//! The client's sockets and threads: connections, pending requests, budgets, callback workers.
//!
//! One reader thread per connection matches responses to waiters by opaque id. The decisions (what
//! is pending, what is queued, when to dial again) are in plain types that take `now`; the files
//! around them own the sockets and threads. In reading order:
//! - `remoting`: all connections of a client and the process they belong to; sending requests over them
//! - `request`: a request, and its frame (whose bytes `protocol::frame` writes)
//! - `asynchronous`: requests that no thread waits for
//! - `hook`: the processing of every request: fixed fields, RPC hooks, signature; `rpc_hook`: the
//!   trait for users
//! - `connection`: one TCP connection, multiplexed
//! - `dial`: opening connections
//! - `tls`: sessions over the connections' sockets
//! - `budget`: the in-flight limits
//! - `work`: threads, pools, timers, deadlines, and waits between threads
//! - `inbound`, `shared`: events for the layer above; state that all connections share

mod asynchronous;
mod budget;
mod connection;
mod dial;
mod hook;
mod inbound;
mod remoting;
mod request;
mod rpc_hook;
mod shared;
#[cfg(test)]
mod tests;
#[cfg_attr(not(feature = "tls"), path = "tls/absent.rs")]
mod tls;
mod work;

pub(crate) use budget::{Account, Budget, Permit};
#[cfg(feature = "internals")]
pub(crate) use connection::Slot;
pub(crate) use connection::{
    Completion, Confirmation, Connection, Entry, Next, Outcome, Pending, Via,
};
pub(crate) use hook::Hooks;
pub(crate) use inbound::Inbound;
pub(crate) use remoting::{CONNECTIONS_PER_CALL, Dial, Prepared, Remoting, To};
pub(crate) use request::Request;
pub use rpc_hook::{RpcHook, RpcRequest, RpcResponse};
pub(crate) use shared::RemotingConfig;
pub(crate) use tls::Tls;
#[cfg(feature = "tls")]
pub use tls::TlsConfig;
pub(crate) use work::{
    Claim, Deadline, Deferred, Job, Lead, Pool, Promise, Role, SingleFlight, Spin, Threads,
    Throttle, Ticker, Timer, Workers, catch_bug, epoch_millis, log_bug,
};

use request::Encoded;
use shared::Shared;

/// The target of what is logged here: a name to filter by, which stays when files move.
pub(crate) const LOG: &str = "rocketmq_blocking::transport";
