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
//! | heartbeat, unregistering | yes ([`Broker::producers`], [`Broker::consumers`]); a silent client is forgotten after 120 s | |
//! | making topics, offsets, messages by id and by key | yes, of kept messages | |
//! | rejections: unknown topic, bad queue, too large | yes | |
//! | faults: error codes, silence, hang-ups, garbage, slowness | yes, scripted ([`Fault`]) | |
//! | kill and restart on the same port | yes ([`Broker::kill`], [`Broker::restart`]) | |
//! | what arrived | [`Cluster::messages`], [`Cluster::requests`] | |
//! | delivery to consumers | pulls with long polls, without filters; notices of changed groups | offsets, locks, retries, filters |
//! | transactions | yes; checks on demand ([`Cluster::check_transactions`]) | checks by the clock, and a last one |
//! | request-reply | yes; a reply is acknowledged before its receiver has answered | |
//! | delayed messages, recalling them | if wanted ([`hold_delayed_messages`](ClusterBuilder::hold_delayed_messages)) | |
//! | masters | every broker is one | slaves, replication, elections |
//! | compression | bodies are kept as they came, and read decompressed | |
//! | flush and replication that are late | as a code ([`Fault::answer`] with 10, 11 or 12) | in earnest |
//! | the VIP channel | | yes: leave `vip_channel` off in tests |
//! | TLS, access control, quotas, files | | yes |
//!
//! # Faults
//! Each server has its own: [`Broker::inject`] and [`NameServer::inject`] take a [`Fault`], which says
//! what goes wrong, and [`On`], which requests; what comes back, [`Injected`], counts them and ends it.
//! A [`Gate`] holds answers until the test opens it, [`Fault::late`] until the clock has moved. New connections are disturbed by
//! [`Broker::set_accept`], all of them broken by [`Broker::disconnect_all`].
//!
//! # The clock
//! A cluster has one clock for everything that its servers do by time: store times, delayed messages,
//! long polls, late answers ([`Fault::late`]), and members of groups that expire (120 s after their last
//! heartbeat). Transactions have none: the test says when the broker asks.
//!
//! The clock runs with real time, and [`Cluster::advance`] moves it further. With
//! [`hold_delayed_messages`](ClusterBuilder::hold_delayed_messages) or
//! [`manual_clock`](ClusterBuilder::manual_clock) it stands still, and only `advance` moves it: then
//! nothing on the servers depends on how long the test takes. What is due at the same time happens in
//! the order in which it was asked for.
//!
//! A client's own deadlines, pauses and intervals run by the system's clock. So does its heartbeat: a
//! cluster that is moved by two minutes at once has forgotten all members until their next one.
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
//! | requests that wait for a later answer | 100,000 with at most 256 MiB of bodies; one more is refused with code 2. They are forgotten when their connection ends |
//! | what a client does not read | 128 MiB of later answers and requests of the broker's own; then its connection ends |
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
//! One accepting thread per server (`mq-accept`) and one per connection (`mq-conn`). A connection on
//! which something is answered later, or asked by the broker, has one more (`mq-write`); a running clock
//! has one as soon as something waits for it (`mq-clock`). They end, and are joined, when a server is
//! killed or the cluster is dropped. Functions that a test gives ([`On::when`], [`Fault::bytes_from`])
//! run on these threads, and held requests on the thread that opens their gate; due work of a clock that
//! stands still runs on the thread that calls `advance`.
//!
//! Not yet covered by semantic versioning.

// In reading order: `cluster` and its `builder`, `service` (which request goes where), `broker`,
// `consume` and `name_server` (what is answered), `members`, `topics`, `store` and `clock` (what they
// have), `faults` and `server` (how requests come and answers go). Imports go in that direction only.
mod broker;
mod builder;
mod clock;
mod cluster;
mod consume;
mod faults;
mod members;
mod name_server;
mod server;
mod service;
mod store;
mod topics;

#[cfg(test)]
mod tests;

pub use broker::{Broker, Transaction};
pub use builder::ClusterBuilder;
pub use cluster::Cluster;
pub use faults::{Fault, Gate, Injected, On};
pub use name_server::NameServer;
pub use server::{Accept, ReceivedRequest};
pub use store::StoredMessage;

/// The target of what is logged here: a name to filter by, which stays when files move.
const LOG: &str = "rocketmq_blocking::embedded";
