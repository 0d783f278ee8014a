//! The ledger of a consumer group: members that are processes write down what they do, some are killed, and
//! a checker reads it all. Shared by `consumer` (the embedded cluster) and `interop` (real brokers). In
//! reading order:
//!
//! - `record`: what is written down
//! - `check`: what may not be in it; `copies`: why a message came more than once; `last_answers`: what of a killed
//!   broker is written down late
//! - `member`: a member, in a process of its own
//! - `run`: members that come, go and die, and brokers that die, under load

pub mod check;
pub mod copies;
mod last_answers;
pub mod member;
pub mod record;
pub mod run;
