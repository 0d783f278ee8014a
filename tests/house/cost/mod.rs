//! The cost of a message: allocations, bytes kept in flight, `write` calls. These are counts, not
//! times: they are the same on every machine, and a change that makes sending more expensive fails
//! here first.
//!
//! Each in a process of its own, since the allocator counts for the whole process.

mod counting;
mod server;

use std::sync::mpsc;
use std::time::Duration;

use counting::Counted;
use rocketmq_blocking::{Batch, ClientOptions, Message, Producer};
use server::Server;

use crate::support::apart::in_a_process_of_its_own;

/// A build without optimizations on a busy machine takes a while for all the messages of a test.
const PATIENCE: Duration = Duration::from_secs(120);

/// So many messages are sent before anything is counted: buffers have their size then.
const WARM: usize = 2_000;
const MESSAGES: usize = 4_000;

fn producer(server: &Server) -> Producer {
    Producer::builder("counts")
        .name_server(server.address())
        .send_timeout(PATIENCE)
        .options(
            ClientOptions::new()
                .max_in_flight_messages(200_000)
                .max_in_flight_bytes(1 << 30)
                // A heartbeat that is answered late would end the connection.
                .api_timeout(PATIENCE),
        )
        .start()
        .unwrap()
}

fn message(body: usize) -> Message {
    Message::new("Counted", vec![b'a'; body])
}

/// The number of write calls so far, over all connections.
fn writes(producer: &Producer) -> u64 {
    let connections = producer.client().describe().connections;
    connections.iter().map(|connection| connection.writes).sum()
}

/// The cost of `send` per message of 1 KiB: allocations and `write` calls.
#[track_caller]
fn check(name: &str, most_allocations: f64, most_writes: f64, send: impl Fn(&Producer, usize)) {
    let server = Server::start();
    let producer = producer(&server);
    send(&producer, WARM);
    let (before, written) = (Counted::now(), writes(&producer));
    send(&producer, MESSAGES);
    let per_message = |count: u64| count as f64 / MESSAGES as f64;
    let allocations = per_message(Counted::now().allocations - before.allocations);
    let writes = per_message(writes(&producer) - written);
    println!("{name}: {allocations:.2} allocations and {writes:.3} writes per message");
    assert!(allocations <= most_allocations, "{allocations} allocations");
    assert!(writes <= most_writes, "{writes} writes");
}

#[test]
fn a_synchronous_send_is_one_write() {
    in_a_process_of_its_own!();
    // Eight; where the processors are busy with something else, half of one more.
    check("sync", 8.9, 1.001, |producer, messages| {
        for _ in 0..messages {
            let _receipt = producer.send(&message(1024)).unwrap();
        }
    });
}

#[test]
fn synchronous_sends_of_many_threads_share_writes() {
    in_a_process_of_its_own!();
    check("sync, 16 threads", 9.5, 0.8, |producer, messages| {
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..messages / 16 {
                        let _receipt = producer.send(&message(1024)).unwrap();
                    }
                });
            }
        });
    });
}

#[test]
fn asynchronous_sends_leave_in_few_writes() {
    in_a_process_of_its_own!();
    // As many at once as the free list holds: the number that has ended when the next one begins
    // depends on the machine.
    const AT_ONCE: usize = 500;
    check("async", 9.5, 0.75, |producer, messages| {
        let (done, all) = mpsc::sync_channel(AT_ONCE);
        for _ in 0..messages / AT_ONCE {
            for _ in 0..AT_ONCE {
                let done = done.clone();
                producer.send_async(message(1024), move |result| {
                    done.send(result.is_ok()).unwrap();
                });
            }
            let stored = all.iter().take(AT_ONCE).filter(|ok| *ok).count();
            assert_eq!(stored, AT_ONCE);
        }
    });
}

#[test]
fn oneway_messages_leave_in_few_writes() {
    in_a_process_of_its_own!();
    check("oneway", 5.4, 0.75, |producer, messages| {
        for _ in 0..messages {
            producer.send_oneway(&message(1024)).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    });
}

#[test]
fn a_batch_is_one_write_and_costs_each_message_little() {
    const BATCH: usize = 32;
    in_a_process_of_its_own!();
    check("batch of 32", 3.6, 0.04, |producer, messages| {
        for _ in 0..messages / BATCH {
            let batch = Batch::new((0..BATCH).map(|_| message(1024))).unwrap();
            let _receipt = producer.send_batch(&batch).unwrap();
        }
    });
}

#[test]
fn a_message_in_flight_keeps_little_memory() {
    const IN_FLIGHT: usize = 100_000;
    const BODY: usize = 128;
    in_a_process_of_its_own!();
    let server = Server::start();
    let producer = producer(&server);
    let _connected = producer.send(&message(BODY)).unwrap();
    server.answer_no_sends();
    let before = Counted::now();
    for _ in 0..IN_FLIGHT {
        producer.send_async(message(BODY), |_| ());
    }
    let connection = || {
        let connections = producer.client().describe().connections;
        connections.into_iter().max_by_key(|c| c.in_flight).unwrap()
    };
    // The buffers of the writer thread are freed when everything is written.
    while connection().queued_bytes > 0 {
        std::thread::yield_now();
    }
    let kept = Counted::now().bytes - before.bytes;
    let mib = kept as f64 / f64::from(1 << 20);
    let each = kept / IN_FLIGHT as i64;
    println!("{IN_FLIGHT} messages of {BODY} bytes in flight: {mib:.1} MiB, {each} bytes each");
    assert!(each <= 790, "{each} bytes for each");
    assert!(connection().in_flight >= IN_FLIGHT);
    server.end();
}
