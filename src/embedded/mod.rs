//! A name server and brokers inside the process, for tests and examples.
//!
//! They listen on 127.0.0.1 and speak the remoting protocol with both header formats, so that any
//! client can send to them and consume from them: this crate's, or the Java one. Answers are those of
//! RocketMQ 5.4.0, or for consumers of [4.9.7](Release).
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
//! | static topics, logical queues that move | yes ([`Cluster::create_static_topic`], [`Cluster::move_queue`]); as sent to, pulled and committed | what operators ask of groups; sends to any queue |
//! | topics made on demand (`TBW102`) | yes ([`auto_create_topics`](ClusterBuilder::auto_create_topics)) | |
//! | sends: V1, V2, batch, oneway | yes | |
//! | heartbeat, unregistering | yes ([`Broker::producers`], [`Broker::consumers`]); a silent client is forgotten after 120 s | |
//! | consumer groups: members, notifications, subscriptions | yes ([`Cluster::group`], [`Broker::edit_members`], [`Broker::drop_notifications`]) | |
//! | what operators ask of groups: progress, topics, resets | yes, as each [release](Release) does | |
//! | making topics, offsets, messages by id and by key | yes, of kept messages | |
//! | rejections: unknown topic, bad queue, too large | yes | |
//! | faults: error codes, silence, hang-ups, garbage, slowness | yes, scripted ([`Fault`]) | |
//! | kill and restart on the same port | yes ([`Broker::kill`], [`Broker::restart`]) | |
//! | what arrived | [`Cluster::messages`], [`Cluster::requests`] | |
//! | pulls, long polls, filters by tags | yes | |
//! | filters by SQL92 | if wanted ([`sql_filters`](ClusterBuilder::sql_filters)) | |
//! | committed offsets, and which of them a killed broker loses | yes ([`Group::committed`], [`Group::reset_offset`]) | |
//! | queue locks, for 60 s | yes ([`Group::locks`]) | the strict mode for replicas |
//! | messages sent back, retry topics, dead letters | yes ([`Group::retries`], [`Group::dead_letters`]); delayed as other messages are | |
//! | POP: pops, acknowledgements, invisible times, order | yes ([`Group::in_flight`]); a message that is not acknowledged comes again at its time | 209 for too many polls, 210 for a client's slow clock, `PEEK_MESSAGE` |
//! | assignment by brokers, request modes | yes | |
//! | requests of brokers to consumers | on demand ([`Group::running_info`], [`Group::consume_directly`], ..) | |
//! | transactions | yes; checks on demand ([`Cluster::check_transactions`]) | checks by time, and their limit |
//! | request-reply | yes; a reply is acknowledged before its receiver has answered | |
//! | delayed messages, recalling them | if wanted ([`hold_delayed_messages`](ClusterBuilder::hold_delayed_messages)) | |
//! | masters | every broker is one | slaves, replication, elections |
//! | compression | bodies are kept as they came, and read decompressed | |
//! | late flush and replication | as a code ([`Fault::answer`] with 10, 11 or 12) | yes |
//! | the VIP channel | | yes: leave `vip_channel` off in tests |
//! | TLS, access control, quotas, files | | yes |
//!
//! # Faults
//! Each server has its own faults. [`Broker::inject`] and [`NameServer::inject`] take a [`Fault`]:
//! what goes wrong, and with which requests ([`On`]). They return an [`Injected`], which counts
//! these requests and can end the fault. A [`Gate`] holds answers until the test opens it, and
//! [`Fault::late`] until the clock has moved. [`Broker::set_accept`] disturbs new connections, and
//! [`Broker::disconnect_all`] breaks all of them.
//!
//! # The clock
//! A cluster has one clock for everything in its servers that depends on time: store times, delayed
//! messages, long polls, late answers ([`Fault::late`]), popped messages, the expiry of queue locks, and
//! which offsets are on the disk. Transaction checks do not follow it: the test decides when a broker asks.
//!
//! The clock runs with real time, and [`Cluster::advance`] moves it further. With
//! [`hold_delayed_messages`](ClusterBuilder::hold_delayed_messages) or
//! [`manual_clock`](ClusterBuilder::manual_clock) only `advance` moves it: then nothing on the
//! servers depends on how long the test takes. Events happen in the order of their times, and
//! events of the same time in the order in which they were scheduled.
//!
//! A client's deadlines, back-off and intervals follow the system's clock, its heartbeats included. So
//! does the expiry of members, 120 s after their last heartbeat: `advance` expires no member, and with a
//! manual clock only [`Broker::forget_client`] does.
//!
//! # Waiting
//! A message is stored before its send is answered: after a synchronous send, no wait is needed.
//! For requests without an answer (oneway sends, the ends of transactions) and for the work of
//! other threads there are the functions `wait_for_..`. They return as soon as the condition holds,
//! and at the timeout otherwise, so a long timeout costs time in a failing test only.
//!
//! # Memory
//! | what | bound |
//! |---|---|
//! | messages | none: kept as long as the cluster lives, unless [`keep_messages(false)`](ClusterBuilder::keep_messages); [`Cluster::clear_messages`] forgets them |
//! | requests | the last 65,536 with at most 64 MiB of bodies, unless [`record_requests(false)`](ClusterBuilder::record_requests) |
//! | transactions and held messages | none: as long as the cluster lives, or until they are due |
//! | requests that wait for a later answer | 100,000 with at most 256 MiB of bodies; one more is refused with code 2. They are forgotten when their connection ends |
//! | unread later answers and broker requests of a connection | 128 MiB; then the connection ends |
//! | [`Cluster::subscribe`] | none: everything that the receiver has not taken |
//! | a frame | 16 MiB; a longer one ends its connection |
//!
//! # Ports
//! Servers listen on free ports of 127.0.0.1, unless [`broker_port`](ClusterBuilder::broker_port) and
//! [`name_server_port`](ClusterBuilder::name_server_port) are set: clusters of tests that run side by
//! side do not meet. A killed broker releases its port. At restart it waits for the port for up to five
//! seconds, since another process may have taken it.
//!
//! # Threads
//! Each server has an accepting thread (`mq-accept`), and each connection a thread (`mq-conn`). A
//! connection gets a second one (`mq-write`) with the first later answer or broker request on it. A
//! running clock gets one (`mq-clock`) with the first event that is scheduled. All of them end, and are
//! joined, when their server is killed or the cluster is dropped. Functions of the test ([`On::when`],
//! [`Fault::bytes_from`]) run on these threads. Requests held at a gate are served on the thread that
//! opens it, and events of a manual clock on the thread that calls `advance`.
//!
//! Not yet covered by semantic versioning.

// In reading order: `cluster` and its `builder`, `group`, `service` (which request goes where), `consume`,
// `broker` and `name_server` (the answers), `groups`, `topics`, `logical` (queues of static topics), `store`,
// `changes` and `clock` (the state), `release`, `faults` and `server` (requests in, answers out). Imports go in
// that direction only.
mod broker;
mod builder;
mod changes;
mod clock;
mod cluster;
mod consume;
mod faults;
mod group;
mod groups;
mod logical;
mod name_server;
mod release;
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
pub use group::Group;
pub use name_server::NameServer;
pub use release::Release;
pub use server::{Accept, ReceivedRequest};
pub use store::StoredMessage;

/// The target of what is logged here: a name to filter by, which stays when files move.
const LOG: &str = "rocketmq_blocking::embedded";
