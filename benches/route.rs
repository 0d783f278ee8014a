//! Reading the route of a topic, as a name server answers it.
//!
//! Good: about 0.5 µs a broker, however many there are. A route is read twice a minute, so that
//! even much more would not be felt, unless it grew faster than the route.
#![forbid(unsafe_code)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rocketmq_blocking::protocol::route::TopicRoute;

const QUEUES: i32 = 25;

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode a route");
    for brokers in [4, 100] {
        let body = samples::route(brokers, QUEUES).encode();
        group.throughput(Throughput::Bytes(body.len() as u64));
        let id = BenchmarkId::from_parameter(format!("{brokers} brokers"));
        group.bench_function(id, |b| {
            b.iter(|| black_box(TopicRoute::decode(black_box(&body)).expect("a route")));
        });
    }
}

criterion_group!(benches, decode);
criterion_main!(benches);
