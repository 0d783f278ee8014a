//! Sends each message in the chosen mode.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use std::{io, iter};

use rocketmq_blocking::client::ShutdownReport;
use rocketmq_blocking::{Batch, Error, Message, Producer, TransactionProducer};

use crate::args::{Args, Mode};
use crate::input::Records;
use crate::report::{Outcome, Report, Stored};

/// The most bytes in a batch: as large as a message may be.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// A producer of either kind.
pub enum Sender {
    Plain(Producer),
    Transactions(TransactionProducer),
}

impl Sender {
    pub fn start(args: &Args, name_server: Option<&str>) -> Result<Sender, Error> {
        let settings = &args.settings;
        match args.mode {
            Mode::Transaction => {
                let started = settings.transactions(name_server).start();
                started.map(Sender::Transactions)
            }
            _ => settings.producer(name_server).start().map(Sender::Plain),
        }
    }

    /// Waits for what is in flight, and closes the producer.
    pub fn finish(&self, timeout: Duration) -> ShutdownReport {
        let producer = match self {
            Sender::Plain(producer) => producer,
            Sender::Transactions(transactions) => transactions.producer(),
        };
        if let Err(error) = producer.flush(timeout) {
            eprintln!("produce: still in flight: {error}");
        }
        producer.shutdown_within(Duration::from_secs(5))
    }

    /// Returns when every message is reported; an error if the input could not be read to its end.
    pub fn send_all(&self, args: &Args, records: Records, report: &Arc<Report>) -> io::Result<()> {
        match self {
            Sender::Transactions(producer) => in_transactions(producer, args, records, report),
            Sender::Plain(producer) => match args.mode {
                Mode::Batch => in_batches(producer, args, records, report),
                _ => one_by_one(producer, args, records, report),
            },
        }
    }
}

fn one_by_one(
    producer: &Producer,
    args: &Args,
    records: Records,
    report: &Arc<Report>,
) -> io::Result<()> {
    // Every callback holds a sender and never uses it: when the last is gone, all have run.
    let (running, all_ran) = mpsc::channel::<()>();
    let mut end = Ok(());
    for (index, record) in records.enumerate() {
        let message = match record {
            Ok(record) => args.message(record),
            Err(error) => {
                end = Err(error);
                break;
            }
        };
        let bytes = message.body().len();
        let start = Instant::now();
        let send = args.aim(producer.prepare(&message));
        match args.mode {
            Mode::Async => {
                let (report, running) = (report.clone(), running.clone());
                send.send_async(move |result| {
                    report.add(index, bytes, start.elapsed(), result.map(Outcome::stored));
                    drop(running);
                });
            }
            Mode::Oneway => {
                let result = send.send_oneway().map(|()| Outcome::Accepted);
                report.add(index, bytes, start.elapsed(), result);
            }
            _ => {
                let result = send.send().map(Outcome::stored);
                report.add(index, bytes, start.elapsed(), result);
            }
        }
    }
    drop(running);
    let _ = all_ran.recv();
    end
}

fn in_transactions(
    producer: &TransactionProducer,
    args: &Args,
    records: Records,
    report: &Report,
) -> io::Result<()> {
    for (index, record) in records.enumerate() {
        let message = args.message(record?);
        let bytes = message.body().len();
        let start = Instant::now();
        let result = producer.send_in_transaction(&message, |_| Ok(args.end()));
        let result = result.map(|receipt| Outcome::Stored(Stored::in_transaction(&receipt)));
        report.add(index, bytes, start.elapsed(), result);
    }
    Ok(())
}

fn in_batches(
    producer: &Producer,
    args: &Args,
    records: Records,
    report: &Report,
) -> io::Result<()> {
    let (mut first, mut end) = (0, Ok(()));
    let records = records.map_while(|record| record.map_err(|error| end = Err(error)).ok());
    let mut records = records.fuse();
    loop {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while chunk.len() < args.batch_size() && bytes < BATCH_BYTES {
            let Some(record) = records.next() else { break };
            bytes += record.body.len();
            chunk.push(args.message(record));
        }
        if chunk.is_empty() {
            break;
        }
        let after = first + chunk.len();
        send_chunk(producer, args, first, chunk, report);
        first = after;
    }
    drop(records);
    end
}

/// Sends messages, of which the first has this index, as one batch; as several if they are too
/// large for one. A message that no batch can hold is sent, or fails, as a single message.
fn send_chunk(
    producer: &Producer,
    args: &Args,
    first: usize,
    chunk: Vec<Message>,
    report: &Report,
) {
    let mut indexes: Vec<usize> = (first..first + chunk.len()).collect();
    let mut batches = Vec::new();
    for item in Batch::split(chunk, BATCH_BYTES) {
        match item {
            Ok(batch) => batches.push(batch),
            Err(alone) => {
                let index = first + alone.index();
                let bytes = alone.message().body().len();
                indexes.retain(|other| *other != index);
                let start = Instant::now();
                let result = args.aim(producer.prepare(alone.message())).send();
                report.add(index, bytes, start.elapsed(), result.map(Outcome::stored));
            }
        }
    }
    for batch in batches {
        let start = Instant::now();
        let result = args.aim(producer.prepare_batch(&batch)).send();
        let took = start.elapsed();
        let results: Vec<Result<Outcome, Error>> = match result {
            Ok(receipt) => {
                let stored = Stored::each_of_batch(receipt).into_iter();
                stored.map(|stored| Ok(Outcome::Stored(stored))).collect()
            }
            Err(error) => iter::repeat_n(error, batch.messages().len())
                .map(Err)
                .collect(),
        };
        let indexes = indexes.drain(..batch.messages().len());
        for ((index, message), result) in indexes.zip(batch.messages()).zip(results) {
            report.add(index, message.body().len(), took, result);
        }
    }
}
