//! Bodies that hold messages: a batch as a producer writes it, and stored messages as they are
//! written and read back.
//!
//! Good: 10 ns a message of a batch, and what it takes to copy the bodies; below 1 µs for a stored
//! message of 1 KiB.
#![forbid(unsafe_code)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rocketmq_blocking::protocol::{message, properties};
use samples::{PROPERTIES, TOPIC};

const MESSAGES: usize = 100;

fn batches(c: &mut Criterion) {
    let properties = properties::encode(PROPERTIES.into_iter());
    let mut group = c.benchmark_group("a batch of 100");
    for size in [128, 1024] {
        let body = vec![b'x'; size];
        let mut out = Vec::new();
        group.throughput(Throughput::Elements(MESSAGES as u64));
        group.bench_function(format!("encode, {size} bytes each"), |b| {
            b.iter(|| {
                out.clear();
                for _ in 0..MESSAGES {
                    message::encode_batch_entry(0, black_box(&body), &properties, &mut out)
                        .expect("short parts");
                }
                black_box(&out);
            });
        });
        group.bench_function(format!("decode, {size} bytes each"), |b| {
            b.iter(|| {
                black_box(
                    message::decode_batch(black_box(&out))
                        .expect("a batch")
                        .len(),
                )
            });
        });
    }
}

fn stored(c: &mut Criterion) {
    let stored = stored_message();
    let view = message::decode(&stored, stored.len()).expect("a message");
    let written = message::encode(&view, &view.body).expect("short parts");
    assert_eq!(written.len(), stored.len());
    let mut group = c.benchmark_group("a stored message");
    group.bench_function("encode", |b| {
        b.iter(|| black_box(message::encode(black_box(&view), &view.body)));
    });
    group.bench_function("decode", |b| {
        b.iter(|| black_box(message::decode(black_box(&stored), stored.len())));
    });
}

/// As a broker stores it; only a decoder makes a [`MessageView`](rocketmq_blocking::MessageView).
fn stored_message() -> Vec<u8> {
    let (topic, body) = (TOPIC.as_bytes(), [b'x'; 1024]);
    let properties = properties::encode(PROPERTIES.into_iter());
    let body_len = body.len() as i32;
    let host = [10, 0, 0, 1, 0, 0, 42, 159];
    let magic = -626_843_481_i32;
    let mut rest = magic.to_be_bytes().to_vec();
    // Checksum, queue, flag; offsets in the queue and the log; system flag; when and where it was born
    // and stored; how often given back; offset of its half.
    rest.extend([0; 12 + 16 + 4 + 8]);
    rest.extend(host);
    rest.extend([0; 8]);
    rest.extend(host);
    rest.extend([0; 4 + 8]);
    rest.extend(body_len.to_be_bytes());
    rest.extend(body);
    rest.push(topic.len() as u8);
    rest.extend(topic);
    rest.extend((properties.len() as u16).to_be_bytes());
    rest.extend(properties.bytes());
    let total = 4 + rest.len() as u32;
    [&total.to_be_bytes()[..], &rest].concat()
}

criterion_group!(benches, batches, stored);
criterion_main!(benches);
