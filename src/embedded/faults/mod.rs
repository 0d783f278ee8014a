//! Scripted faults of a server.
//!
//! In reading order:
//! - `on`: which requests a fault is for
//! - `gate`: holds requests until the test opens it
//! - `fault`: what happens to them, and how often
//! - `injected`: the faults that a server has, and which of them a request meets

mod fault;
mod gate;
mod injected;
mod on;

pub(super) use fault::Action;
pub use fault::Fault;
pub use gate::Gate;
pub(super) use gate::Waiting;
pub use injected::Injected;
pub(super) use injected::{Faults, Rule};
pub use on::On;
