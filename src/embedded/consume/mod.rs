//! What consumers ask a broker for. Each file has the handlers of one subject, functions of a
//! [`BrokerState`](super::broker::BrokerState) and a call; `service` says which request goes to which.
//!
//! In reading order:
//! - `pull`: messages of a queue, at once or when there are some (long polls)

mod pull;

pub(super) use pull::pull;
