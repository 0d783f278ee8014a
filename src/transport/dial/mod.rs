//! Dialling. In reading order:
//!
//! - `peer`: one address: its connection, the dial in flight, or the last error
//! - `open`: makes a connection: name, socket, TLS
//! - `resolve`: names to addresses, with a deadline
//! - `preference`: which of several addresses behind a name is tried first (pure)
//! - `backoff`: how long an address is spared after failures (pure)

mod backoff;
mod open;
mod peer;
mod preference;
mod resolve;

pub(super) use open::Dialler;
pub(super) use peer::{Continuation, Dialled, Peer};
use preference::Preference;
pub(super) use resolve::Lookup;
