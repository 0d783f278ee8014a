//! Writing the header of a send, in both forms: by an encoder that wrote a similar one before (as
//! every sending thread has), and by a new one.
//!
//! Good: below 0.2 µs like the last, below 0.4 µs as the first: a thread that sends a million
//! messages a second has one microsecond for all of each. The binary form remembers nothing, so
//! that both of its figures should be the same.
#![forbid(unsafe_code)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rocketmq_blocking::protocol::frame::{self, Encoder};
use rocketmq_blocking::protocol::properties;
use samples::{FORMATS, PROPERTIES, send_head, send_header};

const BODY: usize = 1024;

fn encode(c: &mut Criterion) {
    let properties = properties::encode(PROPERTIES.into_iter());
    let fields = send_header(&properties);
    let mut out = Vec::new();
    let mut group = c.benchmark_group("encode a send");
    for (name, format) in FORMATS {
        let head = send_head(format);
        let mut encoder = Encoder::default();
        group.bench_function(format!("{name}, like the last"), |b| {
            b.iter(|| {
                out.clear();
                encoder.encode_send(
                    black_box(&head),
                    black_box(&fields),
                    false,
                    &(),
                    BODY,
                    &mut out,
                );
                black_box(&out);
            });
        });
        group.bench_function(format!("{name}, the first"), |b| {
            b.iter(|| {
                out.clear();
                frame::encode_head(black_box(&head), black_box(&fields), BODY, &mut out);
                black_box(&out);
            });
        });
    }
}

criterion_group!(benches, encode);
criterion_main!(benches);
