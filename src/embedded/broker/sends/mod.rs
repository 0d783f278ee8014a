//! A broker's handlers for sends.
//!
//! In reading order:
//! - `send`: sends, and the checks before a message is stored
//! - `dead_letters`: sends to a retry topic that end there
//! - `delays`, `hold_back`: messages that wait for the clock
//! - `recall`: takes them back

mod dead_letters;
mod delays;
mod hold_back;
mod recall;
mod send;

pub(in crate::embedded) use dead_letters::dead_letter_topic;
pub(in crate::embedded) use delays::Delays;
pub(in crate::embedded) use hold_back::hold_back;
pub(in crate::embedded) use recall::recall;
pub(in crate::embedded) use send::send;
pub(super) use send::store;
