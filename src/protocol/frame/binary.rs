//! Headers in RocketMQ's own binary form (Java's `RocketMQSerializable`):
//! `i16 code | i8 language | i16 version | i32 opaque | i32 flag | i32 length, remark |
//! i32 length, { i16 length, name | i32 length, value }*`.

use std::fmt::{self, Write};

use byteorder::{BigEndian, ByteOrder};

use super::send::{Constants, Memo};
use super::{Command, ExtFields, FieldSink, Fields, Head, Language, ProtocolError};

/// Appends the header. `false` if it does not fit this form: then the appended bytes are not a
/// header.
pub(super) fn encode(
    head: &Head<'_>,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Sink<'_>),
) -> bool {
    let (Ok(code), Ok(version)) = (i16::try_from(head.code), i16::try_from(head.version)) else {
        return false;
    };
    out.extend_from_slice(&code.to_be_bytes());
    out.push(head.language.number());
    out.extend_from_slice(&version.to_be_bytes());
    out.extend_from_slice(&head.opaque.to_be_bytes());
    out.extend_from_slice(&head.flag.to_be_bytes());
    let remark = head.remark.unwrap_or_default();
    out.extend_from_slice(&len32(remark.len()));
    out.extend_from_slice(remark.as_bytes());
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut sink = Sink { out, fits: true };
    write(&mut sink);
    let fits = sink.fits;
    let len = out.len() - start - 4;
    out[start..start + 4].copy_from_slice(&len32(len));
    fits
}

pub(super) fn decode(header: &[u8], mut ext: ExtFields) -> Result<Command, ProtocolError> {
    let mut rest = Rest(header);
    let code = i32::from(BigEndian::read_i16(rest.take(2)?));
    let language = Language::from_number(rest.take(1)?[0]);
    let version = i32::from(BigEndian::read_i16(rest.take(2)?));
    let opaque = rest.i32()?;
    let flag = rest.i32()?;
    let remark = rest.text32()?;
    let remark = (!remark.is_empty()).then(|| remark.to_owned());
    // A header may end after the remark.
    if !rest.0.is_empty() {
        let len = rest.i32()?;
        let mut fields = Rest(rest.take_len(len)?);
        ext.reserve(fields.0.len(), 8);
        while !fields.0.is_empty() {
            let name_len = BigEndian::read_i16(fields.take(2)?);
            let name = fields.text(i32::from(name_len))?;
            let value = fields.text32()?;
            // Java decodes an empty text as null, which is a field that is not there.
            if !name.is_empty() && !value.is_empty() {
                ext.push(name, value);
            }
        }
    }
    if !rest.0.is_empty() {
        return Err(ProtocolError::new("bytes after the binary header"));
    }
    Ok(Command {
        code,
        flag,
        opaque,
        language,
        version,
        remark,
        ext,
        body: Vec::new(),
    })
}

/// The rest of a header. Every length is checked against it before use.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], ProtocolError> {
        match self.0.split_at_checked(len) {
            Some((taken, rest)) => {
                self.0 = rest;
                Ok(taken)
            }
            None => Err(ProtocolError::new("binary header is cut short")),
        }
    }

    fn take_len(&mut self, len: i32) -> Result<&'a [u8], ProtocolError> {
        let len = usize::try_from(len)
            .map_err(|_| ProtocolError::new("negative length in a binary header"))?;
        self.take(len)
    }

    fn i32(&mut self) -> Result<i32, ProtocolError> {
        Ok(BigEndian::read_i32(self.take(4)?))
    }

    fn text(&mut self, len: i32) -> Result<&'a str, ProtocolError> {
        std::str::from_utf8(self.take_len(len)?)
            .map_err(|_| ProtocolError::new("binary header is not UTF-8"))
    }

    fn text32(&mut self) -> Result<&'a str, ProtocolError> {
        let len = self.i32()?;
        self.text(len)
    }
}

/// Leaves out fields with an empty name or value: the peer reads an empty text as null, and would
/// sign it as `null`.
pub(super) struct Sink<'a> {
    out: &'a mut Vec<u8>,
    fits: bool,
}

impl Sink<'_> {
    /// The first fields, copied from the last time if they are the same. Their names are short: they
    /// fit.
    pub(super) fn repeat(&mut self, memo: &mut Memo, fields: &Constants<'_>) {
        let write = |out: &mut Vec<u8>| fields.visit(&mut Sink { out, fits: true });
        self.out.extend_from_slice(memo.written(fields, write));
    }

    /// Appends a field whose value is written by a function.
    fn field(&mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
        let Ok(name_len) = i16::try_from(name.len()) else {
            self.fits = false;
            return;
        };
        let field = self.out.len();
        self.out.extend_from_slice(&name_len.to_be_bytes());
        self.out.extend_from_slice(name.as_bytes());
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        value(self.out);
        let len = self.out.len() - start - 4;
        if name.is_empty() || len == 0 {
            self.out.truncate(field);
        } else {
            self.out[start..start + 4].copy_from_slice(&len32(len));
        }
    }
}

impl FieldSink for Sink<'_> {
    fn text(&mut self, name: &str, value: &str) {
        self.field(name, |out| out.extend_from_slice(value.as_bytes()));
    }

    fn display(&mut self, name: &str, value: &dyn fmt::Display) {
        struct Append<'a>(&'a mut Vec<u8>);
        impl Write for Append<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.extend_from_slice(text.as_bytes());
                Ok(())
            }
        }
        self.field(name, |out| {
            let written = write!(Append(out), "{value}");
            debug_assert!(written.is_ok(), "Display of a field fails");
        });
    }
}

/// A header's parts are far below 2 GiB: the frame is checked against 16 MiB before it is sent.
fn len32(len: usize) -> [u8; 4] {
    (len as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(header: &[u8]) -> Result<Command, ProtocolError> {
        super::decode(header, ExtFields::new())
    }

    fn header(remark_len: i32, ext: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 13];
        bytes.extend_from_slice(&remark_len.to_be_bytes());
        bytes.extend_from_slice(ext);
        bytes
    }

    #[test]
    fn lengths_that_lie_are_errors() {
        let field = |name_len: i16, value_len: i32| {
            let mut ext = 10i32.to_be_bytes().to_vec();
            ext.extend_from_slice(&name_len.to_be_bytes());
            ext.extend_from_slice(b"ab");
            ext.extend_from_slice(&value_len.to_be_bytes());
            ext.extend_from_slice(b"cd");
            ext
        };
        assert_eq!(
            decode(&header(0, &field(2, 2))).unwrap().ext.get("ab"),
            Some("cd")
        );
        let bad = [
            header(-1, &[]),
            header(1, &[]),
            header(0, &(-1i32).to_be_bytes()),
            header(0, &9i32.to_be_bytes()),
            header(0, &field(-1, 2)),
            header(0, &field(2, -1)),
            header(0, &field(2, 3)),
            header(0, &field(9, 2)),
            header(0, &[0, 0, 0, 0, 7]),
            vec![0; 16],
        ];
        for bytes in bad {
            assert!(decode(&bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_header_may_end_after_its_remark_and_empty_texts_are_absent() {
        assert!(decode(&header(0, &[])).unwrap().ext.is_empty());
        let empty_value = [&7i32.to_be_bytes()[..], &[0, 1, b'k', 0, 0, 0, 0]].concat();
        assert!(decode(&header(0, &empty_value)).unwrap().ext.is_empty());
    }
}
