// Acks and other outcomes of received messages. In reading order:
//
// - `popped`: the time of a message, and what the answers to its ack tell
// - `delivery`: one delivery of a message, by its handle
// - `acks`: acknowledging, of one message or many
// - `change`: when a message comes again, and dead letters
// - `held`: the messages that are neither acknowledged nor dropped

mod acks;
mod change;
mod delivery;
mod held;
mod popped;

pub(super) use acks::ack_all;
pub(super) use change::{dead_letter, hide};
pub(super) use delivery::Delivery;
pub(super) use held::Held;
pub use popped::AckStatus;
pub(super) use popped::Popped;
