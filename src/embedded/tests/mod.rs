//! Behaviours and faults of the embedded cluster, met over raw sockets.

mod client;
mod consume;
mod faults;
mod later;
mod lifecycle;
mod name_server;
mod sends;
