//! Single sends that come close together leave as batches (Java's `ProduceAccumulator`).
//!
//! - `auto_batch`: the settings;
//! - `gatherer`: a message joins the open group of those with which it can share a batch;
//! - `group`: a group's messages, and how they leave as one send;
//! - `batch_listeners`: each message's sender gets its own part of the batch's receipt.

mod auto_batch;
mod batch_listeners;
mod gatherer;
mod group;

pub use auto_batch::AutoBatch;
pub(super) use gatherer::Gatherer;
