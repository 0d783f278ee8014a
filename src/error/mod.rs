// What a failed call reports. In reading order:
//
// - `kind`: why it failed, and during which wait
// - `fate`: whether the message of a failed send may be stored
// - `response_code`: what a server answered
// - `error`: all of that, with the attempts of a send
// - `printable`: text of a peer in errors and log lines

#[expect(clippy::module_inception, reason = "the file of the type of that name")]
mod error;
mod fate;
mod kind;
mod printable;
mod response_code;

pub(crate) use error::Attempts;
pub use error::{Attempt, Error};
pub use fate::SendFate;
pub use kind::{ErrorKind, Wait};
pub(crate) use printable::{OneLine, Printable};
pub use response_code::ResponseCode;
pub(crate) use response_code::{is_wrong_signature, refuses_access};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
