//! Messages that are acknowledged one by one.
//!
//! In reading order:
//! - `request`: pops and their answers
//! - `source`: the queues of a pop
//! - `hide`: what happens to a popped message that is not acknowledged
//! - `ack`: acknowledgements, and changes of the invisible time

mod ack;
mod hide;
mod request;
mod source;

pub(in crate::embedded) use ack::{ack, ack_batch, change_invisible};
pub(in crate::embedded) use request::pop;
