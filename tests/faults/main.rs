//! Faults: a cluster behind proxies that do to connections what a script says, and a ledger that
//! knows what may become of each message. The cases are those of `src/docs/faults.md`.

mod apart;
mod bench;
mod brokers;
mod codec;
mod connections;
mod figures;
mod files;
mod java;
mod ledger;
mod leftovers;
mod limits;
mod link;
mod name_servers;
#[cfg(target_os = "linux")]
mod netns;
mod overshoot;
mod pending;
mod proxy;
mod proxy_self;
mod script;
mod sender;
mod slow_links;
mod stopped;
mod storm;
mod table;
mod threads;
mod watch;
