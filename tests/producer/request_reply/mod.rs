//! Transactions and request-reply, against the embedded cluster.

mod checks;
mod common;
mod introductions;
mod requests;
mod surroundings;
mod transactions;
