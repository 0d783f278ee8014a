//! What consumers do, against the embedded cluster: one file a feature.

mod push;
#[path = "../support/mod.rs"]
mod support;
