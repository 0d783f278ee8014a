//! What others ask of the control thread.
//!
//! - `calls`: what callers of the consumer wait for
//! - `answers`: what brokers ask in the name of an operator

pub(super) mod answers;
pub(super) mod calls;
