//! What a producer does, against the embedded cluster: one folder a subject, one file a feature.

mod failure;
mod observe;
mod request_reply;
mod send;
mod start_and_stop;
#[path = "../support/mod.rs"]
mod support;
mod transaction;
