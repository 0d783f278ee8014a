//! A blocking, thread-based Apache RocketMQ client: `std::net` sockets, no async runtime.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod error;
mod message;
pub mod protocol;

pub use error::{Attempt, Delivery, Error, ErrorKind, Result, Wait};
pub use message::{
    Message, MessageQueue, MessageView, Properties, Schedule, SendReceipt, SendStatus,
};

#[cfg(feature = "embedded")]
pub mod embedded;
