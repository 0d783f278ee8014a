//! The behaviour of consumers, on the embedded cluster: one file per feature.

mod admin;
mod broadcast;
mod brokers;
mod by_key;
mod common;
mod flow;
mod hooks;
#[path = "../ledger/mod.rs"]
mod ledger;
mod ledger_checker;
mod ledger_runs;
mod operator;
mod ordered;
mod popped;
mod popped_ahead;
mod popped_faults;
mod pull;
mod push;
mod rebalance;
mod retry;
mod shutdown;
mod simple;
mod start;
mod static_topics;
#[path = "../support/mod.rs"]
mod support;
mod trace;
