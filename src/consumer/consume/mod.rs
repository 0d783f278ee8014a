//! What follows from a handler's result.
//!
//! - `retry`: what a handler returns when it could not handle a message;
//! - `outcome`: what becomes of the message then.

mod outcome;
mod retry;

pub(crate) use outcome::{Fallback, Limits, Mode, Outcome, Settlement, fallback, settle};
pub use retry::Retry;
