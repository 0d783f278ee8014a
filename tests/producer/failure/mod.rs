//! Sends that meet a failure: retries, errors, and deadlines.

mod connections;
mod deadlines;
mod final_errors;
mod goaway;
mod gone_queues;
mod latency_fault;
mod retries;
