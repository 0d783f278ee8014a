//! Topics, offsets and stored messages. In reading order:
//!
//! - `calls`: [`Admin`], the calls that users make
//! - `questions`: how several brokers are asked, and what is asked of a route

mod calls;
mod questions;

pub use calls::Admin;
