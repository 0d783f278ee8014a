//! A blocking, thread-based [Apache RocketMQ](https://rocketmq.apache.org) producer: `std::net`
//! sockets, one reader thread per broker connection, no async runtime. It speaks the remoting
//! protocol of brokers 4.x and 5.x.
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
//! What the words mean: *name servers* know which *brokers* have the *queues* of a *topic*; a producer
//! asks them, and sends to the brokers. Its *group* ("orders") names what it sends for, and is shared by
//! all processes that do the same. A *tag* is what consumers filter by, a *key* what people search by.
//!
//! One producer is enough for a program: it is cheap to clone, sends from any number of threads, and
//! closes with its last handle, or by [`Producer::shutdown_within`], which says what was left.
//! [`docs::settings`] has all that can be set. Without a server, `cargo run --example quickstart` in the
//! repository starts the in-process `embedded` cluster and sends to that.
//!
//! # Choosing a send mode
//! | you want | call | it returns |
//! |---|---|---|
//! | to know that it is stored before you go on | [`Producer::send`] | the receipt |
//! | many in flight, results handled elsewhere | [`Producer::send_async`] | at once; the callback gets the result |
//! | many in flight, results collected here | [`Producer::submit`] | a [`SendHandle`] to wait on |
//! | no answer at all (logs, metrics) | [`Producer::send_oneway`] | once the connection accepted it |
//! | several messages as one request | [`Producer::send_batch`], [`Batch::split`] | one receipt |
//! | many small messages from many places, fewer requests | [`ProducerBuilder::auto_batch`](producer::ProducerBuilder::auto_batch) | as the call that you make |
//! | consumers to see it later | [`Message::deliver_after`], [`deliver_at`](Message::deliver_at), [`delay_level`](Message::delay_level) | as the call that you make |
//! | consumers to see it only if something of yours succeeds | [`TransactionProducer::send_in_transaction`] | what the broker was told |
//! | an answer from a consumer | [`Producer::request`], [`Producer::request_async`] | the reply |
//! | a given queue, order by a key, a timeout of its own | [`Producer::prepare`] | what you then call |
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
//! // One order's messages in one queue, and so in their order.
//! for step in ["created", "paid"] {
//!     let message = Message::new("Orders", step);
//!     println!("{}", producer.prepare(&message).sharding_key("188").send()?);
//! }
//! # assert_eq!(cluster.messages("Orders").len(), 102);
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//! The first attempt of every send runs on the calling thread. Beyond that there are: one reader
//! thread per connection (`rmq-reader`), one writer thread per connection that carries asynchronous
//! or oneway sends (`rmq-writer`), callback threads (`rmq-callback`, one per core), two threads for
//! further attempts of asynchronous sends (`rmq-retry`), and one each for timeouts (`rmq-timer`),
//! routes (`rmq-routes`) and heartbeats (`rmq-heartbeat`); with `name_server_url` one more
//! (`rmq-discover`), with message trace another (`rmq-trace`), with probes of brokers that failed
//! another (`rmq-detector`), one for each host name that is being resolved (`rmq-resolve`), and one
//! for each address to which asynchronous sends or heartbeats wait for a new connection (`rmq-dial`). A transaction
//! producer answers the brokers' checks on threads of its own (`rmq-check`, one unless
//! set). A consumer has one thread that decides (`rmq-consumer`) and those that run its handler
//! (`rmq-consume-{n}`, 20 unless set; none if it is polled), however many queues it has; a listener of its
//! events has one (`rmq-events`), and so have the offsets of a broadcasting consumer on the disk
//! (`rmq-offsets`). All end at shutdown.
//!
//! # Deadlines, retries and duplicates
//! A send has one deadline, `send_timeout` (3 s) after the call; everything happens within it: looking
//! up the route, connecting, waiting for room, all attempts. After a failure that need not come again it
//! makes up to two more attempts (`retries`, `async_retries`), on another broker where there is one. A
//! send to a chosen queue makes one attempt, as a retry would break the order, and so does a oneway send.
//!
//! What is sent again after a lost answer may be stored twice. Both copies have the same unique key,
//! and RocketMQ delivers *at least once* in any case, so that consumers must bear it. Where it is better
//! to ask, `retry_maybe_stored(false)` leaves the decision to you: every failed send says whether
//! sending again can make a second copy ([`SendFate::MaybeStored`]) or cannot
//! ([`SendFate::NotSent`]). Sending again yourself makes a message with another key, unless you give it
//! that of the failed send ([`Error::unique_key`], [`Message::unique_key`];
//! [how](docs::errors#sending-again)).
//!
//! # Errors
//! [`Error`] has a [kind](ErrorKind), a [`SendFate`], the attempts that were made, and the broker's code
//! and remark where one answered. Its text reads well alone. Two questions lead through most of it:
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
//!         (_, SendFate::MaybeStored) => println!("somebody may have it: {error}"),
//!         (ErrorKind::Invalid, _) => println!("mend the message: {error}"),
//!         (_, SendFate::NotSent) => println!("nobody has it, send it later: {error}"),
//!     },
//! }
//! # Ok(())
//! # }
//! ```
//! [`docs::errors`] has a table of all kinds (what happened, whether it is tried again, what to do), one
//! of the brokers' codes, and how to send again.
//!
//! # Statistics
//! [`Producer::stats`] counts every call and attempt: sent, failed by kind, in flight, and for each
//! broker attempts, failures and latencies. It is always on: it costs a send about 1 % of its
//! instructions and takes no lock. [`ProducerStats`](stats::ProducerStats) says what each number means;
//! [`since`](stats::ProducerStats::since) gives those of an interval. [`Client::describe`] shows name servers,
//! connections, addresses that cannot be reached and why, and routes. All of them can be printed.
//!
//! # Logging
//! Through the [`log`] facade, never a message body or a secret. Levels and targets are kept stable, the
//! texts are not. A logger that panics changes nothing for a send. Targets are `rocketmq_blocking::` and the
//! word in the table, wherever the code is.
//!
//! | level | target | events |
//! |---|---|---|
//! | error | `transport` | a callback that panicked; an RPC hook that panicked; something of our own that panicked |
//! | error | `producer` | a hook that panicked |
//! | warn | `transport` | oneway messages lost with their connection; bytes that break the protocol; TLS that accepts any certificate |
//! | warn | `client` | a name server that does not answer*; a route that cannot be looked up again; a heartbeat that failed*; a broker's question that cannot be read or has no addressee*; a broker that fails where several are asked; a client's shutdown that was not clean |
//! | warn | `producer` | an attempt that is tried again*; a transaction whose code failed; the end of a transaction that cannot be told*; a check that is dropped*; trace that is off or lost*; a body that cannot be compressed; a producer's shutdown that was not clean |
//! | info | `transport` | a connection that drains; a broker that left all routes |
//! | info | `client` | a route that is new or has changed; a topic that is gone; other name servers |
//! | info | `producer` | a broker that failed and answers again |
//! | debug | `transport` | a connection that was made, failed or idle; an answer that comes too late; a request of a broker that nobody knows; a host name that was resolved |
//! | debug | `client` | a reply that comes too late; a route that is forgotten |
//! | debug | `producer` | why there is no further attempt |
//!
//! What has a star can happen once for each message, by the doing of a server. Ten a second of these are
//! warnings, for each producer and each client (checks and name servers apart), and the others are at
//! debug; the next warning says how many those were, and [`ProducerStats`](stats::ProducerStats) counts all attempts. What
//! fails in your own code is logged each time. A send that fails in the end logs nothing more: its
//! caller has the error. What goes well logs nothing for a message, at any level. (The in-process
//! cluster logs as `embedded`.)
//!
//! # Testing your app
//! The feature `embedded`, as a dev-dependency, has a name server and brokers that run inside your test:
//! scripted faults, brokers that die and come back, checks of transactions, a clock moved by hand.
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
//! | `TransactionMQProducer`, `TransactionListener` | [`TransactionProducer`], two closures |
//! | `Message`, `MessageExt`, `MessageBatch` | [`Message`], [`MessageView`], [`Batch`] |
//! | `SendResult`, `SendCallback` | [`SendReceipt`], a closure |
//! | `MessageQueueSelector`, `SelectMessageQueueByHash` | [`PreparedSend::select`](producer::PreparedSend::select), [`PreparedSend::sharding_key`](producer::PreparedSend::sharding_key) |
//! | `MQClientInstance` shared by producers, `ClientConfig` | [`Client`], [`ClientOptions`] |
//! | `MQClientException`, `MQBrokerException`, `Remoting*Exception` | [`Error`] with [`ErrorKind`] |
//!
//! [`docs::from_java`] has every call, class, setter and exception, and what is another way here;
//! [`docs::settings`] the setters' defaults. The search of these pages knows Java's names too.
//!
//! # Not supported
//! Consumers (yet), heartbeat v2 and the stream type, zone fields, access channel,
//! machine-room selectors, OpenTracing, SOCKS5 proxies, the gRPC protocol of the proxy. No environment
//! variable is read.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]

/// What all members of a process can share, its settings, and its state as
/// [`Client::describe`] shows it.
pub mod client;
/// What belongs to consumers, beside [`PushConsumer`]: builders, reports, and how members of a group
/// divide the queues.
pub mod consumer;
/// What failed calls report beside [`Error`] itself.
pub mod error;
mod logging;
/// What belongs to messages, beside [`Message`] and [`MessageView`].
pub mod message;
mod panics;
/// What belongs to producers, beside [`Producer`]: builders, and sends with settings of their own.
pub mod producer;
pub mod protocol;
mod send;
mod sync;
mod transport;

#[doc(inline)]
pub use client::{Admin, Client, ClientOptions};
#[doc(inline)]
pub use consumer::{Filter, PullConsumer, PushConsumer, Retry, StartFrom};
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

/// Numbers of a producer: what [`Producer::stats`] counts.
pub mod stats {
    pub use crate::send::{BrokerStats, Latency, ProducerStats};
}

/// What belongs to transactions, beside [`TransactionProducer`].
pub mod transaction {
    #[doc(inline)]
    pub use crate::producer::{HalfMessage, TransactionProducerBuilder, TransactionReceipt};
}

/// Where your own code can take part in what the client does.
pub mod hook {
    pub use crate::send::hooks::*;
    pub use crate::transport::{RpcHook, RpcRequest, RpcResponse};
}

/// The longer parts of the guide.
pub mod docs {
    // The pages name items in brackets, without a path: read as files they have no broken links then.
    #[allow(unused_imports)]
    use crate::{client::*, error::*, hook, hook::*, message::*, producer::*, transaction::*, *};

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
