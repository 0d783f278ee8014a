//! A reader thread's work for each answer to a send: find the frame, and read its header. In JSON
//! as Java's brokers write it, in JSON that only serde reads, and in the binary form.
//!
//! Good: a few ns to split, below 0.3 µs for plain JSON, half of that for binary. Odd JSON takes
//! two to three times as long as plain JSON; if both take as long as that, answers no longer go the
//! fast way.
#![forbid(unsafe_code)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rocketmq_blocking::protocol::{Command, HeaderFormat, frame};
use samples::send_answer;

fn decode(c: &mut Criterion) {
    let (json, binary) = (answer(HeaderFormat::Json), answer(HeaderFormat::Binary));
    let odd = odd(&json);
    let mut group = c.benchmark_group("decode an answer");
    for (name, bytes) in [("json", json), ("json, odd", odd), ("binary", binary)] {
        assert!(read(&bytes) == send_answer(), "{name} differs");
        group.bench_function(format!("{name}, split only"), |b| {
            b.iter(|| black_box(frame::split(black_box(&bytes)).is_ok()));
        });
        group.bench_function(name, |b| b.iter(|| black_box(read(black_box(&bytes)))));
    }
}

fn read(bytes: &[u8]) -> Command {
    let raw = frame::split(bytes).expect("a frame").expect("a whole one");
    Command::decode(raw).expect("a header")
}

fn answer(format: HeaderFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    send_answer().encode(format, &mut bytes);
    bytes
}

/// The same answer with a remark that is null, which the fast way of reading leaves to serde.
fn odd(json: &[u8]) -> Vec<u8> {
    let header = std::str::from_utf8(&json[8..]).expect("JSON");
    let header = header.replacen("\"opaque\"", "\"remark\":null,\"opaque\"", 1);
    let len = u32::try_from(header.len()).expect("a short header");
    [
        &(len + 4).to_be_bytes()[..],
        &len.to_be_bytes(),
        header.as_bytes(),
    ]
    .concat()
}

criterion_group!(benches, decode);
criterion_main!(benches);
