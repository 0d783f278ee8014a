//! Messages that are acknowledged one by one.
//!
//! In reading order:
//! - `request`: pops and their answers
//! - `source`: the queues of a pop
//! - `hide`: what happens to a popped message that is not acknowledged
//! - `ack`: acknowledgements, and changes of the invisible time
//! - `notice`: whether there is a message to pop

mod ack;
mod hide;
mod notice;
mod request;
mod source;

pub(in crate::embedded) use ack::{ack, ack_batch, change_invisible};
pub(in crate::embedded) use notice::{notice, polling};
pub(in crate::embedded) use request::pop;
