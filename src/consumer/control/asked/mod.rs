//! Orders and questions for the control thread.
//!
//! - `reply`: the answer to a waiting caller
//! - `calls`: the commits and seeks of callers
//! - `seeks`: moves a queue to another offset
//! - `describe`: the state of the control thread, for people
//! - `answers`: questions that brokers ask on behalf of an operator

mod answers;
mod calls;
mod describe;
mod reply;
mod seeks;

pub(super) use calls::Calls;
pub(crate) use reply::{Reply, closed};
