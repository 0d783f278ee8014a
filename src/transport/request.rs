use std::cell::{Cell, RefCell};
use std::mem;
use std::sync::Arc;

use crate::protocol::frame::{self, Encoder};
use crate::protocol::send::{SendHeader, V1};
use crate::protocol::{FieldSink, Fields, Head};

/// A request whose parts are borrowed until it is encoded.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) code: i32,
    pub(super) fields: RequestFields<'a>,
    /// Fields behind those, which all requests of a client carry.
    pub(super) fixed: &'a [(&'static str, String)],
    pub(crate) remark: Option<&'a str>,
    pub(crate) body: Option<&'a Arc<Vec<u8>>>,
    /// Whether the peer may park the answer (a long poll); otherwise it is due soon.
    pub(crate) parked: bool,
}

/// A request's own fields.
#[derive(Clone, Copy)]
pub(super) enum RequestFields<'a> {
    Any(&'a dyn Fields),
    /// Those of a send, with long names or not: an encoder remembers what sends have in common.
    Send(&'a SendHeader<'a>, bool),
}

impl<'a> Request<'a> {
    pub(crate) fn new(code: i32, fields: &'a dyn Fields) -> Request<'a> {
        Request::of(code, RequestFields::Any(fields))
    }

    /// A send; `long_names`: its fields have the names of request code 10.
    pub(crate) fn send(code: i32, header: &'a SendHeader<'a>, long_names: bool) -> Request<'a> {
        Request::of(code, RequestFields::Send(header, long_names))
    }

    fn of(code: i32, fields: RequestFields<'a>) -> Request<'a> {
        Request {
            code,
            fields,
            fixed: &[],
            remark: None,
            body: None,
            parked: false,
        }
    }

    /// Hands all fields to the sink, the fixed ones last.
    pub(super) fn visit(&self, sink: &mut dyn FieldSink) {
        match self.fields {
            RequestFields::Any(fields) => fields.visit(sink),
            RequestFields::Send(header, false) => header.visit(sink),
            RequestFields::Send(header, true) => V1(header).visit(sink),
        }
        Fixed(self.fixed).visit(sink);
    }

    pub(crate) fn with_remark(self, remark: Option<&'a str>) -> Request<'a> {
        Request { remark, ..self }
    }

    pub(crate) fn with_body(self, body: &'a Arc<Vec<u8>>) -> Request<'a> {
        Request {
            body: Some(body),
            ..self
        }
    }

    /// The answer may be parked at the peer until this request's deadline: a long poll. Whatever
    /// reasons about answers that are due soon does not count it.
    pub(crate) fn parked(self) -> Request<'a> {
        Request {
            parked: true,
            ..self
        }
    }
}

/// Fields that all requests of a client carry.
struct Fixed<'a>(&'a [(&'static str, String)]);

impl Fields for Fixed<'_> {
    fn visit(&self, sink: &mut dyn FieldSink) {
        for (name, value) in self.0 {
            sink.text(name, value);
        }
    }
}

/// A request's fields without the memory of an encoder.
struct AllFields<'a>(&'a Request<'a>);

impl Fields for AllFields<'_> {
    fn visit(&self, sink: &mut dyn FieldSink) {
        self.0.visit(sink);
    }
}

thread_local! {
    /// The buffer for a header, which goes from one request of a thread to the next. Taken out while
    /// in use, since what follows an encoding may send again on the same thread (a logger might).
    static HEAD: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Its memory of the last send does not affect the bytes of the next one.
    static ENCODER: RefCell<Encoder> = RefCell::default();
}
// Accessed with `try_with`: a thread drops its values one by one at its end, and one of them may be
// a producer, which still unregisters then.

/// A header of unusual size must not stay with the thread.
const KEEP_HEAD: usize = 64 * 1024;

/// A request as it goes over a connection: it borrows nothing, so the send that it was made from
/// can wait for the answer.
pub(crate) struct Encoded {
    pub(super) opaque: i32,
    pub(super) head: Vec<u8>,
    pub(super) body: Option<Arc<Vec<u8>>>,
    /// See [`Request::parked`].
    pub(super) parked: bool,
}

impl Encoded {
    pub(super) fn new(head: &Head<'_>, request: &Request<'_>) -> Encoded {
        let mut buffer = HEAD.try_with(Cell::take).unwrap_or_default();
        buffer.clear();
        let body_len = request.body.map_or(0, |body| body.len());
        match request.fields {
            RequestFields::Any(_) => {
                frame::encode_head(head, &AllFields(request), body_len, &mut buffer);
            }
            RequestFields::Send(send, long_names) => {
                let fixed = Fixed(request.fixed);
                let mut encode = |encoder: &mut Encoder| {
                    encoder.encode_send(head, send, long_names, &fixed, body_len, &mut buffer);
                };
                let own = ENCODER.try_with(|own| encode(&mut own.borrow_mut()));
                if own.is_err() {
                    encode(&mut Encoder::default());
                }
            }
        }
        Encoded {
            opaque: head.opaque,
            head: buffer,
            body: request.body.cloned(),
            parked: request.parked,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.head.len() + self.body.as_ref().map_or(0, |body| body.len())
    }
}

impl Drop for Encoded {
    fn drop(&mut self) {
        if self.head.capacity() <= KEEP_HEAD {
            let head = mem::take(&mut self.head);
            let _ = HEAD.try_with(|kept| kept.set(head));
        }
    }
}
