//! The bits of a message's system flag (Java's `MessageSysFlag`).

/// The body is compressed.
pub const COMPRESSED: i32 = 0x1;
/// The first half of a transaction: stored, but not shown to consumers.
pub const TRANSACTION_PREPARED: i32 = 0x4;
/// A committed transaction.
pub const TRANSACTION_COMMIT: i32 = 0x8;
/// A rolled back transaction; also the mask of the two-bit transaction field.
pub const TRANSACTION_ROLLBACK: i32 = 0xC;
/// The sender's address is an IPv6 one.
pub const BORN_HOST_V6: i32 = 0x10;
/// The broker's address is an IPv6 one.
pub const STORE_HOST_V6: i32 = 0x20;
/// The body of a stored message is a batch that consumers take apart, if [`INNER_BATCH`] is set too.
pub const NEED_UNWRAP: i32 = 0x40;
/// The message was stored as one for several.
pub const INNER_BATCH: i32 = 0x80;
/// Bits that name the compression; zero means zlib too (senders before 5.0).
pub const COMPRESSION_MASK: i32 = 0x700;
/// LZ4 in its frame format.
pub const COMPRESSION_LZ4: i32 = 0x100;
/// Zstandard.
pub const COMPRESSION_ZSTD: i32 = 0x200;
/// zlib (RFC 1950).
pub const COMPRESSION_ZLIB: i32 = 0x300;
