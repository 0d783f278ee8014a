//! Requests: messages that a consumer answers by another, which the broker pushes.
//!
//! - `question`: one request, sent and waited for, or with a callback (run on `rmq-callback`);
//! - `pending_reply`: its entry in the table of those that wait for replies. The table, and the match of a
//!   reply by its correlation id, stand in `client::members::replies`; they come
//!   through `members::inbound` and `producer::member`.

mod pending_reply;
mod question;

pub(super) use question::Question;
