//! The producer's behaviour on the embedded cluster: one folder per subject, one file per feature.

mod failure;
mod observe;
mod request_reply;
mod send;
mod start_and_stop;
#[path = "../support/mod.rs"]
mod support;
mod transaction;
