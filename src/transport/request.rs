use std::sync::Arc;

use crate::protocol::Fields;

/// A request whose parts are borrowed until it is encoded.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) code: i32,
    pub(crate) fields: &'a dyn Fields,
    pub(crate) remark: Option<&'a str>,
    pub(crate) body: Option<&'a Arc<Vec<u8>>>,
    /// Whether the peer may park the answer (a long poll); otherwise it is due soon.
    pub(crate) parked: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn new(code: i32, fields: &'a dyn Fields) -> Request<'a> {
        Request {
            code,
            fields,
            remark: None,
            body: None,
            parked: false,
        }
    }

    pub(crate) fn with_remark(self, remark: Option<&'a str>) -> Request<'a> {
        Request { remark, ..self }
    }

    /// The answer may be parked at the peer until this request's deadline: a long poll. Whatever
    /// reasons about answers that are due soon does not count it.
    #[allow(dead_code, reason = "the consumers' long polls are the first")]
    pub(crate) fn parked(self) -> Request<'a> {
        Request {
            parked: true,
            ..self
        }
    }

    pub(crate) fn with_body(self, body: &'a Arc<Vec<u8>>) -> Request<'a> {
        Request {
            body: Some(body),
            ..self
        }
    }
}
