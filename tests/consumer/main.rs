//! The behaviour of consumers, on the embedded cluster: one file per feature.

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
mod simple;
mod start;
#[path = "../support/mod.rs"]
mod support;
