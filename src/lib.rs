//! A blocking, thread-based Apache RocketMQ client: `std::net` sockets, no async runtime.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod client;
mod error;
mod message;
mod producer;
pub mod protocol;
mod transport;

pub use client::{Client, ClientBuilder, ShutdownReport};
pub use error::{Attempt, Delivery, Error, ErrorKind, Result, Wait};
pub use message::{
    Batch, Message, MessageQueue, MessageView, Properties, Schedule, SendReceipt, SendStatus,
};
pub use producer::{PreparedSend, Producer, ProducerBuilder, SendHandle};

#[cfg(feature = "embedded")]
pub mod embedded;
