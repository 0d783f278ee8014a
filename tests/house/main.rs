//! The rules of the house: what the sources, the documents, the logs and the cost of a message must
//! keep to.

mod architecture;
mod cost;
mod faults_table;
mod glossary;
mod guide;
mod invariants;
mod links;
mod logs;
mod packaging;
mod readme;
mod source;
mod structure;
#[path = "../support/mod.rs"]
mod support;
mod testing_page;
