//! The outcomes of sends that may fail, compared with the stored messages.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rocketmq_blocking::hook::{Payload, SendContext, SendMessageHook, SendOutcome};
use rocketmq_blocking::{Error, MessageQueue, Producer, Result, SendFate, SendReceipt};

use crate::servers::stored::{Place, Stored};
use crate::servers::{PATIENCE, Server, eventually};

/// Outcomes by the text of the body, which no other send has.
#[derive(Default)]
pub struct Ledger {
    outcomes: Mutex<BTreeMap<String, Result<SendReceipt>>>,
    /// For each send, the failed attempts that may have stored a copy, as counted by hooks.
    doubts: Mutex<Option<BTreeMap<String, usize>>>,
}

/// Tells the ledger of failed attempts, those of sends that succeed in the end too.
pub struct Doubts(Arc<Ledger>);

impl SendMessageHook for Doubts {
    fn after(&self, context: &SendContext, outcome: &SendOutcome<'_>) {
        if let (SendOutcome::Failed(error), Payload::Message(message)) = (outcome, &context.payload)
        {
            if error.fate() == SendFate::MaybeStored {
                let text = String::from_utf8_lossy(message.body()).into_owned();
                let mut doubts = self.0.doubts.lock();
                let doubts = doubts.as_mut().expect("this is there");
                *doubts.entry(text).or_default() += 1;
            }
        }
    }
}

/// The result of the comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub acknowledged: usize,
    /// Acknowledged, and not stored at the receipt's place.
    pub missing: usize,
    pub not_sent: usize,
    pub maybe_stored: usize,
    /// Stored messages among the latter.
    pub stored_after_all: usize,
    /// Copies beyond the first one of each message.
    pub more_copies: usize,
}

impl Ledger {
    /// A hook for all producers whose sends are recorded here.
    pub fn doubts(self: &Arc<Self>) -> Doubts {
        self.doubts.lock().get_or_insert_default();
        Doubts(self.clone())
    }

    pub fn note(&self, body: &str, outcome: Result<SendReceipt>) {
        let before = self.outcomes.lock().insert(body.to_owned(), outcome);
        assert!(before.is_none(), "{body}: a second outcome");
    }

    pub fn len(&self) -> usize {
        self.outcomes.lock().len()
    }

    /// Reads the topic back and compares; nothing may be on its way any more.
    #[track_caller]
    pub fn check(&self, server: &Server, producer: &Producer, topic: &str) -> Found {
        let stored = server.read_back(topic, self.settled(producer, topic));
        let mut copies: BTreeMap<String, Vec<&Stored>> = BTreeMap::new();
        for stored in &stored {
            copies.entry(stored.text()).or_default().push(stored);
        }
        let mut found = Found::default();
        let doubts = self.doubts.lock();
        for (body, outcome) in &*self.outcomes.lock() {
            let copies = copies.remove(body).unwrap_or_default();
            found.more_copies += copies.len().saturating_sub(1);
            let most = match outcome {
                Ok(receipt) => {
                    let place = Place::whatever_its_status(receipt);
                    found.acknowledged += 1;
                    let missing = copies.iter().all(|s| s.place() != place);
                    if missing {
                        let places: Vec<Place> = copies.iter().map(|s| s.place()).collect();
                        println!("{body} is not at {place:?} but at {places:?}");
                    }
                    found.missing += usize::from(missing);
                    let doubts = doubts.as_ref();
                    let doubts = doubts.map(|all| all.get(body).copied().unwrap_or(0));
                    doubts.map_or(receipt.attempts() as usize, |doubts| doubts + 1)
                }
                Err(error) => {
                    let attempts = error.attempts().iter().map(|attempt| &attempt.error);
                    let maybe = |error: &Error| error.fate() == SendFate::MaybeStored;
                    found.not_sent += usize::from(!maybe(error));
                    found.maybe_stored += usize::from(maybe(error));
                    found.stored_after_all += usize::from(!copies.is_empty());
                    attempts.filter(|error| maybe(error)).count()
                }
            };
            assert!(
                copies.len() <= most,
                "{body}: {} copies, {outcome:?}",
                copies.len()
            );
        }
        assert!(
            copies.is_empty(),
            "not sent by the test: {:?}",
            copies.keys()
        );
        found
    }

    /// The number of messages of the topic, once it is stable.
    #[track_caller]
    fn settled(&self, producer: &Producer, topic: &str) -> usize {
        let admin = producer.admin();
        let acknowledged = self.acknowledged();
        let patient = Instant::now() + PATIENCE / 2;
        let (mut before, mut same) = (0, 0);
        eventually("everything that was on its way is stored", || {
            // Longer than a broker needs to store the messages that it has read.
            std::thread::sleep(Duration::from_millis(200));
            let queues = admin.publish_queues(topic).unwrap_or_default();
            let counts = queues.iter().map(|queue| admin.max_offset(queue));
            let Ok(counts) = counts.collect::<Result<Vec<i64>>>() else {
                return false;
            };
            let now: i64 = counts.iter().sum();
            same = if now == before { same + 1 } else { 0 };
            before = now;
            // A broker that was away may not be in the route yet, or may count its stored messages
            // late. If it never does, messages are missing.
            let counts: HashMap<_, _> = queues.into_iter().zip(counts).collect();
            let whole = acknowledged.iter().all(|(queue, last)| {
                let count = counts.get(queue);
                count.is_some_and(|count| count > last)
            });
            same >= 5 && (whole || Instant::now() > patient)
        });
        before as usize
    }

    /// The last offset in each queue that a receipt names.
    fn acknowledged(&self) -> HashMap<MessageQueue, i64> {
        let mut last = HashMap::new();
        for receipt in self.outcomes.lock().values().flatten() {
            let highest = last.entry(receipt.queue().clone()).or_insert(0);
            *highest = receipt.queue_offset().max(*highest);
        }
        last
    }
}
