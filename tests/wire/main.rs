//! Bytes on the wire: compared with captures of the Java clients, and hostile ones.

mod edges;
mod golden;
mod golden_consumers;
mod golden_messages;
mod hostile;
mod round_trips;
mod round_trips_consumers;
#[path = "../support/mod.rs"]
mod support;
mod values;
