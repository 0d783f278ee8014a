//! Messages that consumers see only if a payment went through.
//!
//! ```text
//! cargo run --example transaction
//! cargo run --example transaction -- --name-server 127.0.0.1:9876
//! ```
//!
//! It prints how each transaction ended, the broker's checks, and the messages that consumers see
//! before and after them. The broker inside this process checks on demand, a real one by its clock.

#[path = "common/example.rs"]
mod example;

use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Parser;
use parking_lot::Mutex;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, TransactionProducer, TransactionState};

/// Sends four messages in transactions: paid, refused, interrupted, and without an answer
#[derive(Parser)]
#[command(name = "transaction")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,

    /// With real ones: how long to wait for the broker's checks
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    patience: u64,
}

const TOPIC: &str = "Paid";

/// The state of each payment. A real program asks its database.
type Ledger = Arc<Mutex<HashMap<String, TransactionState>>>;

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let (name_server, cluster) = args.servers.given_or(Cluster::builder())?;
    let ledger = Ledger::default();

    // The broker checks transactions whose end it does not know. The transaction's id is the half
    // message's unique key. Any process of the group may get the check.
    let known = ledger.clone();
    let payments = TransactionProducer::builder("payments", move |half| {
        let id = half.unique_key().unwrap_or_default();
        let state = known.lock().get(id).copied();
        let state = state.unwrap_or(TransactionState::Unknown);
        println!(
            "asked   {} -> {state}",
            String::from_utf8_lossy(half.body())
        );
        state
    })
    .name_server(&name_server)
    .start()?;

    for order in ["order 1", "order 2", "order 3", "order 4"] {
        // The broker has stored the message when the closure runs; consumers do not see it yet.
        let receipt = payments.send_in_transaction(&Message::new(TOPIC, order), |half| {
            let state = pay(half.message().body(), half.transaction_id(), &ledger)?;
            Ok(state)
        })?;
        println!("sent    {order}: {}", receipt.state());
        if let Some(error) = receipt.error() {
            println!("        {error}");
        }
    }

    match cluster {
        Some(cluster) => {
            cluster.wait_for_messages(TOPIC, 1, Duration::from_secs(3));
            println!("visible {:?}", visible(&cluster));
            // Real brokers do this by the clock: after 6 s, then every 30 s, unless configured.
            println!("the broker asks about {}", cluster.check_transactions());
            cluster.wait_for_messages(TOPIC, 3, Duration::from_secs(3));
            println!("visible {:?}", visible(&cluster));
        }
        None => {
            println!("waiting {} s for the broker to ask", args.patience);
            thread::sleep(Duration::from_secs(args.patience));
        }
    }
    payments.shutdown();
    Ok(())
}

/// The local transaction: it must be known to the check before it returns.
fn pay(order: &[u8], id: &str, ledger: &Ledger) -> Result<TransactionState, std::io::Error> {
    let note = |state| ledger.lock().insert(id.to_owned(), state);
    match order {
        b"order 2" => {
            note(TransactionState::Rollback);
            Ok(TransactionState::Rollback)
        }
        // The payment succeeded, but its answer was lost: the check finds out.
        b"order 3" => {
            note(TransactionState::Commit);
            Err(std::io::Error::other("the bank hung up"))
        }
        b"order 4" => {
            note(TransactionState::Commit);
            Ok(TransactionState::Unknown)
        }
        _ => {
            note(TransactionState::Commit);
            Ok(TransactionState::Commit)
        }
    }
}

fn visible(cluster: &Cluster) -> Vec<String> {
    let messages = cluster.messages(TOPIC).into_iter();
    messages
        .map(|message| String::from_utf8_lossy(&message.body()).into_owned())
        .collect()
}
