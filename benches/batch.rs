//! Bodies that hold messages: a batch as a producer writes it, and stored messages as they are
//! written and read back.
//!
//! Good: 10 ns per message of a batch, plus the copy of the bodies; below 1 µs for a stored message
//! of 1 KiB.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rocketmq_blocking::protocol::message::{self, Record};
use rocketmq_blocking::protocol::properties;
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
    let properties = properties::encode(PROPERTIES.into_iter());
    let host = ([10, 0, 0, 1], 10911).into();
    let record = Record {
        topic: TOPIC,
        body: &[b'x'; 1024],
        properties: &properties,
        flag: 0,
        sys_flag: 0,
        queue_id: 0,
        queue_offset: 0,
        commit_log_offset: 0,
        born_timestamp: 0,
        born_host: host,
        store_timestamp: 0,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
    };
    let mut stored = Vec::new();
    record.encode(&mut stored).expect("short parts");
    let stored = Arc::new(stored);
    let mut group = c.benchmark_group("a stored message");
    group.bench_function("encode", |b| {
        let mut out = Vec::new();
        b.iter(|| {
            out.clear();
            black_box(&record).encode(&mut out).expect("short parts");
            black_box(&out);
        });
    });
    group.bench_function("decode", |b| {
        b.iter(|| {
            let view = message::decode(Arc::clone(black_box(&stored)), 0).expect("a message");
            black_box(view.tag().map(str::len))
        });
    });
}

criterion_group!(benches, batches, stored);
criterion_main!(benches);
