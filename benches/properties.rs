//! The text form of a message's properties: written once a send, read once for each message that is
//! looked up.
//!
//! Good: below 50 ns to write, which is copying and nothing else; below 0.5 µs to read, which
//! allocates a name and a value for each of six.
#![forbid(unsafe_code)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rocketmq_blocking::protocol::properties;
use samples::PROPERTIES;

fn text_form(c: &mut Criterion) {
    let text = properties::encode(PROPERTIES.into_iter());
    let mut group = c.benchmark_group("properties");
    // As in a send: into a reused buffer.
    let mut buffer = String::new();
    group.bench_function("encode", |b| {
        b.iter(|| {
            buffer.clear();
            properties::append(black_box(PROPERTIES).into_iter(), &mut buffer);
            black_box(&buffer);
        });
    });
    group.bench_function("decode", |b| {
        b.iter(|| black_box(properties::decode(black_box(&text))));
    });
}

criterion_group!(benches, text_form);
criterion_main!(benches);
