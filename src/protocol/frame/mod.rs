//! Frames: `i32 length of the rest | u8 format, u24 header length | header | body`.

//!
//! In reading order: `language`; `header` (what is written, and the form it has); `fields` (a header's own
//! fields); `command` (one request or response); `json` and `plain`, `binary` (the two forms of headers).

mod binary;
mod command;
mod fields;
mod header;
mod json;
mod language;
mod plain;

use byteorder::{BigEndian, ByteOrder};

use super::send::{Memo, SendHeader};
use super::{ProtocolError, fastjson, send};

pub use command::Command;
pub use fields::ExtFields;
pub use header::{FieldSink, Fields, Head, HeaderFormat, VERSION};
pub use language::Language;

/// The largest frame on the wire, its length prefix included (Java's `NettyDecoder`).
pub const MAX_FRAME: usize = 16 * 1024 * 1024;

/// The bytes before the header: the frame's length, and the header's format and length.
const PREFIX: usize = 8;

/// One whole frame in a receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFrame<'a> {
    /// How the header is written.
    pub format: HeaderFormat,
    /// The header's bytes.
    pub header: &'a [u8],
    /// The body's bytes.
    pub body: &'a [u8],
}

impl RawFrame<'_> {
    /// The frame's length on the wire.
    pub fn wire_len(&self) -> usize {
        PREFIX + self.header.len() + self.body.len()
    }
}

/// The first frame of a buffer; `None` if more bytes are needed.
///
/// # Errors
/// A length or format that cannot be: the stream cannot be read any further.
pub fn split(buffer: &[u8]) -> Result<Option<RawFrame<'_>>, ProtocolError> {
    let Some(wire_len) = wire_len(buffer)? else {
        return Ok(None);
    };
    if buffer.len() < PREFIX {
        return Ok(None);
    }
    let word = BigEndian::read_u32(&buffer[4..PREFIX]);
    let format = match word >> 24 {
        0 => HeaderFormat::Json,
        1 => HeaderFormat::Binary,
        other => return Err(ProtocolError::new(format!("unknown header format {other}"))),
    };
    let header_end = PREFIX + (word & 0x00FF_FFFF) as usize;
    if header_end > wire_len {
        return Err(ProtocolError::new("header is longer than its frame"));
    }
    if buffer.len() < wire_len {
        return Ok(None);
    }
    Ok(Some(RawFrame {
        format,
        header: &buffer[PREFIX..header_end],
        body: &buffer[header_end..wire_len],
    }))
}

/// The length on the wire of a buffer's first frame, once its first four bytes are there.
///
/// # Errors
/// A length that cannot be.
pub fn wire_len(buffer: &[u8]) -> Result<Option<usize>, ProtocolError> {
    let Some(prefix) = buffer.get(..4) else {
        return Ok(None);
    };
    let rest = BigEndian::read_i32(prefix);
    match usize::try_from(rest) {
        Ok(rest) if (PREFIX - 4..=MAX_FRAME - 4).contains(&rest) => Ok(Some(rest + 4)),
        _ => Err(ProtocolError::new(format!(
            "impossible frame length {rest}"
        ))),
    }
}

/// Encodes headers of sends, and remembers of one what the next is likely to have in common with it.
#[derive(Default)]
pub struct Encoder {
    json: Memo,
    binary: Memo,
}

impl Encoder {
    /// Like [`encode_head`] with the fields of this send, and more behind them. `long_names`: those of
    /// [`V1`](super::send::V1).
    pub fn encode_send(
        &mut self,
        head: &Head<'_>,
        send: &SendHeader<'_>,
        long_names: bool,
        more: &dyn Fields,
        body_len: usize,
        out: &mut Vec<u8>,
    ) {
        let constants = send.constants(long_names);
        let (json, binary) = (&mut self.json, &mut self.binary);
        let write_json = |sink: &mut json::Sink<'_>| {
            sink.repeat(json, &constants);
            send.visit_rest(long_names, sink);
            more.visit(sink);
        };
        let write_binary = |sink: &mut binary::Sink<'_>| {
            sink.repeat(binary, &constants);
            send.visit_rest(long_names, sink);
            more.visit(sink);
        };
        encode(head, body_len, out, write_json, write_binary);
    }
}

/// Appends a frame up to its header to `out`; `body_len` bytes of body must follow it on the wire.
pub fn encode_head(head: &Head<'_>, fields: &dyn Fields, body_len: usize, out: &mut Vec<u8>) {
    let write_json = |sink: &mut json::Sink<'_>| fields.visit(sink);
    let write_binary = |sink: &mut binary::Sink<'_>| fields.visit(sink);
    encode(head, body_len, out, write_json, write_binary);
}

fn encode(
    head: &Head<'_>,
    body_len: usize,
    out: &mut Vec<u8>,
    write_json: impl FnOnce(&mut json::Sink<'_>),
    write_binary: impl FnOnce(&mut binary::Sink<'_>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    // Not every header fits the binary form; each frame names its form.
    let binary = head.format == HeaderFormat::Binary && binary::encode(head, out, write_binary);
    if !binary {
        out.truncate(start + PREFIX);
        json::encode(head, out, write_json);
    }
    let header_len = out.len() - start - PREFIX;
    let total = 4 + header_len + body_len;
    debug_assert!(
        header_len < 1 << 24,
        "a header is bounded by what validation lets through"
    );
    // Too large a frame cannot come from here: messages are validated against 4 MiB by default, and
    // the connection refuses what exceeds MAX_FRAME.
    BigEndian::write_u32(&mut out[start..], u32::try_from(total).unwrap_or(u32::MAX));
    let word = (u32::from(binary) << 24) | (header_len as u32 & 0x00FF_FFFF);
    BigEndian::write_u32(&mut out[start + 4..], word);
}

impl Command {
    /// Appends the whole frame to `out`.
    pub fn encode(&self, format: HeaderFormat, out: &mut Vec<u8>) {
        let head = Head {
            code: self.code,
            flag: self.flag,
            opaque: self.opaque,
            language: self.language,
            version: self.version,
            remark: self.remark.as_deref(),
            format,
        };
        encode_head(&head, &self.ext, self.body.len(), out);
        out.extend_from_slice(&self.body);
    }

    /// Decodes the header of a frame and copies its body.
    ///
    /// # Errors
    /// The header does not match its format.
    pub fn decode(frame: RawFrame<'_>) -> Result<Command, ProtocolError> {
        Command::decode_reusing(frame, ExtFields::new())
    }

    /// The same in the memory of fields that are no longer needed.
    ///
    /// # Errors
    /// Those of [`decode`](Command::decode).
    pub fn decode_reusing(
        frame: RawFrame<'_>,
        mut spare: ExtFields,
    ) -> Result<Command, ProtocolError> {
        spare.clear();
        let mut command = match frame.format {
            HeaderFormat::Json => json::decode(frame.header, spare)?,
            HeaderFormat::Binary => binary::decode(frame.header, spare)?,
        };
        command.body = frame.body.to_vec();
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Language;
    use crate::protocol::send::V1;

    /// The lengths of the fault matrix, and what becomes of them.
    #[test]
    fn impossible_lengths_are_refused_from_four_bytes() {
        let max = i32::try_from(MAX_FRAME).unwrap() - 4;
        for bad in [-1, i32::MIN, 0, 1, 3, max + 1, i32::MAX] {
            assert!(split(&bad.to_be_bytes()).is_err(), "{bad}");
        }
        for good in [4, max - 1, max] {
            assert_eq!(split(&good.to_be_bytes()), Ok(None), "{good}");
        }
    }

    #[test]
    fn a_header_must_fit_its_frame_and_have_a_known_format() {
        let frame = |word: u32| [&8u32.to_be_bytes()[..], &word.to_be_bytes(), &[0; 4]].concat();
        assert_eq!(split(&frame(4)).unwrap().unwrap().header, [0; 4]);
        assert_eq!(split(&frame(0)).unwrap().unwrap().body, [0; 4]);
        assert!(split(&frame(5)).is_err());
        assert!(split(&frame(0x00FF_FFFF)).is_err());
        for format in 2..=255u32 {
            assert!(split(&frame(format << 24 | 4)).is_err(), "{format}");
        }
    }

    /// Forgets the last header: the next one is written in full.
    #[test]
    fn an_encoder_remembers_nothing_that_shows() {
        let plain = SendHeader {
            producer_group: "g",
            topic: "t",
            default_topic: "d",
            default_topic_queue_nums: 4,
            queue_id: 1,
            sys_flag: 0,
            born_timestamp: 7,
            flag: 0,
            properties: "a\u{1}b\u{2}",
            reconsume_times: 0,
            unit_mode: false,
            max_reconsume_times: None,
            batch: false,
            broker_name: Some("b"),
        };
        let others = [
            SendHeader {
                producer_group: "gt",
                topic: "",
                ..plain
            },
            SendHeader {
                topic: "\"",
                ..plain
            },
            SendHeader {
                default_topic: "",
                ..plain
            },
            SendHeader {
                default_topic_queue_nums: 5,
                ..plain
            },
            SendHeader {
                queue_id: 2,
                sys_flag: 1,
                ..plain
            },
            SendHeader {
                flag: -1,
                born_timestamp: 8,
                ..plain
            },
            SendHeader {
                reconsume_times: 1,
                properties: "",
                ..plain
            },
            SendHeader {
                unit_mode: true,
                ..plain
            },
            SendHeader {
                max_reconsume_times: Some(0),
                ..plain
            },
            SendHeader {
                batch: true,
                broker_name: None,
                ..plain
            },
        ];
        let mut encoder = Encoder::default();
        let mut check = |send: &SendHeader<'_>, long_names, format| {
            let head = Head {
                code: 310,
                flag: 0,
                opaque: 1,
                language: Language::RUST,
                version: VERSION,
                remark: None,
                format,
            };
            let (mut known, mut fresh) = (Vec::new(), Vec::new());
            encoder.encode_send(&head, send, long_names, &(), 0, &mut known);
            match long_names {
                true => encode_head(&head, &V1(send), 0, &mut fresh),
                false => encode_head(&head, send, 0, &mut fresh),
            }
            assert_eq!(known, fresh);
        };
        for format in [HeaderFormat::Json, HeaderFormat::Binary] {
            for other in &others {
                for header in [&plain, other, other, &plain] {
                    check(header, false, format);
                    check(header, true, format);
                }
            }
        }
    }
}
