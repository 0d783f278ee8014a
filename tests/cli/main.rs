//! The example programs, run as a user runs them.

mod bench;
mod bench_report;
mod consume;
mod consume_broadcast;
mod consume_options;
mod consume_outcomes;
mod consume_popped;
mod consume_pull;
mod consume_simple;
mod examples;
mod produce;
mod produce_input;
mod produce_kinds;
mod produce_options;
#[cfg(unix)]
mod produce_terminal;
mod programs;
#[path = "../../examples/common/replier.rs"]
mod replier;
mod support;
