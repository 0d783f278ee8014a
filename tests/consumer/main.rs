//! What consumers do, against the embedded cluster: one file a feature.

mod broadcast;
mod operator;
mod pull;
mod push;
#[path = "../support/mod.rs"]
mod support;
