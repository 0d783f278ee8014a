//! `transaction/TransactionProducer`: no local transaction reports its end, so the broker must
//! check. The check answers, in turn: still unknown, committed, rolled back.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, TransactionProducer, TransactionState};

const TOPIC: &str = "TopicTest1234";
const COUNT: usize = 9;
const PATIENCE: Duration = Duration::from_secs(3);
const ENDS: [TransactionState; 3] = [
    TransactionState::Unknown,
    TransactionState::Commit,
    TransactionState::Rollback,
];

pub fn run(name_server: &str, cluster: Option<&Cluster>) -> Result<(), Box<dyn Error>> {
    // Java's listener: what became of each local transaction, by its id.
    let ends = Arc::new(Mutex::new(HashMap::new()));
    let known = ends.clone();
    let producer = TransactionProducer::builder("transaction_group", move |half| {
        let id = half.unique_key().unwrap_or_default();
        let state = known.lock().get(id).copied();
        let state = state.unwrap_or(TransactionState::Unknown);
        let what = String::from_utf8_lossy(half.body());
        println!("asked about {what}: {state}");
        state
    })
    .name_server(name_server)
    .check_threads(2)
    .start()?;

    let mut ids = Vec::new();
    for (i, end) in (0..COUNT).zip(ENDS.into_iter().cycle()) {
        let message = Message::new(TOPIC, format!("payment {i}")).key(format!("KEY{i}"));
        let receipt = producer.send_in_transaction(&message, |half| {
            ends.lock().insert(half.transaction_id().to_owned(), end);
            Ok(TransactionState::Unknown)
        })?;
        println!("{receipt}");
        ids.push(receipt.transaction_id().to_owned());
    }

    let Some(cluster) = cluster else {
        println!("waiting a minute for the broker's questions");
        thread::sleep(Duration::from_secs(60));
        return Ok(());
    };
    cluster.check_transactions();
    for id in ids {
        cluster.wait_for_end(&id, 2, PATIENCE); // by the local transaction, and by the check
    }
    println!("consumers see {} messages", cluster.messages(TOPIC).len());
    Ok(())
}
