//! Why a message came more than once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::check::{Expected, Final, History, Report, Violation};
use super::record::{Enter, Micros, Outcome, Place, Queue, What};

/// What explains a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A handler ran for longer than the hand-over waits, and was named (D1).
    Drained,
    /// The member that had it was killed (D3).
    MemberKilled,
    /// Its broker was killed, and the queue changed hands (D4).
    BrokerKilled,
    /// Both (D5).
    BothKilled,
    /// An answer to a request for a retry was lost, or a killed broker made the retry again (D8).
    RetriedTwice,
}

/// What happened to a message in a handler.
struct Came<'a> {
    at: Micros,
    enter: &'a Enter,
    outcome: Option<(Micros, Outcome)>,
}

pub fn explain(history: &History, expected: &Expected, report: &mut Report) {
    let clues = Clues::new(history, expected);
    let mut by_place: BTreeMap<&Place, Vec<Came<'_>>> = BTreeMap::new();
    let outcomes = outcomes(history);
    for (at, enter) in history.enters() {
        let outcomes = outcomes.get(&(&*enter.member, &enter.place));
        let mut later = outcomes
            .into_iter()
            .flatten()
            .filter(|(end, ..)| *end >= at);
        let outcome = later.next().map(|(end, _, outcome)| (*end, *outcome));
        by_place
            .entry(&enter.place)
            .or_default()
            .push(Came { at, enter, outcome });
    }
    for all in by_place.values() {
        for two in all.windows(2) {
            let (before, again) = (&two[0], &two[1]);
            if clues.is_retry(before, again) {
                continue;
            }
            let is_next = clues.is_next_owner(before, again);
            let cause = clues.cause(before, again);
            report.note_copy(cause, before.enter, again.enter, is_next);
        }
    }
    retried_twice(&by_place, &clues, report);
}

impl Report {
    fn note_copy(
        &mut self,
        cause: Option<Cause>,
        before: &Enter,
        again: &Enter,
        must_be_marked: bool,
    ) {
        let Some(cause) = cause else {
            let (before, again) = (before.clone(), again.clone());
            return self
                .violations
                .push(Violation::Unexplained { before, again });
        };
        *self.copies.entry(cause).or_default() += 1;
        if must_be_marked && !again.repeated && cause != Cause::RetriedTwice {
            let again = again.clone();
            self.violations.push(Violation::Unmarked { again, cause });
        }
    }
}

/// Retries are at new places: as many of them are asked for as refusals of the time before.
fn retried_twice(
    by_place: &BTreeMap<&Place, Vec<Came<'_>>>,
    clues: &Clues<'_>,
    report: &mut Report,
) {
    let mut refusals: HashMap<(u64, i32), Vec<(Micros, &Enter)>> = HashMap::new();
    let mut firsts: BTreeMap<(u64, i32), Vec<&Came<'_>>> = BTreeMap::new();
    for all in by_place.values() {
        for came in all {
            let (key, attempt) = (came.enter.key, came.enter.attempt);
            if let Some((at, Outcome::Later)) = came.outcome {
                refusals
                    .entry((key, attempt))
                    .or_default()
                    .push((at, came.enter));
            }
        }
        let first = &all[0];
        // One that comes again in place is looked at there.
        if first.enter.attempt > 0 {
            firsts
                .entry((first.enter.key, first.enter.attempt))
                .or_default()
                .push(first);
        }
    }
    for ((key, attempt), mut retries) in firsts {
        let asked = refusals
            .get(&(key, attempt - 1))
            .map_or(&[][..], Vec::as_slice);
        retries.sort_by_key(|came| came.at);
        for surplus in retries.iter().skip(asked.len()) {
            let refused = asked.first();
            let during = refused.is_some_and(|(from, _)| clues.has_trouble(*from, surplus.at));
            let before = refused.map_or(surplus.enter, |(_, enter)| *enter);
            // A retry is a message of its own for the consumer.
            let cause = during.then_some(Cause::RetriedTwice);
            report.note_copy(cause, before, surplus.enter, false);
        }
    }
}

type Outcomes<'a> = HashMap<(&'a str, &'a Place), Vec<(Micros, i32, Outcome)>>;

fn outcomes(history: &History) -> Outcomes<'_> {
    let mut outcomes: Outcomes<'_> = HashMap::new();
    for (at, enter, outcome) in history.outcomes() {
        let of_it = outcomes.entry((&enter.member, &enter.place)).or_default();
        of_it.push((at, enter.attempt, outcome));
    }
    outcomes
}

/// What may be a cause.
struct Clues<'a> {
    history: &'a History,
    expected: &'a Expected,
    kills: HashMap<&'a str, Micros>,
    outages: Vec<(&'a str, Micros, Micros)>,
    /// The queues of each member from a time on.
    assigned: HashMap<&'a str, Vec<(Micros, &'a [Queue])>>,
    /// When each queue got an owner.
    taken: HashMap<&'a Queue, Vec<Micros>>,
    /// When which member gave up a queue before it was done with it.
    lost: HashMap<(&'a str, &'a Queue), Vec<Micros>>,
    /// In each queue, up to where all was done at a time after which something died.
    done_by: HashMap<(&'a Queue, Micros), i64>,
}

impl<'a> Clues<'a> {
    fn new(history: &'a History, expected: &'a Expected) -> Clues<'a> {
        let mut clues = Clues {
            history,
            expected,
            kills: history.kills(),
            outages: history.outages(),
            assigned: HashMap::new(),
            taken: HashMap::new(),
            lost: HashMap::new(),
            done_by: HashMap::new(),
        };
        for record in &history.records {
            match &record.what {
                What::Assigned { member, queues } => {
                    let of_it = clues.assigned.entry(member).or_default();
                    let before = of_it.last().map_or(&[][..], |(_, queues)| *queues);
                    for queue in queues.iter().filter(|queue| !before.contains(queue)) {
                        clues.taken.entry(queue).or_default().push(record.at);
                    }
                    of_it.push((record.at, queues));
                }
                What::Lost { member, queue } => {
                    let of_it = clues.lost.entry((member, queue)).or_default();
                    of_it.push(record.at);
                }
                _ => {}
            }
        }
        clues.note_done();
        clues
    }

    /// When all that was done before is committed, by a member that was killed at this time.
    fn committed_by(&self, killed: Micros) -> Micros {
        killed - self.expected.commits_within
    }

    /// The same, on the disk of a broker that was killed at this time.
    fn kept_by(&self, killed: Micros) -> Micros {
        self.committed_by(killed) - self.expected.broker_forgets
    }

    fn note_done(&mut self) {
        let mut times: BTreeSet<Micros> = BTreeSet::new();
        times.extend(
            self.kills
                .values()
                .flat_map(|at| [self.committed_by(*at), self.kept_by(*at)]),
        );
        times.extend(self.outages.iter().map(|(_, at, _)| self.kept_by(*at)));
        let mut finals: HashMap<&Queue, Final> = HashMap::new();
        let mut times = times.into_iter().peekable();
        let history = self.history;
        let mut note = |time, finals: &HashMap<&'a Queue, Final>| {
            for (queue, done) in finals {
                self.done_by.insert((queue, time), done.open);
            }
        };
        for (at, enter, _) in history.outcomes() {
            while let Some(time) = times.next_if(|time| *time < at) {
                note(time, &finals);
            }
            finals
                .entry(&enter.place.queue)
                .or_default()
                .note(enter.place.offset);
        }
        times.for_each(|time| note(time, &finals));
    }

    /// Whether a message may not have been committed at this time: it was not done, or one below it was not.
    fn was_open(&self, came: &Came<'_>, at: Micros) -> bool {
        let place = &came.enter.place;
        let done = self.done_by.get(&(&place.queue, at));
        came.outcome.is_none_or(|(end, _)| end >= at) || place.offset >= done.copied().unwrap_or(0)
    }

    /// Whether the second one is what the first one asked for, in place. Another member of an ordered group does
    /// not know how often the message was refused.
    fn is_retry(&self, before: &Came<'_>, again: &Came<'_>) -> bool {
        let refused = matches!(before.outcome, Some((at, Outcome::Later)) if at <= again.at);
        let is_counted = again.enter.attempt == before.enter.attempt + 1;
        let by_another = again.enter.member != before.enter.member;
        refused && (is_counted || self.expected.is_ordered && by_another)
    }

    fn cause(&self, before: &Came<'_>, again: &Came<'_>) -> Option<Cause> {
        let place = &again.enter.place;
        let owner = &*before.enter.member;
        let killed = self.kills.get(owner).copied();
        let killed = killed.filter(|at| (before.at..=again.at).contains(at));
        let mut outages = self.outages.iter().filter(|(broker, from, to)| {
            *broker == place.queue.broker && *from <= again.at && *to >= before.at
        });
        let outage = outages.next().map(|(_, from, _)| *from);
        let outage = outage.or_else(|| self.shared_since(before, again));
        let moved = self.has_moved(before, again);
        let refused = matches!(before.outcome, Some((_, Outcome::Later)));
        match (killed, outage) {
            (Some(killed), Some(down)) => {
                let was_open = self.was_open(before, self.kept_by(killed.min(down)));
                was_open.then_some(Cause::BothKilled)
            }
            (Some(killed), None) => {
                let was_open = self.was_open(before, self.committed_by(killed));
                was_open.then_some(Cause::MemberKilled)
            }
            // A broker that does not take a message back has it handled here again.
            (None, Some(_)) if refused && !moved => Some(Cause::RetriedTwice),
            (None, Some(down)) if moved => {
                let was_open = self.was_open(before, self.kept_by(down));
                was_open.then_some(Cause::BrokerKilled)
            }
            _ => {
                let lost = self.lost.get(&(owner, &place.queue));
                let mut lost = lost.into_iter().flatten();
                let was_lost = lost.any(|at| (before.at..=again.at).contains(at));
                was_lost.then_some(Cause::Drained)
            }
        }
    }

    /// Whether the queue was not the first one's for a moment.
    fn has_moved(&self, before: &Came<'_>, again: &Came<'_>) -> bool {
        let owner = &*before.enter.member;
        let between = self.assigned.get(owner).into_iter().flatten();
        let mut between = between.filter(|(at, _)| (before.at..=again.at).contains(at));
        owner != again.enter.member
            || between.any(|(_, queues)| !queues.contains(&again.enter.place.queue))
    }

    /// When the broker was killed that then, without its locks, gave the queue to the first one, while the second one
    /// still had what it had read before that.
    fn shared_since(&self, before: &Came<'_>, again: &Came<'_>) -> Option<Micros> {
        let queue = &again.enter.place.queue;
        let mut outages = self.outages.iter().filter(|(broker, from, to)| {
            let soon = (*to..=*to + self.expected.takeover_within).contains(&again.at);
            let had = |came: &Came<'_>| {
                self.owned_since(&came.enter.member, queue, came.at)
                    .is_some_and(|since| since < *from)
            };
            *broker == queue.broker && soon && had(again) && !had(before)
        });
        outages.next().map(|(_, from, _)| *from)
    }

    /// Since when the member that has a queue at this time has had it without a break.
    fn owned_since(&self, member: &str, queue: &Queue, at: Micros) -> Option<Micros> {
        let until = self.assigned.get(member).into_iter().flatten();
        let until = until.take_while(|(from, _)| *from <= at);
        until.fold(None, |since, (from, queues)| {
            queues.contains(queue).then(|| since.unwrap_or(*from))
        })
    }

    /// Whether the second one is of the next owner of the queue, or of the same. What the one before the last
    /// did is not known to an owner, nor what one does that has the queue after it.
    fn is_next_owner(&self, before: &Came<'_>, again: &Came<'_>) -> bool {
        if self.shared_since(before, again).is_some() {
            return false;
        }
        let taken = self.taken.get(&again.enter.place.queue);
        let taken = taken.into_iter().flatten();
        let between = taken.filter(|at| (before.at..=again.at).contains(at));
        between.count() <= 1
    }

    /// Whether anything died in this time, or was down.
    fn has_trouble(&self, from: Micros, to: Micros) -> bool {
        let mut kills = self.kills.values();
        let mut outages = self.outages.iter();
        kills.any(|at| (from..=to).contains(at))
            || outages.any(|(_, down, up)| *down <= to && *up >= from)
    }
}
