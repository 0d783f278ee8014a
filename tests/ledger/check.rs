//! Whether what was written down is right. A calculation: it knows no clock, no server and no consumer.
//!
//! The numbers of the invariants (L1 ..) and of the scenes that explain a copy (D1 ..) are those of
//! `src/docs/contributing/consumer_faults.md`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::copies::{self, Cause};
use super::record::{Enter, Micros, Outcome, Place, Queue, Record, SECOND, What};

/// What may be expected of a run.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    pub is_ordered: bool,
    /// How old a commit may be at most: the interval, and what a loaded machine adds.
    pub commits_within: Micros,
    /// What a broker that is killed forgets at most.
    pub broker_forgets: Micros,
    /// How long the queues of a killed member may stand still. In order, one that another member gets then may stand
    /// still until the lock expires.
    pub takeover_within: Micros,
}

/// How long a broker keeps a lock.
const LOCK: Micros = 60 * SECOND;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// L1: no handler has had it.
    Lost { key: u64, place: Place },
    /// L1: all handlers that have had it refused it, or were killed.
    Unfinished { key: u64, place: Place },
    /// L2: it came although a broker had confirmed a higher offset.
    Settled { enter: Enter, committed: i64 },
    /// L3: an offset was committed although a lower message was not done.
    Skipped {
        queue: Queue,
        committed: i64,
        open: i64,
    },
    /// L4: two handlers had messages of one queue at the same time.
    Overlap {
        queue: Queue,
        first: i64,
        second: i64,
    },
    /// L4: a message came before an earlier one was done.
    Inversion { queue: Queue, came: i64, open: i64 },
    /// L6: the broker's offset fell, although nobody killed it.
    Fell { queue: Queue, from: i64, to: i64 },
    /// L10: in the end it has another number of owners than one.
    Owners { queue: Queue, owners: Vec<String> },
    /// L11: it came again for no reason.
    Unexplained { before: Enter, again: Enter },
    /// L11: it came again, and the consumer did not say that this may be.
    Unmarked { again: Enter, cause: Cause },
    /// L12: a member that had left handled a message.
    Ghost { enter: Enter },
    /// L12: a clean shutdown left something over.
    LeftOver { member: String, what: String },
    /// D9: the queue of a killed member stood still for too long.
    Late { queue: Queue, waited: Micros },
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    pub messages: usize,
    pub handled: usize,
    pub refused: usize,
    pub copies: BTreeMap<Cause, usize>,
    /// For each killed member, until all its queues with messages were at work again.
    pub takeovers: Vec<Micros>,
    /// For each killed broker, from its return until it was at work again.
    pub returns: Vec<Micros>,
    pub violations: Vec<Violation>,
}

/// The records in the order of their times.
pub struct History {
    pub records: Vec<Record>,
}

impl History {
    pub fn new(mut records: Vec<Record>) -> History {
        records.sort_by_key(|record| record.at);
        History { records }
    }

    pub fn check(&self, expected: &Expected) -> Report {
        let mut report = Report::default();
        report.lost(self);
        report.settled(self, expected);
        report.skipped(self, expected);
        report.fallen(self);
        report.owned(self);
        report.ended(self);
        report.took(self, expected);
        if expected.is_ordered {
            report.ordered(self);
        }
        copies::explain(self, expected, &mut report);
        report
    }

    /// Checks it, and says what is wrong, if anything is.
    #[track_caller]
    pub fn passes(&self, expected: &Expected) -> Report {
        let report = self.check(expected);
        println!("{report}");
        let wrong = report.violations.len();
        assert_eq!(wrong, 0, "violations; the first ones are above");
        report
    }

    pub fn enters(&self) -> impl Iterator<Item = (Micros, &Enter)> {
        self.records.iter().filter_map(|record| match &record.what {
            What::Enter(enter) => Some((record.at, enter)),
            _ => None,
        })
    }

    pub fn outcomes(&self) -> impl Iterator<Item = (Micros, &Enter, Outcome)> {
        self.records.iter().filter_map(|record| match &record.what {
            What::Outcome { enter, outcome } => Some((record.at, enter, *outcome)),
            _ => None,
        })
    }

    /// When a member was killed.
    pub fn kills(&self) -> HashMap<&str, Micros> {
        let kills = self.records.iter().filter_map(|record| match &record.what {
            What::Killed { member } => Some((&**member, record.at)),
            _ => None,
        });
        kills.collect()
    }

    /// The times in which brokers were down.
    pub fn outages(&self) -> Vec<(&str, Micros, Micros)> {
        let mut outages: Vec<(&str, Micros, Micros)> = Vec::new();
        for record in &self.records {
            match &record.what {
                What::BrokerKilled { broker } => outages.push((broker, record.at, Micros::MAX)),
                What::BrokerBack { broker } => {
                    let open = outages.iter_mut().rfind(|(name, ..)| name == broker);
                    open.expect("it was killed before").2 = record.at;
                }
                _ => {}
            }
        }
        outages
    }
}

/// The messages of a queue that are done, and up to where all are.
#[derive(Default)]
pub struct Final {
    done: BTreeSet<i64>,
    /// The lowest one that is not.
    pub open: i64,
}

impl Final {
    pub fn note(&mut self, offset: i64) {
        self.done.insert(offset);
        while self.done.remove(&self.open) {
            self.open += 1;
        }
    }
}

impl Report {
    fn lost(&mut self, history: &History) {
        let (mut entered, mut done) = (BTreeSet::new(), BTreeSet::new());
        entered.extend(history.enters().map(|(_, enter)| &enter.place));
        for (_, enter, outcome) in history.outcomes() {
            match outcome {
                Outcome::Done | Outcome::Dead => drop(done.insert(enter.key)),
                Outcome::Later => self.refused += 1,
            }
        }
        self.handled = done.len();
        for record in &history.records {
            if let What::Stored { key, place } = &record.what {
                self.messages += 1;
                let (is_lost, is_open) = (!entered.contains(place), !done.contains(key));
                let (key, place) = (*key, place.clone());
                if is_lost {
                    self.violations.push(Violation::Lost { key, place });
                } else if is_open {
                    self.violations.push(Violation::Unfinished { key, place });
                }
            }
        }
    }

    fn settled(&mut self, history: &History, expected: &Expected) {
        // What brokers confirmed, when and to whom; a killed one may have forgotten the last of it.
        let mut confirmed: HashMap<&Queue, Vec<(Micros, &str, i64)>> = HashMap::new();
        let mut owned: HashMap<(&str, &Queue), Micros> = HashMap::new();
        let mut killed: HashMap<&str, Micros> = HashMap::new();
        for record in &history.records {
            match &record.what {
                What::Commit {
                    member,
                    queue,
                    offset,
                    sent,
                } => {
                    // The last answers of a killed one may be written down after its death.
                    let death = killed.get(&*queue.broker);
                    if death.is_none_or(|death| sent > death) {
                        let of_it = confirmed.entry(queue).or_default();
                        of_it.push((record.at, member, *offset));
                    }
                }
                What::BrokerKilled { broker } => {
                    killed.insert(broker, record.at);
                    let of_it = confirmed.iter_mut();
                    for (_, commits) in of_it.filter(|(queue, _)| queue.broker == *broker) {
                        commits.retain(|(at, ..)| *at + expected.broker_forgets < record.at);
                    }
                }
                What::Assigned { member, queues } => {
                    owned.retain(|(who, queue), _| who != member || queues.contains(queue));
                    for queue in queues {
                        owned.entry((member, queue)).or_insert(record.at);
                    }
                }
                What::Enter(enter) => {
                    let queue = &enter.place.queue;
                    // What another one commits later is known to nobody who has the queue already: that is
                    // a copy, which needs a cause.
                    let since = owned.get(&(&*enter.member, queue));
                    let since = since.copied().unwrap_or(record.at);
                    let commits = confirmed.get(queue).into_iter().flatten();
                    let known = commits.filter(|(at, who, _)| *at < since || **who == enter.member);
                    let committed = known.map(|(.., offset)| *offset).max();
                    if let Some(committed) = committed.filter(|at| *at > enter.place.offset) {
                        let enter = enter.clone();
                        self.violations
                            .push(Violation::Settled { enter, committed });
                    }
                }
                _ => {}
            }
        }
    }

    fn skipped(&mut self, history: &History, expected: &Expected) {
        // Commits by the time at which they were sent, among the outcomes before it.
        let mut all: Vec<(Micros, &Queue, i64, bool)> = Vec::new();
        for record in &history.records {
            match &record.what {
                // An ordered message that was refused comes again in place.
                What::Outcome {
                    outcome: Outcome::Later,
                    ..
                } if expected.is_ordered => {}
                What::Outcome { enter, .. } => {
                    let place = &enter.place;
                    all.push((record.at, &place.queue, place.offset, false));
                }
                What::Commit {
                    queue,
                    offset,
                    sent,
                    ..
                } => all.push((*sent, queue, *offset, true)),
                _ => {}
            }
        }
        all.sort_by_key(|(at, _, _, is_commit)| (*at, *is_commit));
        let mut finals: HashMap<&Queue, Final> = HashMap::new();
        for (_, queue, offset, is_commit) in all {
            let of_queue = finals.entry(queue).or_default();
            if !is_commit {
                of_queue.note(offset);
            } else if offset > of_queue.open {
                self.violations.push(Violation::Skipped {
                    queue: queue.clone(),
                    committed: offset,
                    open: of_queue.open,
                });
            }
        }
    }

    fn fallen(&mut self, history: &History) {
        let (mut highest, mut down) = (HashMap::<&Queue, i64>::new(), BTreeSet::new());
        for record in &history.records {
            match &record.what {
                What::BrokerKilled { broker } => {
                    down.insert(&**broker);
                    highest.retain(|queue, _| queue.broker != *broker);
                }
                What::BrokerBack { broker } => drop(down.remove(&**broker)),
                // Its last answer may be written down after its death.
                What::Offset { queue, .. } if down.contains(&*queue.broker) => {}
                What::Offset { queue, offset } => {
                    let before = highest.insert(queue, *offset).unwrap_or(0);
                    if before > *offset {
                        let (queue, from, to) = (queue.clone(), before, *offset);
                        self.violations.push(Violation::Fell { queue, from, to });
                    }
                }
                _ => {}
            }
        }
    }

    /// The last assignment before everybody leaves. The last members leave one after the other, so that
    /// it is that at the time of the last outcome.
    fn owned(&mut self, history: &History) {
        let last = history.outcomes().map(|(at, ..)| at).max().unwrap_or(0);
        let mut owners: BTreeMap<&str, &[Queue]> = BTreeMap::new();
        let mut queues = BTreeSet::new();
        for record in &history.records {
            match &record.what {
                What::Stored { place, .. } => drop(queues.insert(&place.queue)),
                _ if record.at > last => {}
                What::Assigned { member, queues } => drop(owners.insert(member, queues)),
                What::Left { member, .. } | What::Killed { member } => {
                    owners.remove(&**member);
                }
                _ => {}
            }
        }
        for queue in queues {
            let of_it = owners.iter().filter(|(_, queues)| queues.contains(queue));
            let owners: Vec<String> = of_it.map(|(member, _)| (*member).to_owned()).collect();
            if owners.len() != 1 {
                let queue = queue.clone();
                self.violations.push(Violation::Owners { queue, owners });
            }
        }
    }

    fn ended(&mut self, history: &History) {
        let mut gone = BTreeSet::new();
        for record in &history.records {
            match &record.what {
                What::Left { member, left_over } => {
                    gone.insert(member);
                    if let Some(what) = left_over {
                        let (member, what) = (member.clone(), what.clone());
                        self.violations.push(Violation::LeftOver { member, what });
                    }
                }
                What::Enter(enter) if gone.contains(&enter.member) => {
                    self.violations.push(Violation::Ghost {
                        enter: enter.clone(),
                    });
                }
                _ => {}
            }
        }
    }

    /// How long the queues of the dead stood still.
    fn took(&mut self, history: &History, expected: &Expected) {
        let mut owned: HashMap<&str, &[Queue]> = HashMap::new();
        for (index, record) in history.records.iter().enumerate() {
            let rest = &history.records[index..];
            let first = |is_it: &dyn Fn(&Enter) -> bool| {
                rest.iter().find_map(|later| match &later.what {
                    What::Enter(enter) if is_it(enter) => Some((later.at - record.at, enter)),
                    _ => None,
                })
            };
            match &record.what {
                What::Assigned { member, queues } => drop(owned.insert(member, queues)),
                What::Killed { member } => {
                    let queues = owned.remove(&**member).unwrap_or_default();
                    let waits = queues.iter().filter_map(|queue| {
                        Some((queue, first(&|enter| enter.place.queue == *queue)?))
                    });
                    let waits: Vec<_> = waits.collect();
                    self.takeovers
                        .extend(waits.iter().map(|(_, (waited, _))| *waited).max());
                    let most = expected.takeover_within;
                    let again = format!("{member}-again");
                    // It had the lock, and has it still.
                    let has_again = |queue| {
                        let soon = rest.iter().take_while(|later| later.at <= record.at + most);
                        let latest = soon.filter_map(|later| match &later.what {
                            What::Assigned { member, queues } => {
                                (*member == again).then(|| queues.contains(queue))
                            }
                            _ => None,
                        });
                        latest.last().unwrap_or(false)
                    };
                    for (queue, (waited, _)) in waits {
                        let waits_for_lock = expected.is_ordered && !has_again(queue);
                        let most = most + if waits_for_lock { LOCK } else { 0 };
                        if waited > most && !queue.topic.starts_with('%') {
                            let queue = queue.clone();
                            self.violations.push(Violation::Late { queue, waited });
                        }
                    }
                }
                What::BrokerBack { broker } => {
                    let first = first(&|enter| enter.place.queue.broker == *broker);
                    self.returns.extend(first.map(|(waited, _)| waited));
                }
                _ => {}
            }
        }
    }

    fn ordered(&mut self, history: &History) {
        let kills = history.kills();
        let mut ends: HashMap<(&str, &Place), Vec<Micros>> = HashMap::new();
        for (at, enter, _) in history.outcomes() {
            let of_it = ends.entry((&enter.member, &enter.place)).or_default();
            of_it.push(at);
        }
        let mut busy: HashMap<&Queue, (Micros, i64)> = HashMap::new();
        let mut finals: HashMap<&Queue, Final> = HashMap::new();
        for record in &history.records {
            match &record.what {
                What::Enter(enter) => {
                    let (queue, offset) = (&enter.place.queue, enter.place.offset);
                    let killed = || kills.get(&*enter.member).copied().unwrap_or(Micros::MAX);
                    let all = ends
                        .get(&(&*enter.member, &enter.place))
                        .into_iter()
                        .flatten();
                    let end = all.filter(|end| **end >= record.at).min();
                    let end = end.copied().unwrap_or_else(killed);
                    if let Some((until, first)) = busy.insert(queue, (end, offset)) {
                        if until > record.at {
                            let (queue, second) = (queue.clone(), offset);
                            self.violations.push(Violation::Overlap {
                                queue,
                                first,
                                second,
                            });
                        }
                    }
                    let open = finals.entry(queue).or_default().open;
                    if offset > open {
                        let (queue, came) = (queue.clone(), offset);
                        self.violations
                            .push(Violation::Inversion { queue, came, open });
                    }
                }
                What::Outcome { enter, outcome } if *outcome != Outcome::Later => {
                    finals
                        .entry(&enter.place.queue)
                        .or_default()
                        .note(enter.place.offset);
                }
                _ => {}
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |times: &[Micros]| {
            let times = times
                .iter()
                .map(|time| format!("{:.2} s", *time as f64 / SECOND as f64));
            times.collect::<Vec<_>>().join(", ")
        };
        writeln!(
            f,
            "{} messages stored, {} handled, {} refusals",
            self.messages, self.handled, self.refused
        )?;
        writeln!(f, "copies: {:?}", self.copies)?;
        writeln!(
            f,
            "takeover after a killed member: {}",
            seconds(&self.takeovers)
        )?;
        writeln!(
            f,
            "at work again after a broker is back: {}",
            seconds(&self.returns)
        )?;
        write!(f, "{} violations", self.violations.len())?;
        for violation in self.violations.iter().take(20) {
            write!(f, "\n{violation:?}")?;
        }
        Ok(())
    }
}
