//! The error that a broker's answer without a receipt is.

use crate::error::Error;
use crate::protocol::Command;
use crate::protocol::code::response;
use crate::protocol::properties::MAX_LEN;
use crate::send::prepared_message::PreparedMessage;
use crate::send::retry;

/// The brokers' remarks about a body or properties (with those that they add) that are too long.
const TOO_LONG: &str = "properties length";

/// The largest properties that a broker adds, if its own names are long.
const MOST_ADDED: usize = 1024;

/// The error that an answer is.
pub(in crate::send) fn error(answer: &Command, message: &PreparedMessage) -> Error {
    let (code, remark) = (answer.code, answer.remark.as_deref());
    let error = Error::response(code, remark);
    if code == response::MESSAGE_ILLEGAL && remark.is_some_and(|text| text.contains(TOO_LONG)) {
        let (body, properties) = (message.body.len(), message.properties.len());
        let what = match properties + MOST_ADDED > MAX_LEN {
            true => "properties",
            false => "body or properties",
        };
        return error.detailed(format!(
            "MESSAGE_ILLEGAL (13), {what} too long for the broker, which adds properties of its own \
             (body {body} bytes, properties {properties})"
        ));
    }
    match retry::may_be_stored(code, remark) {
        true => error.maybe_stored(),
        false => error,
    }
}
