//! The integration tests: one binary, so that they link once and share their helpers.

mod architecture;
mod capture;
mod golden;
mod golden_consumers;
mod golden_messages;
mod guide;
mod hostile;
mod invariants;
mod packaging;
mod readme;
mod source;
mod testing_page;
mod values;
mod wire;
mod wire_consumers;
mod wire_edges;
