//! What others ask of the control thread.
//!
//! - `reply`: the answer to a waiting caller
//! - `calls`: what callers of the consumer wait for
//! - `seeks`: a queue goes on elsewhere
//! - `answers`: what brokers ask in the name of an operator

mod answers;
mod calls;
mod reply;
mod seeks;

pub(super) use calls::Calls;
pub(crate) use reply::{Reply, closed};
