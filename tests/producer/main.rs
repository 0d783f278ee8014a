//! What a producer does, against the embedded cluster: one module a subject.

#[path = "../faults/apart.rs"]
mod apart;

mod api;
mod deadlines;
mod describe;
mod faults;
mod final_errors;
#[cfg(unix)]
mod fork;
mod goaway;
mod gone_queues;
mod lifecycle;
mod limits;
mod queues;
mod retries;
mod routes;
mod sends;
mod shutdown;
mod support;
mod threads;
