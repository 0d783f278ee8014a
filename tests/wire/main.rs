//! Bytes: what goes over the wire, compared with captures of the Java clients, and what must be refused.

mod edges;
mod golden;
mod golden_messages;
mod hostile;
mod round_trips;
#[path = "../support/mod.rs"]
mod support;
mod values;
