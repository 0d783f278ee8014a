// The program and what the tests share, as `docs/testing.md` shows it in pieces: each test of that page
// includes this file, and a test of the suite compares the two.

use rocketmq_blocking::{SendFate, Message, Producer, Result};

pub struct Order {
    pub id: u64,
    pub item: String,
    pub shop: String,
}

#[derive(Debug, PartialEq)]
pub enum Placed {
    Accepted,
    /// No broker has it: the customer may order again.
    Refused,
    /// A broker may have it: do not place it again before that is known.
    InDoubt,
}

pub struct OrderService {
    producer: Producer,
}

impl OrderService {
    pub fn new(producer: Producer) -> OrderService {
        OrderService { producer }
    }

    pub fn place(&self, order: &Order) -> Placed {
        let message = Message::new("Orders", order.item.as_str())
            .tag("placed")
            .key(order.id.to_string())
            .property("shop", order.shop.as_str());
        match self.producer.send(&message) {
            Ok(_receipt) => Placed::Accepted,
            Err(error) if error.fate() == SendFate::NotSent => Placed::Refused,
            Err(_) => Placed::InDoubt,
        }
    }

    /// Reminds the customer half an hour later.
    pub fn remind(&self, order: &Order) -> Result<()> {
        let half_an_hour = std::time::Duration::from_secs(30 * 60);
        let message = Message::new("Reminders", order.item.as_str()).deliver_after(half_an_hour);
        self.producer.send(&message).map(drop)
    }
}

use std::time::Duration;

use rocketmq_blocking::producer::ProducerBuilder;
use rocketmq_blocking::embedded::{Cluster, Fault, Gate, On};

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

fn producer(cluster: &Cluster) -> ProducerBuilder {
    Producer::builder("orders").name_server(cluster.name_server())
}

fn order(id: u64) -> Order {
    Order {
        id,
        item: "a book".to_owned(),
        shop: "north".to_owned(),
    }
}

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use rocketmq_blocking::transaction::TransactionReceipt;
use rocketmq_blocking::{MessageView, TransactionProducer, TransactionState};

/// The transactions whose payment is booked: your database. (No code panics while holding the lock, so
/// unwrapping it is right.)
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<HashSet<String>>>);

impl Ledger {
    pub fn book(&self, id: &str) {
        self.0.lock().unwrap().insert(id.to_owned());
    }

    pub fn forget(&self, id: &str) {
        self.0.lock().unwrap().remove(id);
    }

    pub fn has(&self, id: &str) -> bool {
        self.0.lock().unwrap().contains(id)
    }
}

pub type BankError = Box<dyn std::error::Error + Send + Sync>;

pub struct PaymentService {
    producer: TransactionProducer,
    ledger: Ledger,
}

impl PaymentService {
    pub fn start(name_server: &str, ledger: Ledger) -> Result<PaymentService> {
        let asked = ledger.clone();
        let check = move |half: &MessageView| match half.unique_key() {
            Some(id) if asked.has(id) => TransactionState::Commit,
            _ => TransactionState::Rollback,
        };
        let builder = TransactionProducer::builder("payments", check);
        let producer = builder.name_server(name_server).start()?;
        Ok(PaymentService { producer, ledger })
    }

    /// `pay` moves the money.
    pub fn pay(
        &self,
        order: &Order,
        pay: impl FnOnce() -> std::result::Result<(), BankError>,
    ) -> Result<TransactionReceipt> {
        let message = Message::new("Paid", order.item.as_str()).key(order.id.to_string());
        self.producer.send_in_transaction(&message, |half| {
            self.ledger.book(half.transaction_id());
            pay()?;
            Ok(TransactionState::Commit)
        })
    }
}
