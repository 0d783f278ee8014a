//! Hostile bytes for everything that reads what a peer sends.
//!
//! Inputs are the captures under `tests/golden`, damaged; each follows from a seed and a number, so
//! that a failure can be had again. Nothing may panic, allocate far more than the input is long, or
//! take long. It runs on stable Rust: in `cargo test -p hostile` for seconds, as
//! `cargo run -p hostile --release -- --seconds 3600` for as long as one likes.

mod corpus;
pub mod counting;
pub mod engine;
pub mod hex;
mod mutate;
mod random;
pub mod targets;
