//! Messages that are acknowledged one by one (brokers from 5.0 on). Their codes do not fit binary headers,
//! so that such requests always have JSON headers. In reading order:
//!
//! - `mark`: from which of a topic's retry topics a message came
//! - `request`: asking for messages, and the answer
//! - `handle`: by what a message is acknowledged, and how handles follow from an answer
//! - `ack`: acknowledging, and changing when a message comes again
//! - `notice`: whether there is a message to pop

mod ack;
mod handle;
mod mark;
mod notice;
mod request;

pub use ack::{Ack, AckBatch, BatchAck, ChangeAnswer, ChangeInvisible};
pub use handle::{Handle, Handled, Popped};
pub use mark::Mark;
pub use notice::{Notice, NoticeRequest, Polling, PollingQuery};
pub use request::{PopAnswer, PopRequest};

#[cfg(test)]
mod tests;
