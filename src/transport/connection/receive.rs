//! The receiving side of a connection without its socket: bytes in, commands out.

use crate::protocol::{Command, ExtFields, ProtocolError, frame};

/// A receive buffer that grows only as bytes really come, and shrinks again.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The memory of answers that have been read.
    spares: Vec<ExtFields>,
}

impl Buffer {
    const SIZE: usize = 64 * 1024;
    /// About as many answers as one read brings, and each no larger than most.
    const SPARES: usize = 256;
    const LARGEST_SPARE: usize = 1024;

    pub(crate) fn new() -> Buffer {
        Buffer {
            bytes: vec![0; Buffer::SIZE],
            start: 0,
            end: 0,
            spares: Vec::new(),
        }
    }

    /// Has `read` fill what space there is, which is never none after
    /// [`take_commands`](Buffer::take_commands).
    pub(crate) fn fill<E>(
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
    pub(crate) fn take_commands(
        &mut self,
        mut take: impl FnMut(Command),
    ) -> Result<(), ProtocolError> {
        while let Some(raw) = frame::split(&self.bytes[self.start..self.end])? {
            let spare = self.spares.pop().unwrap_or_default();
            let command = Command::decode_reusing(raw, spare)?;
            self.start += raw.wire_len();
            take(command);
        }
        self.make_space()
    }

    /// What is left of a command serves a later one.
    pub(crate) fn recycle(&mut self, command: Command) {
        let has_memory = (1..=Buffer::LARGEST_SPARE).contains(&command.ext.capacity());
        if has_memory && self.spares.len() < Buffer::SPARES {
            self.spares.push(command.ext);
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
            let wanted = frame::wire_len(&self.bytes[..self.end])?.unwrap_or(Buffer::SIZE);
            self.bytes.resize(
                (self.bytes.len() * 2).min(wanted.max(self.bytes.len() + 1)),
                0,
            );
        }
        Ok(())
    }
}
