//! Behaviours and faults of the embedded cluster, met over raw sockets.

mod client;
mod faults;
mod groups;
mod later;
mod lifecycle;
mod name_server;
mod pulls;
mod sends;
