//! What consumers do, against the embedded cluster: one file a feature.

mod common;
mod flow;
mod ordered;
mod push;
mod rebalance;
mod retry;
mod shutdown;
#[path = "../support/mod.rs"]
mod support;
