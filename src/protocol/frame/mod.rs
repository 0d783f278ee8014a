//! Frames: `i32 length of the rest | u8 format, u24 header length | header | body`. What a connection
//! writes and reads is here; in reading order behind it:
//!
//! - `command`: one request or response, with its fields; what is written into a header, and its form
//! - `json`: the usual form of headers; `any_json`: JSON that is not as peers write it
//! - `binary`: the other form

mod any_json;
mod binary;
mod command;
mod json;

use byteorder::{BigEndian, ByteOrder};

use super::send::{Memo, SendHeader};
use super::{ProtocolError, fastjson, send};

pub use command::{Command, ExtFields, FieldSink, Fields, Head, HeaderFormat, Language, VERSION};

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
    let binary =
        matches!(head.format, HeaderFormat::Binary) && binary::encode(head, out, write_binary);
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

/// A receive buffer that grows only as bytes really come, and shrinks again.
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The memory of answers that have been read.
    free_list: Vec<ExtFields>,
}

impl Buffer {
    const SIZE: usize = 64 * 1024;
    /// About as many answers as one read brings, and each no larger than most.
    const MOST_FREE: usize = 256;
    const LARGEST_SPARE: usize = 1024;

    /// An empty buffer.
    #[expect(clippy::new_without_default, reason = "64 KiB are no default")]
    pub fn new() -> Buffer {
        Buffer {
            bytes: vec![0; Buffer::SIZE],
            start: 0,
            end: 0,
            free_list: Vec::new(),
        }
    }

    /// Has `read` fill the free space, of which there is some after [`take_commands`](Buffer::take_commands).
    ///
    /// # Errors
    /// Those of `read`.
    pub fn fill<E>(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let read = read(&mut self.bytes[self.end..]);
        self.end += *read.as_ref().unwrap_or(&0);
        read
    }

    /// Decodes all whole frames, and sees that there is space to read into.
    ///
    /// # Errors
    /// The stream cannot be read any further.
    pub fn take_commands(&mut self, mut take: impl FnMut(Command)) -> Result<(), ProtocolError> {
        while let Some(raw) = split(&self.bytes[self.start..self.end])? {
            let spare = self.free_list.pop().unwrap_or_default();
            let command = Command::decode_reusing(raw, spare)?;
            self.start += raw.wire_len();
            take(command);
        }
        self.make_space()
    }

    /// What is left of a command serves a later one.
    pub fn recycle(&mut self, command: Command) {
        let has_memory = (1..=Buffer::LARGEST_SPARE).contains(&command.ext.capacity());
        if has_memory && self.free_list.len() < Buffer::MOST_FREE {
            self.free_list.push(command.ext);
        }
    }

    /// Moves a partial frame to the front, and doubles the buffer when it is full, so that a length
    /// which a peer merely claims costs nothing.
    fn make_space(&mut self) -> Result<(), ProtocolError> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == 0 && self.bytes.len() > 4 * Buffer::SIZE {
            self.bytes = vec![0; Buffer::SIZE];
        }
        if self.end == self.bytes.len() {
            let wanted = wire_len(&self.bytes[..self.end])?.unwrap_or(Buffer::SIZE);
            self.bytes.resize(
                (self.bytes.len() * 2).min(wanted.max(self.bytes.len() + 1)),
                0,
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
