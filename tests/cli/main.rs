//! The example programs, run as a user runs them.

mod bench;
mod bench_report;
mod produce;
mod produce_kinds;
mod produce_options;
mod programs;
mod support;
