//! The choice of a queue: building the queue list of a route (once per refresh), and choosing from
//! it (once per attempt).
//!
//! Good: about 10 ns a choice, the same for 8 queues as for 10,000, also where a broker is avoided;
//! about 0.1 µs a queue for the list.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use rocketmq_blocking::internals::PublishInfo;
use samples::TOPIC;

/// Brokers, and queues of each.
const ROUTES: [(usize, i32); 3] = [(2, 4), (4, 25), (100, 100)];

fn queues(c: &mut Criterion) {
    let topic: Arc<str> = TOPIC.into();
    let mut group = c.benchmark_group("queues");
    for (brokers, each) in ROUTES {
        let route = samples::route(brokers, each);
        let info = PublishInfo::new(&topic, &route);
        let all = info.queues().len();
        group.bench_function(format!("list, {all}"), |b| {
            b.iter(|| black_box(PublishInfo::new(&topic, black_box(&route))));
        });
        group.bench_function(format!("round robin, {all}"), |b| {
            b.iter(|| black_box(info.round_robin(None)));
        });
        group.bench_function(format!("round robin without a broker, {all}"), |b| {
            b.iter(|| black_box(info.round_robin(black_box(Some("broker-1")))));
        });
        group.bench_function(format!("by key, {all}"), |b| {
            b.iter(|| black_box(info.by_key(black_box("OrderID188"))));
        });
    }
}

criterion_group!(benches, queues);
criterion_main!(benches);
