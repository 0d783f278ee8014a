//! Topics, offsets and stored messages. In reading order:
//!
//! - `calls`: [`Admin`], the calls that users make
//! - `questions`: requests to several brokers, and to the brokers of a route

mod calls;
mod questions;

pub use calls::Admin;
