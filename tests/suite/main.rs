//! The integration tests: one binary, so that they link once and share their helpers.

mod architecture;
mod capture;
mod golden;
mod golden_messages;
mod guide;
mod hostile;
mod invariants;
mod packaging;
mod readme;
mod source;
mod structure;
mod testing_page;
mod values;
mod wire;
mod wire_edges;
