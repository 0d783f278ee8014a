//! Requests that are answered by a message.

mod introductions;
mod requests;
