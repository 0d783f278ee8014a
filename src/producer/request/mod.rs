//! Requests: messages that a consumer answers by another, which the broker pushes.
//!
//! - `question`: one request, sent and waited for, or with a callback;
//! - `pending_reply`: its place among those that wait for replies.

mod pending_reply;
mod question;

pub(super) use question::Question;
