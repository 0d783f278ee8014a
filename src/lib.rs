//! A blocking, thread-based [Apache RocketMQ](https://rocketmq.apache.org) client: producers and
//! consumers over `std::net` sockets, one reader thread per broker connection, no async runtime. It
//! speaks the remoting protocol of brokers 4.x and 5.x.
//!
//! # Quickstart
//! ```
//! use rocketmq_blocking::{Message, Producer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let name_server = "127.0.0.1:9876";
//! # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
//! # let name_server = cluster.name_server();
//! let producer = Producer::builder("orders").name_server(name_server).start()?;
//! let message = Message::new("TopicTest", "hello").tag("TagA").key("OrderID188");
//! let receipt = producer.send(&message)?;
//! println!("{receipt}"); // SEND_OK msg_id=.. queue=TopicTest@broker-a:2 offset=0
//! # assert_eq!(cluster.only_message("TopicTest").text(), "hello");
//! # Ok(())
//! # }
//! ```
//! The terms: *name servers* know which *brokers* have the *message queues* of a *topic* (its
//! *topic route*). A producer looks up the route and sends to the brokers. Its *group* ("orders")
//! names its purpose; all processes with that purpose share it. Consumers filter by *tag*; people
//! search by *key*. The messages are read by a [`PushConsumer`], a [`PullConsumer`] or a
//! [`SimpleConsumer`]: see [Consuming](#consuming).
//!
//! One producer is enough for a program: it is cheap to clone and sends from any number of threads.
//! It closes with its last handle, or by [`Producer::shutdown_within`], which reports what was
//! left. [`docs::settings`] lists all settings. Without a server, `cargo run --example quickstart`
//! in the repository starts the in-process `embedded` cluster and sends to it.
//!
//! # Choosing a send mode
//! | you want | call | it returns |
//! |---|---|---|
//! | the message stored before you continue | [`Producer::send`] | the receipt |
//! | many in flight, results handled elsewhere | [`Producer::send_async`] | at once; the callback gets the result |
//! | many in flight, results collected here | [`Producer::submit`] | a [`SendHandle`] to wait on |
//! | no answer at all (logs, metrics) | [`Producer::send_oneway`] | once the connection accepted it |
//! | several messages as one request | [`Producer::send_batch`], [`Batch::split`] | one receipt |
//! | many small messages from many places, fewer requests | [`ProducerBuilder::auto_batch`](producer::ProducerBuilder::auto_batch) | as the call that you make |
//! | a delayed message | [`Message::deliver_after`], [`deliver_at`](Message::deliver_at), [`delay_level`](Message::delay_level) | as the call that you make |
//! | a message that is delivered only if your local transaction succeeds | [`TransactionProducer::send_in_transaction`] | the reported state |
//! | an answer from a consumer | [`Producer::request`], [`Producer::request_async`] | the reply |
//! | a chosen queue, order by key, a timeout for one send | [`Producer::prepare`] | as the call that you make |
//!
//! When in doubt: `send`, from as many threads as you have. `submit` and `send_async` keep thousands in
//! flight from one thread:
//!
//! ```
//! # use rocketmq_blocking::{Message, Producer};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
//! # let producer = Producer::builder("orders").name_server(cluster.name_server()).start()?;
//! let orders = (1..=100).map(|id| Message::new("Orders", format!("order {id}")));
//! let handles: Vec<_> = orders.map(|order| producer.submit(order)).collect();
//! for handle in handles {
//!     println!("{}", handle.wait()?);
//! }
//!
//! // All messages of one order go to one queue, which keeps their order.
//! for step in ["created", "paid"] {
//!     let message = Message::new("Orders", step);
//!     println!("{}", producer.prepare(&message).sharding_key("188").send()?);
//! }
//! # assert_eq!(cluster.messages("Orders").len(), 102);
//! # Ok(())
//! # }
//! ```
//!
//! # Consuming
//! The members of a consumer group share the queues of their topics. Each message is handled at
//! least once: it counts as consumed when its handler returns `Ok`, and comes again otherwise.
//!
//! | you want | call |
//! |---|---|
//! | a handler, called on many threads | [`PushConsumerBuilder::start`](consumer::PushConsumerBuilder::start) |
//! | a handler of several messages at once | [`start_batch`](consumer::PushConsumerBuilder::start_batch) |
//! | the messages of a queue in order, one at a time | [`start_ordered`](consumer::PushConsumerBuilder::start_ordered) |
//! | to ask for messages yourself, and to seek | [`PullConsumer::poll`], [`PullConsumer::messages`] |
//! | to acknowledge messages one by one, in any order, with more members than queues (brokers 5.x) | [`SimpleConsumer::receive`] |
//! | every message in every process | [`broadcast`](consumer::PushConsumerBuilder::broadcast) |
//!
//! ```
//! use rocketmq_blocking::{PushConsumer, Retry, StartFrom};
//! # use rocketmq_blocking::{Message, Producer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
//! # let name_server = cluster.name_server();
//! # let producer = Producer::builder("orders").name_server(&name_server).start()?;
//! # producer.send(&Message::new("Orders", "one book"))?;
//! # let (seen, messages) = std::sync::mpsc::channel();
//! let consumer = PushConsumer::builder("billing")
//!     .name_server(&name_server)
//!     .subscribe("Orders", "created || paid")
//! #   .subscribe("Orders", "*")
//!     .start_from(StartFrom::First)
//!     .start(move |message| -> Result<(), Retry> {
//!         println!("{}", message.text()?); // an error: the message comes again later
//! #       seen.send(message.clone()).ok();
//!         Ok(())
//!     })?;
//! # assert_eq!(messages.recv()?.text()?, "one book");
//! consumer.shutdown();
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//! The first attempt of every send runs on the calling thread. The library starts these threads;
//! all of them end at shutdown.
//!
//! | thread | for | number |
//! |---|---|---|
//! | `rmq-reader` | answers | one per connection |
//! | `rmq-writer` | asynchronous and oneway sends | one per connection that carries them |
//! | `rmq-callback` | callbacks | one per core |
//! | `rmq-retry` | retries of asynchronous sends | two |
//! | `rmq-timer`, `rmq-routes`, `rmq-heartbeat` | timeouts, routes, heartbeats | one each |
//! | `rmq-dial` | new connections for asynchronous sends and heartbeats | one per address being dialled |
//! | `rmq-resolve` | host names | one per name being resolved |
//! | `rmq-discover` | `name_server_url` | one |
//! | `rmq-trace` | message trace | one per traced producer or consumer |
//! | `rmq-detector` | probes of failed brokers | one |
//! | `rmq-check` | the brokers' checks of a transaction producer | one, unless set |
//! | `rmq-consumer` | decisions of a consumer | one per push or pull consumer, however many queues it has |
//! | `rmq-consume-{n}` | the handler of a push consumer | 20, unless set |
//! | `rmq-pop` | requests for popped messages of a push consumer | one, if topics are popped |
//! | `rmq-pop-acks` | their acks and renewals | one, if topics are popped |
//! | `rmq-events` | a consumer's listener of events | one |
//! | `rmq-offsets` | the offsets that a broadcasting consumer saves | one |
//!
//! # Deadlines, retries and duplicates
//! A send has one deadline, `send_timeout` (3 s) after the call; everything happens within it:
//! route look-up, connecting, waiting for capacity, all attempts. After a retryable failure it
//! makes up to two more attempts (`retries`, `async_retries`), on another broker if there is one. A
//! send to a chosen queue makes one attempt, since a retry would break the order. A oneway send
//! makes one attempt too.
//!
//! A retry after a lost answer can store the message twice. Both copies have the same unique key.
//! RocketMQ delivers *at least once* in any case, so consumers must tolerate duplicates. To decide
//! yourself, set `retry_maybe_stored(false)`: the send then fails instead of risking a duplicate.
//! Every failed send says whether sending again can store a second copy ([`SendFate::MaybeStored`])
//! or cannot ([`SendFate::NotSent`]). A new send generates another key, unless you set the key of
//! the failed send ([`Error::unique_key`], [`Message::unique_key`];
//! [how](docs::errors#sending-again)).
//!
//! # Errors
//! [`Error`] has a [kind](ErrorKind), a [`SendFate`], the attempts, and the broker's code and
//! remark if one answered. Its text is complete in itself. Kind and fate decide the reaction:
//!
//! ```
//! use rocketmq_blocking::{SendFate, ErrorKind, Message, Producer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cluster = rocketmq_blocking::embedded::Cluster::start()?;
//! # let producer = Producer::builder("orders").name_server(cluster.name_server()).start()?;
//! # cluster.broker("broker-a").kill();
//! # let message = Message::new("Orders", "one book");
//! match producer.send(&message) {
//!     Ok(receipt) => println!("{receipt}"),
//!     Err(error) => match (error.kind(), error.fate()) {
//!         (_, SendFate::MaybeStored) => println!("a broker may have it: {error}"),
//!         (ErrorKind::Invalid, _) => println!("fix the message: {error}"),
//!         (_, SendFate::NotSent) => println!("no broker has it, send it later: {error}"),
//!     },
//! }
//! # Ok(())
//! # }
//! ```
//! [`docs::errors`] has tables of all kinds (what happened, whether it is retried, what to do) and
//! of the brokers' codes, and shows how to send again.
//!
//! # Statistics
//! [`Producer::stats`] counts every call and attempt: sent, failed by kind, in flight, and for each
//! broker attempts, failures and latencies. It is always on, takes about 1 % of a send's
//! instructions, and takes no lock. [`ProducerStats`](stats::ProducerStats) documents each number;
//! [`since`](stats::ProducerStats::since) gives the numbers of an interval. [`Client::describe`]
//! shows name servers, connections, unreachable addresses with the reason, and routes. Every consumer
//! has `stats`, `describe`, and `lag`: how far its group is behind. All of them can be printed.
//!
//! # Logging
//! The library logs through the [`log`] facade, never a message body or a secret. Levels and
//! targets are stable, texts are not. A panicking logger affects no send. A target is
//! `rocketmq_blocking::` and the word in the table.
//!
//! | level | target | events |
//! |---|---|---|
//! | error | `transport` | a callback that panicked; an RPC hook that panicked; a bug of the library that panicked |
//! | error | `producer` | a hook that panicked |
//! | error | `consumer` | a handler that panicked; a listener of events that panicked; a queue that stands still by a bug of the library |
//! | warn | `transport` | oneway messages lost with their connection; bytes that break the protocol; TLS that accepts any certificate |
//! | warn | `client` | a name server that does not answer*; a route that cannot be looked up again; a heartbeat that failed*; a broker request that cannot be read or has no addressee*; a broker that fails where several are asked; a client's shutdown that was not clean |
//! | warn | `producer` | a failed attempt that is retried*; a failed local transaction or check; the end of a transaction that cannot be sent*; a check that is dropped*; trace that is off or lost*; a body that cannot be compressed; a producer's shutdown that was not clean |
//! | warn | `consumer` | a failed message that broadcasting drops; a handler that takes too long; a message that cannot be read; a queue that was given up before its handlers ended or its offset was committed; an offset that is not there, or was reset; a broker that refuses a pull, or whose answer cannot be used; queues that cannot be divided; members that subscribe differently; two members with one client id; members that stay in doubt; offsets of broadcasting that are not saved; broadcasting whose offsets are lost at its end; an offset file that is damaged; a dead letter that cannot be stored; topics that are pulled because no broker assigns queues; a popped message that cannot stay hidden while its handler runs; trace that is off or lost*; a consumer's shutdown that was not clean |
//! | info | `transport` | a connection that drains; a broker that left all routes |
//! | info | `client` | a route that is new or has changed; a topic that is gone; other name servers |
//! | info | `producer` | a broker that failed and answers again |
//! | info | `consumer` | queues that were assigned or are given up; the offsets that broadcasting starts with; a dead letter of a popped message; how brokers have a topic asked for |
//! | debug | `transport` | a connection that was made, failed or idle; a late answer; an unknown request of a broker; a host name that was resolved |
//! | debug | `client` | a late reply; a route that is forgotten |
//! | debug | `producer` | the reason why there is no retry |
//! | debug | `consumer` | an error of a handler; the offset at which a queue starts; a pull, a commit, a pop, an ack or a send-back that failed; a popped message that came too late; a rebalance in doubt; a lock that was not given in time; a queue that moved to another broker; whether all members use this library |
//!
//! Starred events can occur once per message if a server misbehaves. At most ten of them per second
//! are warnings, for each producer and each client (checks and name servers are limited
//! separately); further ones are logged at debug. The next warning has their number, and
//! [`ProducerStats`](stats::ProducerStats) counts all attempts.
//!
//! Panics of your own code are always logged. An error of a consumer's handler is logged only at
//! debug: its message comes again. (A message that broadcasting drops is logged as a warning: it
//! does not.) A send that finally fails logs nothing more: its caller has the error. Success logs
//! nothing per message, at any level. (The in-process cluster logs as `embedded`.)
//!
//! # Testing your app
//! With the feature `embedded`, as a dev-dependency, a name server and brokers run inside your
//! test: scripted faults, brokers that die and restart, transaction checks, a clock moved by hand.
//!
//! ```
//! use rocketmq_blocking::embedded::Cluster;
//! use rocketmq_blocking::{Message, Producer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::start()?;
//! let producer = Producer::builder("orders").name_server(cluster.name_server()).start()?;
//! let message = Message::new("Orders", "one book");
//! assert!(producer.send(&message).is_ok());
//! assert_eq!(cluster.only_message("Orders").text(), "one book");
//!
//! cluster.broker("broker-a").kill();
//! assert!(producer.send(&message).is_err());
//! # Ok(())
//! # }
//! ```
//! `docs::testing` (shown with that feature) tests a small order service with it.
//!
//! # Cargo features
//! None is on by default.
//!
//! | feature | for | crates |
//! |---|---|---|
//! | `acl` | the builders' `credentials`: signed requests | hmac, sha1, base64 |
//! | `tls` | `TlsConfig` and the builders' `tls`: secured connections to name servers and brokers | rustls with ring (compiles C), webpki-roots |
//! | `lz4` | `Compression::Lz4`, and reading such bodies | lz4_flex |
//! | `zstd` | `Compression::Zstd`, and reading such bodies | zstd (compiles C) |
//! | `discovery` | `ClientOptions::name_server_url`: the list of name servers from a web server | ureq |
//! | `embedded` | the in-process `embedded` cluster, for tests without a server | none |
//!
//! # From Java
//! | Java | here |
//! |---|---|
//! | `DefaultMQProducer` | [`Producer`], [`ProducerBuilder`](producer::ProducerBuilder) |
//! | `DefaultMQPushConsumer`, `DefaultLitePullConsumer` | [`PushConsumer`], [`PullConsumer`] |
//! | `SimpleConsumer` of the 5.x SDKs | [`SimpleConsumer`] |
//! | `MessageListenerConcurrently`, `MessageListenerOrderly` | a closure; its result is `Ok` or a [`Retry`] |
//! | `TransactionMQProducer`, `TransactionListener` | [`TransactionProducer`], two closures |
//! | `Message`, `MessageExt`, `MessageBatch` | [`Message`], [`MessageView`], [`Batch`] |
//! | `SendResult`, `SendCallback` | [`SendReceipt`], a closure |
//! | `MessageQueueSelector`, `SelectMessageQueueByHash` | [`PreparedSend::select`](producer::PreparedSend::select), [`PreparedSend::sharding_key`](producer::PreparedSend::sharding_key) |
//! | `MQClientInstance` shared by producers, `ClientConfig` | [`Client`], [`ClientOptions`] |
//! | `MQClientException`, `MQBrokerException`, `Remoting*Exception` | [`Error`] with [`ErrorKind`] |
//!
//! [`docs::from_java`] has every call, class, setter and exception, and the differences;
//! [`docs::settings`] has the setters' defaults. The search box finds Java's names too.
//!
//! # Not supported
//! Heartbeat v2 and the stream type, zone fields, access channel, machine-room selectors, OpenTracing, SOCKS5 proxies, the gRPC protocol of the
//! proxy. No environment variable is read.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]

/// The client that producers and consumers can share, and its state as [`Client::describe`] shows it. Types
/// beside [`Admin`]: consumer groups as an operator sees them.
pub mod client;
/// Types beside [`PushConsumer`]: builders, reports, and the division of queues among members.
pub mod consumer;
/// Parts of an [`Error`].
pub mod error;
mod logging;
/// Types beside [`Message`] and [`MessageView`].
pub mod message;
mod panics;
/// Types beside [`Producer`]: builders, and sends with their own settings.
pub mod producer;
pub mod protocol;
// Every send: its queue, its attempts, its receipt.
mod send;
mod sync;
// Sockets and threads: brokers' answers are matched to requests here. (The reply of a consumer to
// `Producer::request` is matched in `client::members::replies`.)
mod transport;

#[doc(inline)]
pub use client::{Admin, Client, ClientOptions};
#[doc(inline)]
pub use consumer::{Filter, PullConsumer, PushConsumer, Retry, SimpleConsumer, StartFrom};
#[doc(inline)]
pub use error::{Error, ErrorKind, ResponseCode, Result, SendFate};
#[doc(inline)]
pub use message::{
    Batch, Message, MessageQueue, MessageView, Schedule, SendReceipt, SendStatus, TransactionState,
};
#[doc(inline)]
pub use producer::{Producer, TransactionProducer};
#[doc(inline)]
pub use protocol::compress::Compression;
pub use send::SendHandle;
#[cfg(feature = "tls")]
pub use transport::TlsConfig;

#[cfg(feature = "embedded")]
pub mod embedded;

#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;

/// The programs of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// Statistics of a producer, from [`Producer::stats`].
pub mod stats {
    pub use crate::send::{BrokerStats, Latency, ProducerStats};
}

/// Types beside [`TransactionProducer`].
pub mod transaction {
    #[doc(inline)]
    pub use crate::producer::{HalfMessage, TransactionProducerBuilder, TransactionReceipt};
}

/// Hooks: your code around sends, calls of handlers, and requests.
pub mod hook {
    pub use crate::consumer::hooks::{ConsumeContext, ConsumeHook, ConsumeOutcome};
    pub use crate::send::hooks::*;
    pub use crate::transport::{RpcHook, RpcRequest, RpcResponse};
}

/// The longer parts of the guide.
pub mod docs {
    // The pages name items in brackets, without a path: read as files they have no broken links then.
    #[allow(unused_imports)]
    use crate::{
        client::*, consumer::*, error::*, hook, hook::*, message::*, producer::*, transaction::*, *,
    };

    #[doc = include_str!("docs/errors.md")]
    pub mod errors {}

    #[doc = include_str!("docs/settings.md")]
    pub mod settings {}

    #[doc = include_str!("docs/features.md")]
    pub mod features {}

    #[doc = include_str!("docs/from_java.md")]
    pub mod from_java {}

    #[cfg(feature = "embedded")]
    pub mod testing {
        #![doc = include_str!("docs/testing.md")]
        #[allow(unused_imports)]
        use crate::embedded::{self, *};
    }
}
