//! The settings of a client, and values derived from them. In reading order:
//!
//! - `options`: [`ClientOptions`], all settings of a client as users give them
//! - `settings`: [`ClientConfig`], the values that a client goes by, checked
//! - `rpc`: those of them that every request carries
//! - `addresses`: addresses of servers as people write them
//! - `names`: names of topics and groups, for users and on the wire
//! - `identity`: the client's id, and where the keys of messages come from

mod addresses;
mod identity;
mod names;
mod options;
mod rpc;
mod settings;

pub use options::ClientOptions;

#[cfg(feature = "discovery")]
pub(super) use addresses::{check_address, shown};
pub(crate) use identity::Identity;
pub(super) use identity::local_ip;
pub(crate) use names::Names;
pub(super) use rpc::SendPort;
pub(crate) use settings::ClientConfig;
