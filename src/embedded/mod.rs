//! A name server and brokers inside the process, for tests and examples.
//!
//! They listen on 127.0.0.1 and speak the remoting protocol with both header formats, so that any
//! client can send to them: this crate's, or the Java one. Answers are those of RocketMQ 5.4.0.
//!
//! ```
//! use rocketmq_blocking::embedded::Cluster;
//!
//! let cluster = Cluster::start()?;
//! println!("name server: {}", cluster.name_server());
//! // .. give that address to a producer, send to topic "Orders" ..
//! assert!(cluster.messages("Orders").is_empty());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What it plays
//!
//! | feature | here | only a real broker |
//! |---|---|---|
//! | routes, several brokers and name servers | yes | |
//! | topics made on demand (`TBW102`) | yes | |
//! | sends: V1, V2, batch, oneway | yes | |
//! | heartbeat, unregistering | yes | |
//! | making topics, offsets, messages by id and by key | yes, of kept messages | |
//! | rejections: unknown topic, bad queue, too large | yes | |
//! | faults: error codes, silence, hang-ups, garbage, slowness | yes, scripted ([`Fault`]) | |
//! | kill and restart on the same port | yes | |
//! | what arrived | [`Cluster::messages`], [`Cluster::requests`] | |
//! | delivery to consumers | | yes |
//! | transactions | yes; checks on demand ([`Cluster::check_transactions`]) | checks by the clock |
//! | request-reply | yes; a reply is acknowledged before its receiver has answered | |
//! | delayed messages, recalling them | if wanted, by a clock moved by hand ([`Cluster::advance`]) | by time |
//! | TLS, access control, replication, files | | yes |
//!
//! # Threads
//! One accepting thread per server (`mq-accept`) and one per connection (`mq-conn`). They end, and
//! are joined, when a server is killed or the cluster is dropped.
//!
//! Not yet covered by semantic versioning.

mod admin;
mod broker;
mod builder;
mod cluster;
mod connection;
mod delays;
mod fault;
mod gate;
mod name_server;
mod on;
mod producers;
mod replies;
mod requests;
mod send;
mod server;
mod store;
mod stored;
mod topics;
mod transactions;

#[cfg(test)]
mod tests;

pub use broker::Broker;
pub use builder::ClusterBuilder;
pub use cluster::Cluster;
pub use fault::{Fault, Injected};
pub use gate::Gate;
pub use name_server::NameServer;
pub use on::On;
pub use requests::ReceivedRequest;
pub use server::Accept;
pub use stored::StoredMessage;
pub use transactions::Transaction;
