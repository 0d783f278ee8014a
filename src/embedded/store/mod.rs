//! The stored messages of a cluster's brokers.
//!
//! In reading order:
//! - `parts`: what a message consists of, and how brokers encode it
//! - `stored`: a message that is stored, as tests see it
//! - `draft`: a message about to be stored
//! - `index`: the messages by topic, by queue and offset, and by commit log offset (no locks)
//! - `watches`: what waits for the next message of a queue (no locks)
//! - `message_store`: all of it behind one lock

mod draft;
mod index;
mod message_store;
mod parts;
mod stored;
mod watches;

pub(super) use draft::Draft;
pub(super) use index::{Appended, QueueRef};
pub(super) use message_store::{Store, Watch};
pub(super) use parts::{CLUSTER_NAME, Parts, REGION};
pub use stored::StoredMessage;
