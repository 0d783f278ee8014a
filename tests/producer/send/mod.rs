//! Each way to send a message, and what may be sent.

mod as_java;
mod auto_batch;
mod batches;
mod compression;
mod delays;
mod limits;
mod queues;
mod retry_topics;
mod sends;
