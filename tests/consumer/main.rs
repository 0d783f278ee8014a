//! What consumers do, against the embedded cluster: one file a feature.

mod broadcast;
mod common;
mod flow;
mod hooks;
mod operator;
mod ordered;
mod pull;
mod push;
mod rebalance;
mod retry;
mod shutdown;
mod start;
#[path = "../support/mod.rs"]
mod support;
