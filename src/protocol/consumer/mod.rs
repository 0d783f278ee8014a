//! Requests between consumers and brokers. In reading order:
//!
//! - [`subscription`]: a group's filter of a topic, by tags or SQL
//! - [`member`]: the group in a heartbeat, its member list and connections, the check of a filter
//! - `queues`: queues as bodies carry them
//! - [`assignment`]: which queues a member gets, if the broker decides
//! - [`lock`]: queues locked for a member
//! - [`offset`]: the progress of a group
//! - [`progress`]: the progress of a group on a broker, for administrators
//! - [`pull`]: asking for messages, and the answer
//! - [`back`]: giving a message back
//! - [`asked`]: requests of brokers to a consumer
//! - [`pop`]: messages that are acknowledged one by one

pub mod asked;
pub mod assignment;
pub mod back;
pub mod lock;
pub mod member;
pub mod offset;
pub mod pop;
pub mod progress;
pub mod pull;
mod queues;
pub mod subscription;

use super::FieldSink;

/// Writes a field if it is set.
fn optional(sink: &mut dyn FieldSink, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        sink.text(name, value);
    }
}

#[cfg(test)]
mod tests;
