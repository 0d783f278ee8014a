//! Sends that meet a failure: what is tried again, what the caller is told, and by when.

mod connections;
mod deadlines;
mod final_errors;
mod goaway;
mod gone_queues;
mod latency_fault;
mod retries;
