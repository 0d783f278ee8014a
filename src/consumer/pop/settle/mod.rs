// Acks and other outcomes of popped messages. In reading order:
//
// - `popped`: the time of a message, and what the answers to its ack tell
// - `delivery`: one delivery of a message, by its handle
// - `acks`: acknowledging, of one message or many
// - `change`: when messages come again, and dead letters

mod acks;
mod change;
mod delivery;
mod popped;

pub(in crate::consumer) use acks::ack_all;
pub(in crate::consumer) use change::{dead_letter, hide, hide_all};
pub(in crate::consumer) use delivery::Delivery;
#[cfg(test)]
pub(in crate::consumer) use delivery::delivery;
pub use popped::AckStatus;
pub(super) use popped::Popped;
