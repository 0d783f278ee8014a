//! A broker's refusals to store a message.

use crate::embedded::store::REGION;
use crate::message::name;
use crate::protocol::{Command, FieldSink, Fields};

/// A code other than success, and its remark.
pub(super) struct Refusal(pub(super) i32, pub(super) String);

/// The fields that refused sends are answered with too.
struct Region;

impl Refusal {
    pub(super) fn answer(self, request: &Command) -> Command {
        let Refusal(code, remark) = self;
        let answer = Command::response_to(request, code);
        answer.with_fields(&Region).with_remark(remark)
    }
}

impl Fields for Region {
    fn visit(&self, sink: &mut dyn FieldSink) {
        sink.text(name::MSG_REGION, REGION);
        sink.text(name::TRACE_ON, "true");
    }
}
