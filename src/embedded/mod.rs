//! A name server and brokers inside the process, for tests and examples.
//!
//! They listen on 127.0.0.1 and speak the remoting protocol with both header formats, so that any
//! client can send to them: this crate's, or the Java one. Answers are those of RocketMQ 5.4.0.
//!
//! ```
//! use rocketmq_blocking::embedded::Cluster;
//! use rocketmq_blocking::{Message, Producer};
//!
//! let cluster = Cluster::start()?;
//! let producer = Producer::builder("orders").name_server(cluster.name_server()).start()?;
//! let _ = producer.send(&Message::new("Orders", "one book").tag("placed"))?;
//!
//! let stored = cluster.only_message("Orders");
//! assert_eq!((stored.tag(), &*stored.text()), (Some("placed"), "one book"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! [Testing your app](crate::docs::testing) is a tour by the tests of a small order service.
//!
//! # What it plays
//!
//! | feature | here | only a real broker |
//! |---|---|---|
//! | routes, several brokers and name servers | yes | |
//! | topics made on demand (`TBW102`) | yes ([`auto_create_topics`](ClusterBuilder::auto_create_topics)) | |
//! | sends: V1, V2, batch, oneway | yes | |
//! | heartbeat, unregistering | yes ([`Broker::producers`]) | brokers that forget a silent client |
//! | making topics, offsets, messages by id and by key | yes, of kept messages | |
//! | rejections: unknown topic, bad queue, too large | yes | |
//! | faults: error codes, silence, hang-ups, garbage, slowness | yes, scripted ([`Fault`]) | |
//! | kill and restart on the same port | yes ([`Broker::kill`], [`Broker::restart`]) | |
//! | what arrived | [`Cluster::messages`], [`Cluster::requests`] | |
//! | delivery to consumers | | yes |
//! | transactions | yes; checks on demand ([`Cluster::check_transactions`]) | checks by the clock, and a last one |
//! | request-reply | yes; a reply is acknowledged before its receiver has answered | |
//! | delayed messages, recalling them | if wanted, by a clock moved by hand ([`Cluster::advance`]) | by time |
//! | masters | every broker is one | slaves, replication, elections |
//! | compression | bodies are kept as they came, and read decompressed | |
//! | flush and replication that are late | as a code ([`Fault::answer`] with 10, 11 or 12) | in earnest |
//! | the VIP channel | | yes: leave `vip_channel` off in tests |
//! | TLS, access control, quotas, files | | yes |
//!
//! # Faults
//! Each server has its own: [`Broker::inject`] and [`NameServer::inject`] take a [`Fault`], which says
//! what goes wrong, and [`On`], which requests; what comes back, [`Injected`], counts them and ends it.
//! A [`Gate`] holds answers until the test opens it. New connections are disturbed by
//! [`Broker::set_accept`], all of them broken by [`Broker::disconnect_all`].
//!
//! # The clock
//! Only delayed messages have one: it stands still, until [`Cluster::advance`] moves it
//! ([`hold_delayed_messages`](ClusterBuilder::hold_delayed_messages)). Transactions have none: the test
//! says when the broker asks. A client's own deadlines, pauses and intervals run by the system's clock.
//!
//! # Waiting
//! What was answered is stored: after a synchronous send, look. For what nobody answers (oneway sends,
//! the ends of transactions) and for what another thread does there is a `wait_for_..`, which returns as
//! soon as it is so, and otherwise when the time is up, so that a long time costs a failing test only.
//!
//! # Memory
//! | what | bound |
//! |---|---|
//! | messages | none: kept as long as the cluster lives, unless [`keep_messages(false)`](ClusterBuilder::keep_messages); [`Cluster::clear_messages`] forgets them |
//! | requests | the last 65,536 with at most 64 MiB of bodies, unless [`record_requests(false)`](ClusterBuilder::record_requests) |
//! | transactions and held messages | none: as long as the cluster lives, or until they are due |
//! | [`Cluster::subscribe`] | none: what the receiver has not taken |
//! | a frame | 16 MiB; a longer one ends its connection |
//!
//! # Ports
//! On 127.0.0.1, free ones unless [`broker_port`](ClusterBuilder::broker_port) and
//! [`name_server_port`](ClusterBuilder::name_server_port) say otherwise: clusters of tests that run
//! side by side do not meet. A killed broker gives its port up, and waits up to five seconds for it
//! when it is restarted; another process may have taken it meanwhile.
//!
//! # Threads
//! One accepting thread per server (`mq-accept`) and one per connection (`mq-conn`). They end, and
//! are joined, when a server is killed or the cluster is dropped. Functions that a test gives
//! ([`On::when`], [`Fault::bytes_from`]) run on a connection's thread, and held requests on the thread
//! that opens their gate.
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

/// The target of what is logged here: a name to filter by, which stays when files move.
const LOG: &str = "rocketmq_blocking::embedded";
