//! The name servers of a cluster.
//!
//! In reading order:
//! - `service`: what a name server answers
//! - `control`: what a test does with one

mod control;
mod service;

pub use control::NameServer;
pub(super) use service::NameService;
