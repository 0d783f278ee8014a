//! Members that come, go and die, and brokers that die, while messages are sent and consumed. What happens
//! next depends on how many messages are done, and not on the time.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rocketmq_blocking::{Message, MessageQueue, Producer, SendHandle};

use super::check::History;
use super::member::{Member, Settings};
use super::record::{Outcome, Place, Queue, Record, What, keep, now};

/// Brokers that can be killed.
pub trait Servers {
    fn kill(&mut self, broker: &str);
    /// Starts it again on its old port, and returns once producers can use it.
    fn restart(&mut self, broker: &str);
}

/// A run.
pub struct Setup {
    pub name: String,
    /// What a member is told, but for its name.
    pub settings: Settings,
    /// At least so many are sent; the sender ends after the last thing that happens.
    pub messages: usize,
    pub per_second: u32,
    /// Only a failing run waits this long for one thing.
    pub patience: Duration,
}

/// All that was written down, and a way to wait for it.
#[derive(Default)]
struct Book {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    records: Vec<Record>,
    done: BTreeSet<u64>,
    /// Those that are stored and not done.
    open: BTreeSet<u64>,
    all_sent: bool,
    assigned: HashMap<String, Vec<Queue>>,
    /// Who had the last message of each queue.
    last: HashMap<Queue, String>,
}

impl Book {
    fn write(&self, record: Record) {
        let mut state = self.state.lock();
        match &record.what {
            What::Outcome {
                enter,
                outcome: Outcome::Done,
            } => {
                state.done.insert(enter.key);
                state.open.remove(&enter.key);
            }
            What::Stored { key, .. } if !state.done.contains(key) => drop(state.open.insert(*key)),
            What::Enter(enter) => {
                let member = enter.member.clone();
                state.last.insert(enter.place.queue.clone(), member);
            }
            What::Assigned { member, queues } => {
                state.assigned.insert(member.clone(), queues.clone());
            }
            What::Killed { member } | What::Left { member, .. } => {
                state.assigned.remove(member);
            }
            _ => {}
        }
        state.records.push(record);
        self.changed.notify_all();
    }

    fn note(&self, what: What) {
        self.write(Record { at: now(), what });
    }

    #[track_caller]
    fn wait(&self, what: &str, patience: Duration, mut is_so: impl FnMut(&State) -> bool) {
        let end = Instant::now() + patience;
        let mut state = self.state.lock();
        while !is_so(&state) {
            let timed_out = self.changed.wait_until(&mut state, end).timed_out();
            if timed_out {
                keep("ledger-failed", &state.records);
            }
            assert!(
                !timed_out,
                "not within {patience:?}: {what}; {} are done, {:?}",
                state.done.len(),
                state.assigned
            );
        }
    }
}

/// The run as it goes.
struct Run<'a> {
    setup: &'a Setup,
    book: Arc<Book>,
    members: Vec<Member>,
    readers: Vec<JoinHandle<()>>,
    queues: Vec<Queue>,
}

/// What happens, to which member or broker.
enum Step {
    Join(usize),
    Leave(usize),
    Kill(usize),
    KillBroker(&'static str),
}

/// After each of them, things settle.
const STEPS: [Step; 10] = [
    Step::Join(5),
    Step::Kill(1),
    Step::Leave(2),
    Step::KillBroker("broker-a"),
    Step::Join(6),
    Step::Leave(3),
    Step::KillBroker("broker-b"),
    Step::Kill(4),
    Step::Join(7),
    Step::Leave(5),
];

/// Plays a run of 3 joins, 3 clean ends, 2 killed members and 2 killed brokers.
pub fn play(setup: &Setup, producer: &Producer, servers: &mut dyn Servers) -> History {
    let topic = &setup.settings.topic;
    let queues = producer.admin().subscribe_queues(topic).expect("a topic");
    let mut run = Run {
        setup,
        book: Arc::default(),
        members: Vec::new(),
        readers: Vec::new(),
        queues: queues.iter().map(Queue::of).collect(),
    };
    let (steps_over, over) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let (_over, _steps_over) = (Over(&over), Over(&steps_over));
        let (book, over, steps_over) = (run.book.clone(), &over, &steps_over);
        scope.spawn(move || {
            let group = &setup.settings.group;
            observe(producer, group, &queues, &book, over);
        });
        for n in 1..=4 {
            run.join(n);
        }
        let book = run.book.clone();
        scope.spawn(move || send(setup, producer, &book, steps_over));
        run.settle();
        for (n, step) in STEPS.iter().enumerate() {
            run.reach(setup.messages * (n + 1) / (STEPS.len() + 2));
            run.step(step, servers);
            run.settle();
        }
        steps_over.store(true, Ordering::SeqCst);
        run.reach_the_end();
    });
    run.end()
}

impl Run<'_> {
    fn step(&mut self, step: &Step, servers: &mut dyn Servers) {
        match step {
            Step::Join(member) => self.join(*member),
            Step::Leave(member) => self.leave(*member),
            Step::Kill(member) => self.kill(*member),
            Step::KillBroker(broker) => self.kill_broker(broker, servers),
        }
    }

    fn join(&mut self, number: usize) {
        self.start(number, format!("member-{number}"));
    }

    fn start(&mut self, number: usize, name: String) {
        let mut settings = self.setup.settings.clone();
        (settings.name, settings.instance) = (name, format!("member-{number}"));
        let mut member = settings.start();
        let output = BufReader::new(member.child.stdout.take().expect("a pipe"));
        let book = self.book.clone();
        self.readers.push(thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The rest is of the test harness.
                if line.starts_with('{') {
                    book.write(serde_json::from_str(&line).expect("a record"));
                }
            }
        }));
        self.members.push(member);
    }

    fn take(&mut self, number: usize) -> Member {
        let prefix = format!("member-{number}");
        let of_it = |member: &Member| member.name.starts_with(&prefix);
        let at = self.members.iter().position(of_it);
        self.members.remove(at.expect("a member"))
    }

    fn leave(&mut self, number: usize) {
        let mut member = self.take(number);
        drop(member.input.take());
        let status = member.child.wait().expect("its end");
        assert!(status.success(), "{status}");
        let is_it = |record: &Record| matches!(&record.what, What::Left { member: name, .. } if *name == member.name);
        self.book.wait("it has left", self.setup.patience, |state| {
            state.records.iter().rev().any(is_it)
        });
    }

    /// A member that needs locks is started again: only so its queues are at work again before the locks
    /// expire, after a minute.
    fn kill(&mut self, number: usize) {
        let mut member = self.take(number);
        member.child.kill().expect("a child");
        member.child.wait().expect("its end");
        let member = member.name;
        self.book.note(What::Killed { member });
        if self.setup.settings.is_ordered {
            self.start(number, format!("member-{number}-again"));
        }
    }

    fn kill_broker(&mut self, broker: &str, servers: &mut dyn Servers) {
        servers.kill(broker);
        let broker = broker.to_owned();
        self.book.note(What::BrokerKilled {
            broker: broker.clone(),
        });
        // The others go on.
        let done = self.book.state.lock().done.len();
        self.reach(done + self.setup.messages / 100);
        servers.restart(&broker);
        self.book.note(What::BrokerBack { broker });
    }

    /// Until every queue has one owner, which is at work.
    #[track_caller]
    fn settle(&self) {
        let is_settled = |state: &State| {
            let owner = |queue: &Queue| {
                let mut owners = state
                    .assigned
                    .iter()
                    .filter(|(_, queues)| queues.contains(queue));
                owners
                    .next()
                    .filter(|_| owners.next().is_none())
                    .map(|(member, _)| member)
            };
            let is_at_work = |queue: &Queue| {
                owner(queue).is_some_and(|member| state.last.get(queue) == Some(member))
            };
            let is_known = |member: &Member| state.assigned.contains_key(&member.name);
            self.members.iter().all(is_known) && self.queues.iter().all(is_at_work)
        };
        self.book
            .wait("every queue has an owner", self.setup.patience, is_settled);
    }

    #[track_caller]
    fn reach(&self, done: usize) {
        self.book
            .wait("messages are done", self.setup.patience, |state| {
                state.done.len() >= done
            });
    }

    #[track_caller]
    fn reach_the_end(&self) {
        let is_over = |state: &State| state.all_sent && state.open.is_empty();
        self.book.wait("all are done", self.setup.patience, is_over);
    }

    fn end(mut self) -> History {
        let mut left: Vec<Member> = self.members.drain(..).collect();
        for member in &mut left {
            drop(member.input.take());
            assert!(member.child.wait().expect("its end").success());
        }
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader");
        }
        let records = std::mem::take(&mut self.book.state.lock().records);
        keep(&self.setup.name, &records);
        History::new(records)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Sends numbered messages, at an even pace.
fn send(setup: &Setup, producer: &Producer, book: &Book, steps_over: &AtomicBool) {
    let mut flying: VecDeque<(u64, SendHandle)> = VecDeque::new();
    let land = |(key, handle): (u64, SendHandle)| {
        // Whether one that failed is stored is not known: it need not come, and may.
        let Ok(receipt) = handle.wait() else { return };
        let queue = Queue::of(receipt.queue());
        let offset = receipt.queue_offset();
        let place = Place { queue, offset };
        book.note(What::Stored { key, place });
    };
    let start = Instant::now();
    for key in 0.. {
        if key >= setup.messages as u64 && steps_over.load(Ordering::SeqCst) {
            break;
        }
        let due = start + Duration::from_secs(key) / setup.per_second;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let message = Message::new(&*setup.settings.topic, key.to_string());
        flying.push_back((key, producer.submit(message)));
        if flying.len() >= 64 {
            land(flying.pop_front().expect("one of them"));
        }
    }
    flying.into_iter().for_each(land);
    book.state.lock().all_sent = true;
    book.changed.notify_all();
}

/// Writes down the offsets that brokers have, as far as they say.
fn observe(
    producer: &Producer,
    group: &str,
    queues: &[MessageQueue],
    book: &Book,
    over: &AtomicBool,
) {
    let admin = producer.admin().timeout(Duration::from_secs(1));
    while !over.load(Ordering::SeqCst) {
        for queue in queues {
            if let Ok(Some(offset)) = admin.committed_offset(group, queue) {
                let queue = Queue::of(queue);
                book.note(What::Offset { queue, offset });
            }
        }
        thread::sleep(Duration::from_millis(200));
    }
}
