//! Messages as bodies carry them. In reading order:
//!
//! - [`sys_flag`]: the bits of a message's system flag
//! - [`properties`]: the text form of properties; [`id`]: the two kinds of message id
//! - [`compress`]: compressed bodies
//! - `layout`: how a broker stores a message
//! - `batch`: several messages as the body of one request, or of one stored message
//! - `packed`: a stored message with its body in the stored form
//! - `read`: the messages of an answer; `record`: a message to be written as it is stored

mod batch;
pub mod compress;
pub mod id;
mod layout;
mod packed;
mod read;
mod record;
pub mod sys_flag;

/// The text form of message properties: `name \x01 value \x02`, repeated.
pub mod properties {
    pub use crate::message::properties::{MAX_LEN, NAME_END, VALUE_END, append, decode, encode};
}

pub use batch::{BatchEntry, decode_batch, encode_batch_entry};
pub use packed::{Packed, Unreadable};
pub use read::{Messages, decode, decode_all, decode_packed};
pub use record::Record;
