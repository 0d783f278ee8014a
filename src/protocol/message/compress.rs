//! Compressed bodies.

use std::io::{self, Read, Write};

use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::sys_flag;
use crate::protocol::ProtocolError;

/// How bodies are compressed.
///
/// Consumers before 4.9.4 know zlib only; from then on they read all three. The types beyond zlib
/// are cargo features, which are needed to send as well as to read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
#[doc(alias = "CompressionType")]
pub enum Compression {
    /// zlib (RFC 1950), levels 0 to 9; every consumer can read it.
    #[default]
    Zlib,
    /// LZ4 in its frame format: the fastest, and the least thorough. It has no levels.
    #[cfg(feature = "lz4")]
    Lz4,
    /// Zstandard, levels 1 to 22; 0 means its own default (3).
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    /// The bits of the system flag for this type.
    pub fn sys_flag(self) -> i32 {
        let kind = match self {
            Compression::Zlib => sys_flag::COMPRESSION_ZLIB,
            #[cfg(feature = "lz4")]
            Compression::Lz4 => sys_flag::COMPRESSION_LZ4,
            #[cfg(feature = "zstd")]
            Compression::Zstd => sys_flag::COMPRESSION_ZSTD,
        };
        sys_flag::COMPRESSED | kind
    }

    /// The highest level there is; `None` if levels are ignored, as Java does for LZ4.
    pub fn max_level(self) -> Option<u32> {
        match self {
            Compression::Zlib => Some(9),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => None,
            #[cfg(feature = "zstd")]
            Compression::Zstd => Some(22),
        }
    }

    /// Compresses a body; a level beyond the highest counts as the highest.
    ///
    /// # Errors
    /// The compressor had no memory.
    pub fn compress(self, body: &[u8], level: u32) -> io::Result<Vec<u8>> {
        let level = level.min(self.max_level().unwrap_or(0));
        match self {
            Compression::Zlib => {
                let level = flate2::Compression::new(level);
                let mut encoder = ZlibEncoder::new(Vec::with_capacity(body.len() / 2), level);
                encoder.write_all(body)?;
                encoder.finish()
            }
            #[cfg(feature = "lz4")]
            Compression::Lz4 => lz4::compress(body),
            #[cfg(feature = "zstd")]
            Compression::Zstd => zstd::bulk::compress(body, i32::try_from(level).unwrap_or(0)),
        }
    }
}

/// Compresses with zlib (RFC 1950), level 0 to 9.
pub fn zlib(body: &[u8], level: u32) -> Vec<u8> {
    // Writing to memory does not fail.
    Compression::Zlib.compress(body, level).unwrap_or_default()
}

/// Undoes the compression that a message's system flag names, up to `limit` bytes of result.
///
/// # Errors
/// The body is damaged, larger than the limit, or of a compression that is not built in.
pub fn decompress(body: &[u8], flags: i32, limit: usize) -> Result<Vec<u8>, ProtocolError> {
    if flags & sys_flag::COMPRESSED == 0 {
        return Ok(body.to_vec());
    }
    match flags & sys_flag::COMPRESSION_MASK {
        // Senders before 4.9.4 know no types.
        0 | sys_flag::COMPRESSION_ZLIB => inflate("zlib", ZlibDecoder::new(body), limit),
        sys_flag::COMPRESSION_LZ4 => lz4::decompress(body, limit),
        sys_flag::COMPRESSION_ZSTD => zstandard::decompress(body, limit),
        other => Err(ProtocolError::new(format!(
            "unknown compression {other:#x}"
        ))),
    }
}

/// Everything that a decoder yields, up to `limit` bytes. Claimed sizes are never allocated.
fn inflate(kind: &str, decoder: impl Read, limit: usize) -> Result<Vec<u8>, ProtocolError> {
    let mut result = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder
        .take(most)
        .read_to_end(&mut result)
        .map_err(|e| ProtocolError::new(format!("damaged {kind} body: {e}")))?;
    if result.len() > limit {
        return Err(ProtocolError::new(format!(
            "{kind} body inflates beyond {limit} bytes"
        )));
    }
    Ok(result)
}

#[cfg(feature = "lz4")]
mod lz4 {
    use std::io::{self, Read, Write};

    use lz4_flex::frame::{BlockMode, FrameDecoder, FrameEncoder, FrameInfo};

    use super::ProtocolError;

    pub(super) fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
        // Java's reader takes independent blocks only.
        let info = FrameInfo::new().block_mode(BlockMode::Independent);
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::with_capacity(body.len() / 2));
        encoder.write_all(body)?;
        encoder.finish().map_err(io::Error::other)
    }

    pub(super) fn decompress(body: &[u8], limit: usize) -> Result<Vec<u8>, ProtocolError> {
        super::inflate("LZ4", FrameDecoder::new(Unfinished(body)), limit)
    }

    /// Input whose end is an error: the decoder would take an end between two blocks for the end of
    /// the frame, but it reads nothing after the real end.
    struct Unfinished<'a>(&'a [u8]);

    impl Read for Unfinished<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 if !buffer.is_empty() => Err(io::Error::other("cut short")),
                count => Ok(count),
            }
        }
    }
}

#[cfg(not(feature = "lz4"))]
mod lz4 {
    use super::ProtocolError;

    pub(super) fn decompress(_: &[u8], _: usize) -> Result<Vec<u8>, ProtocolError> {
        Err(super::not_built_in("LZ4", "lz4"))
    }
}

#[cfg(feature = "zstd")]
mod zstandard {
    use super::ProtocolError;

    /// Windows up to 128 MiB (the highest level of a sender that does not know a body's length) are
    /// taken: such memory is reserved, and touched only as far as the body goes.
    pub(super) fn decompress(body: &[u8], limit: usize) -> Result<Vec<u8>, ProtocolError> {
        let decoder = zstd::stream::read::Decoder::with_buffer(body)
            .map_err(|e| ProtocolError::new(format!("damaged zstd body: {e}")))?;
        super::inflate("zstd", decoder, limit)
    }
}

#[cfg(not(feature = "zstd"))]
mod zstandard {
    use super::ProtocolError;

    pub(super) fn decompress(_: &[u8], _: usize) -> Result<Vec<u8>, ProtocolError> {
        Err(super::not_built_in("zstd", "zstd"))
    }
}

#[cfg(not(all(feature = "lz4", feature = "zstd")))]
fn not_built_in(kind: &str, feature: &str) -> ProtocolError {
    ProtocolError::new(format!(
        "the body is compressed with {kind}: to read it, turn on the cargo feature `{feature}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[Compression] = &[
        Compression::Zlib,
        #[cfg(feature = "lz4")]
        Compression::Lz4,
        #[cfg(feature = "zstd")]
        Compression::Zstd,
    ];

    #[test]
    fn every_type_reads_back_at_every_level() {
        let body = b"hello hello hello".repeat(300);
        for kind in ALL {
            for level in [0, 1, 5, 9, 22, u32::MAX] {
                let packed = kind.compress(&body, level).unwrap();
                let read = decompress(&packed, kind.sys_flag(), body.len()).unwrap();
                assert_eq!(read, body, "{kind:?} {level}");
                let shrinks = level > 0 || *kind != Compression::Zlib;
                assert_eq!(packed.len() < body.len(), shrinks, "{kind:?} {level}");
            }
        }
        let old = decompress(&zlib(&body, 5), sys_flag::COMPRESSED, body.len());
        assert_eq!(old.unwrap(), body, "senders before 4.9.4 name no type");
    }

    #[test]
    fn a_bomb_stops_at_the_limit_and_damage_is_an_error() {
        for kind in ALL {
            let flags = kind.sys_flag();
            let bomb = kind.compress(&vec![0; 8 << 20], 9).unwrap();
            let error = decompress(&bomb, flags, 1 << 20).unwrap_err();
            assert!(error.to_string().contains("beyond 1048576"), "{error}");
            assert!(decompress(b"not compressed", flags, 100).is_err());
            assert!(decompress(&bomb[..bomb.len() / 2], flags, 1 << 30).is_err());
        }
        let unknown = sys_flag::COMPRESSED | sys_flag::COMPRESSION_MASK;
        assert!(decompress(b"x", unknown, 100).is_err());
    }

    /// An error at the end would come too late: all the bytes would be in memory.
    #[test]
    fn no_more_is_read_than_what_shows_that_it_is_too_much() {
        let mut endless = io::repeat(0).take(1 << 20);
        let error = inflate("endless", &mut endless, 1000).unwrap_err();
        assert!(error.to_string().contains("beyond 1000"), "{error}");
        assert_eq!((1 << 20) - endless.limit(), 1001);
    }

    #[test]
    fn a_body_that_is_cut_anywhere_is_an_error() {
        let body: Vec<u8> = (0..600u32).flat_map(|i| (i * i).to_le_bytes()).collect();
        for kind in ALL {
            let packed = kind.compress(&body, 5).unwrap();
            for cut in 1..packed.len() {
                let read = decompress(&packed[..cut], kind.sys_flag(), body.len());
                assert!(read.is_err(), "{kind:?} {cut}");
            }
        }
    }

    /// A body as the Java client 5.4.0 compresses it at level 5.
    #[test]
    fn bodies_compressed_by_java_are_read_or_the_feature_is_named() {
        let body = "hello hello hello hello hello hello hello hello";
        for (flags, bytes, feature) in [
            (
                sys_flag::COMPRESSION_ZLIB,
                &b"\x78\x5e\xcb\x48\xcd\xc9\xc9\x57\xc8\x20\x96\x04\x00\xa3\x96\x11\x81"[..],
                None,
            ),
            (
                sys_flag::COMPRESSION_LZ4,
                b"\x04\x22\x4d\x18\x60\x70\x73\x10\0\0\0\x6fhello \x06\0\x11\x50hello\0\0\0\0",
                (!cfg!(feature = "lz4")).then_some("`lz4`"),
            ),
            (
                sys_flag::COMPRESSION_ZSTD,
                b"\x28\xb5\x2f\xfd\0\x58\x64\0\0\x30hello \x01\0\x02\x95\x22\x01\0\0",
                (!cfg!(feature = "zstd")).then_some("`zstd`"),
            ),
        ] {
            let read = decompress(bytes, sys_flag::COMPRESSED | flags, 100);
            match feature {
                None => assert_eq!(read.unwrap(), body.as_bytes(), "{flags:#x}"),
                Some(feature) => {
                    let error = read.unwrap_err().to_string();
                    assert!(error.contains(feature), "{error}");
                }
            }
        }
    }
}
