//! Requests between producers and brokers.
//!
//! - [`send`]: a send and its answer
//! - [`reply`]: replies that a broker pushes to the client that asked
//! - [`transaction`]: the end of a transaction, and the broker's question about one
//! - [`recall`]: handles by which timer messages are taken back

pub mod recall;
pub mod reply;
pub mod send;
pub mod transaction;

use super::{ExtFields, FieldSink, Fields, ProtocolError, base64, code, message};
use super::{properties, sys_flag};
