//! Faults: a cluster behind proxies that disturb connections by a script, and a ledger that knows
//! the legal outcomes of each message. The cases are those of `src/docs/contributing/faults.md`.

#[allow(dead_code, reason = "the measurements need more of it")]
mod bench;
mod brokers;
mod codec;
mod consumers;
mod links;
mod machine;
mod name_servers;
mod pending;
mod proxy_self;
mod storm;
#[path = "../support/mod.rs"]
mod support;
