//! What all producers of a client share, against the embedded cluster: routes and name servers, what
//! every request carries, TLS, administration.

mod admin;
mod describe;
#[cfg(feature = "discovery")]
mod discovery;
mod every_request;
mod members;
mod name_servers;
mod routes;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tls")]
mod tls;
