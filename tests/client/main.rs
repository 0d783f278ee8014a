//! Shared by all producers of a client, on the embedded cluster: routes and name servers, common
//! parts of requests, TLS, administration.

mod admin;
mod closed_for_writing;
mod describe;
#[cfg(feature = "discovery")]
mod discovery;
mod every_request;
mod groups;
mod members;
mod name_servers;
mod routes;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tls")]
mod tls;
