//! Transactions and request-reply, against the embedded cluster.

mod checks;
mod common;
mod requests;
mod surroundings;
mod transactions;
