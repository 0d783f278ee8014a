//! Transactions.
//!
//! In reading order:
//! - `table`: half messages and their states
//! - `ends`: the ends of transactions, and the broker's own questions about them

mod ends;
mod table;

pub(super) use ends::check_transactions;
pub(in crate::embedded) use ends::end_transaction;
pub(super) use table::HALF_TOPIC;
pub use table::Transaction;
pub(in crate::embedded) use table::Transactions;
