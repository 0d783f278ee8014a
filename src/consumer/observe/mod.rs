// What a consumer says of itself.
//
// - `report`: what a shutdown achieved

mod report;

pub use report::ShutdownReport;
