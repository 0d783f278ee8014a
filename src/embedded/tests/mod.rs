//! Behaviours and faults of the embedded cluster, met over raw sockets.

mod client;
mod faults;
mod lifecycle;
mod name_server;
mod sends;
