//! Mutations of inputs: near-valid bytes more often than plain nonsense.

use crate::random::Random;

/// Inputs do not grow beyond this, but for the few that are made long on purpose.
const MOST: usize = 64 * 1024;

/// Bytes with a meaning in one of the forms, or at the edge of one.
const BYTES: &[u8] = b"\x00\x01\x02\x7f\x80\xff\"\\{}[]:,-0 \n";

/// Pieces of JSON, and of the text forms.
const PIECES: &[&[u8]] = &[
    b"null",
    b"-1",
    b"1e999",
    b"9223372036854775808",
    b"\"\"",
    b"{}",
    b"[]",
    b"[[[[[[[[",
    b"{\"a\":",
    b"\\ud800",
    b"\\u0000",
    b"\"a\":\"b\",",
    b"\"brokerName\":\"b\",",
    b"{\"brokerName\":\"b\"},",
    b"{\"brokerName\":\"b\",\"brokerAddrs\":{0:\"a:1\"}},",
    b"\"extFields\":{",
    b"\x01",
    b"a\x01b\x02",
    b"\xed\xa0\x80",
];

/// Changes an input in some places. `others` lend parts of themselves.
pub fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        once(bytes, others, random);
        bytes.truncate(MOST);
    }
}

fn once(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(12) {
        0 | 1 => change(bytes, at, |byte| byte ^ (1 << random.below(8))),
        2 => change(bytes, at, |_| BYTES[random.below(BYTES.len())]),
        3 => change(bytes, at, |_| random.next() as u8),
        4 | 5 => overwrite(bytes, at, random),
        6 => bytes.truncate(at),
        7 => {
            let end = (at + random.below(32)).min(bytes.len());
            bytes.drain(at..end);
        }
        8 => {
            let piece = random.pick(PIECES);
            insert(bytes, at, piece);
        }
        9 => {
            let other = &others[random.below(others.len())];
            let start = random.below(other.len());
            let end = (start + 1 + random.below(other.len())).min(other.len());
            insert(bytes, at, &other[start..end]);
        }
        10 => {
            let end = (at + 1 + random.below(64)).min(bytes.len());
            let part = bytes[at..end].to_vec();
            insert(bytes, at, &part);
        }
        _ => repeat(bytes, at, random),
    }
}

fn change(bytes: &mut [u8], at: usize, change: impl FnOnce(u8) -> u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = change(*byte);
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    bytes.splice(at..at, part.iter().copied());
}

/// Writes a number in the form of a length.
fn overwrite(bytes: &mut [u8], at: usize, random: &mut Random) {
    let len = bytes.len() as u32;
    let near = len.wrapping_sub(at as u32);
    let edges = [
        0,
        1,
        0x7f,
        0x7fff,
        0x8000,
        0xffff,
        0x00ff_ffff,
        0x00ff_fffc,
        0x0100_0000,
        0x7fff_ffff,
        0x8000_0000,
        u32::MAX,
        len,
        near,
        near.wrapping_sub(4),
        near.wrapping_add(1),
        random.next() as u32,
    ];
    let number = edges[random.below(edges.len())].to_be_bytes();
    let width = [1, 2, 3, 4, 4][random.below(5)];
    // The position of a length: often in the first bytes.
    let at = if random.below(2) == 0 { at % 12 } else { at };
    for (to, from) in bytes.iter_mut().skip(at).zip(&number[4 - width..]) {
        *to = *from;
    }
}

/// Many copies of a part, or of a piece.
fn repeat(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let end = (at + 1 + random.below(48)).min(bytes.len());
    let part = match random.below(2) {
        0 => random.pick(PIECES),
        _ => &bytes[at..end],
    };
    let most = [16, 256, MOST][random.below(3)];
    let copies = 1 + random.below(most / part.len().max(1));
    let many = part.repeat(copies);
    insert(bytes, at, &many);
}
