//! Compressed bodies.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::{ProtocolError, sys_flag};

/// Compresses with zlib (RFC 1950), level 0 to 9.
pub fn zlib(body: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(body.len() / 2), Compression::new(level));
    // Writing to memory does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
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
        0 | sys_flag::COMPRESSION_ZLIB => inflate(body, limit),
        other => Err(ProtocolError::new(format!(
            "unknown compression {other:#x}"
        ))),
    }
}

fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, ProtocolError> {
    let mut result = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    ZlibDecoder::new(body)
        .take(most)
        .read_to_end(&mut result)
        .map_err(|e| ProtocolError::new(format!("damaged zlib body: {e}")))?;
    if result.len() > limit {
        return Err(ProtocolError::new(format!(
            "zlib body inflates beyond {limit} bytes"
        )));
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZLIB: i32 = sys_flag::COMPRESSED | sys_flag::COMPRESSION_ZLIB;

    #[test]
    fn zlib_reads_back_with_and_without_the_type_bits() {
        let body = b"hello hello hello".repeat(300);
        let packed = zlib(&body, 5);
        assert!(packed.len() < body.len());
        assert_eq!(decompress(&packed, ZLIB, body.len()).unwrap(), body);
        assert_eq!(
            decompress(&packed, sys_flag::COMPRESSED, body.len()).unwrap(),
            body
        );
    }

    #[test]
    fn a_bomb_stops_at_the_limit_and_damage_is_an_error() {
        let bomb = zlib(&vec![0; 64 << 20], 9);
        assert!(decompress(&bomb, ZLIB, 1 << 20).is_err());
        assert!(decompress(b"not zlib", ZLIB, 100).is_err());
        assert!(decompress(&bomb[..bomb.len() / 2], ZLIB, 1 << 30).is_err());
    }
}
