//! The messages of one queue between the committed offset and the last one fetched.
//!
//! A message is *fetched*, *handed out* to a handler, and in the end *final*: its handler succeeded, its
//! copy was confirmed in the retry or dead letter topic, or it was skipped by policy. The *low-water* is the
//! lowest offset without a final outcome. It is computed and never assigned, and is the only value
//! that may be committed.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::held::{
    Answered, Ask, Entry, Fetched, Finished, Handed, Held, Stale, Ticket, TicketId, WindowCounts,
};
use super::line::{Line, Out};

/// The window of one queue.
///
/// Each assignment of a queue, and each seek and reset, has a generation of its own. Answers and
/// results that belong to an older one are refused and counted.
#[derive(Debug)]
pub(crate) struct Window<T> {
    generation: u64,
    draining: bool,
    /// By offset, the final ones behind the first unfinished one included.
    entries: VecDeque<Entry<T>>,
    /// The number of the first entry. Entries are numbered in order, so that one is found without a
    /// search.
    first: u64,
    line: Line,
    /// Where the next fetch begins: everything below is in the window, final, or does not exist.
    end: u64,
    is_asking: bool,
    most: usize,
    bytes: u64,
    running: usize,
    settling: usize,
    last_taken: Option<Instant>,
    /// Running handlers whose results do not count any more.
    strays: BTreeSet<TicketId>,
    counts: WindowCounts,
}

impl<T: Clone> Window<T> {
    /// A window that begins at `start` and holds at most `most` messages, those included that are
    /// with handlers, or final above the low-water. `keys`: messages of one key are handed out one after the
    /// other, and so many messages at once.
    pub(crate) fn new(generation: u64, start: u64, most: usize, keys: Option<usize>) -> Window<T> {
        Window {
            generation,
            draining: false,
            entries: VecDeque::new(),
            first: 0,
            line: Line::new(keys),
            end: start,
            is_asking: false,
            most: most.max(1),
            bytes: 0,
            running: 0,
            settling: 0,
            last_taken: None,
            strays: BTreeSet::new(),
            counts: WindowCounts::default(),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The lowest offset without a final outcome; in an empty window, the offset of the next fetch.
    pub(crate) fn low_water(&self) -> u64 {
        self.entries.front().map_or(self.end, |first| first.offset)
    }

    /// Where the next fetch begins.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Messages that count for the limit.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= self.most
    }

    pub(crate) fn is_asking(&self) -> bool {
        self.is_asking
    }

    /// Bytes of the messages that are not final.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Running handlers, including those whose results do not count any more. While there is one, the
    /// queue must not be unlocked.
    pub(crate) fn handlers(&self) -> usize {
        self.running + self.strays.len()
    }

    /// No handler runs, and no copy is being sent.
    pub(crate) fn is_quiet(&self) -> bool {
        self.handlers() + self.settling == 0
    }

    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn counts(&self) -> WindowCounts {
        self.counts
    }

    /// The message at the low-water, and its state.
    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn head(&self) -> Option<(u64, Held)> {
        self.entries
            .front()
            .map(|entry| (entry.offset, entry.state))
    }

    /// Messages that are with handlers, and since when.
    pub(crate) fn running(&self) -> impl Iterator<Item = (u64, Instant)> {
        self.entries.iter().filter_map(|entry| match entry.state {
            Held::Running(since) => Some((entry.offset, since)),
            _ => None,
        })
    }

    /// The message at an offset, while it is held.
    pub(crate) fn payload(&self, offset: u64) -> Option<T> {
        let entries = &self.entries;
        let index = entries.binary_search_by_key(&offset, |e| e.offset).ok()?;
        entries[index].payload.clone()
    }

    /// The offset of the message that is handed out next, apart from those that were put back.
    pub(crate) fn position(&self) -> u64 {
        let fresh = self.index(self.line.fresh());
        fresh.map_or(self.end, |index| self.entries[index].offset)
    }

    /// When a message was last handed out.
    pub(crate) fn last_taken(&self) -> Option<Instant> {
        self.last_taken
    }

    /// The first message that is not final.
    pub(crate) fn first(&self) -> Option<&T> {
        self.entries.front()?.payload.as_ref()
    }

    /// The offset of the first message that is not final, if it was put back for longer than any thread
    /// waits.
    pub(crate) fn held_back(&self, now: Instant) -> Option<u64> {
        const LONG: Duration = Duration::from_secs(24 * 3600);
        let first = self.entries.front()?;
        let is_held_back = matches!(first.state, Held::Waiting(at) if at > now + LONG);
        is_held_back.then_some(first.offset)
    }

    /// Whether a request belongs to this generation.
    pub(crate) fn is_current(&self, ask: &Ask) -> bool {
        ask.generation == self.generation
    }

    /// The next request, if there is none in flight, the window has capacity, and the queue is not
    /// about to be given up.
    pub(crate) fn ask(&mut self) -> Option<Ask> {
        if self.is_asking || self.draining || self.is_full() {
            return None;
        }
        self.is_asking = true;
        Some(Ask {
            generation: self.generation,
            offset: self.end,
            capacity: self.most - self.entries.len(),
        })
    }

    /// The messages of an answer, and the offset that the broker says comes next. Offsets may have
    /// gaps (compaction, filters), and the answer may have no messages at all.
    pub(crate) fn answer(
        &mut self,
        ask: Ask,
        messages: impl IntoIterator<Item = Fetched<T>>,
        next: u64,
    ) -> Result<Answered, Stale> {
        self.end_ask(ask)?;
        let mut answered = Answered::default();
        for message in messages {
            if answered.surplus > 0 {
                answered.surplus += 1;
            } else if message.offset < self.end {
                answered.repeated += 1;
            } else if self.is_full() {
                answered.surplus = 1;
                self.end = message.offset;
            } else {
                answered.accepted += 1;
                answered.bytes += message.bytes;
                self.end = message.offset.saturating_add(1);
                self.line.add(self.behind(), message.key);
                self.entries.push_back(Entry {
                    offset: message.offset,
                    bytes: message.bytes,
                    payload: Some(message.payload),
                    run: 0,
                    failures: 0,
                    state: Held::Fetched,
                });
            }
        }
        if answered.surplus == 0 {
            self.end = self.end.max(next);
        }
        self.bytes += answered.bytes;
        self.counts.repeated += answered.repeated as u64;
        self.counts.surplus += answered.surplus as u64;
        Ok(answered)
    }

    /// The request failed, or its answer cannot be used: the same offset is asked for again.
    pub(crate) fn no_answer(&mut self, ask: Ask) -> Result<(), Stale> {
        self.end_ask(ask)
    }

    fn end_ask(&mut self, ask: Ask) -> Result<(), Stale> {
        let is_current = ask.generation == self.generation;
        if is_current {
            self.is_asking = false;
        }
        if !is_current || self.draining {
            self.counts.stale_answers += 1;
            return Err(Stale);
        }
        Ok(())
    }

    /// The next message for a concurrent handler: first those that were put back and are due.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Handed<T>> {
        let number = self.line.next(self.behind(), self.out(), now)?;
        Some(self.hand_out(number, now))
    }

    /// The next `most` messages for an ordered handler, in the order of the queue. `None` while a handler
    /// runs, a copy is being sent, or the first message waits.
    pub(crate) fn take_ordered(&mut self, most: usize, now: Instant) -> Vec<Handed<T>> {
        if self.draining || !self.is_quiet() {
            return Vec::new();
        }
        let unfinished = self.entries.iter().zip(self.first..);
        let unfinished = unfinished.filter(|(entry, _)| entry.state != Held::Final);
        let may_start = |entry: &Entry<T>| match entry.state {
            Held::Waiting(until) => until <= now,
            _ => true,
        };
        let batch = unfinished.take_while(|(entry, _)| may_start(entry));
        let numbers: Vec<u64> = batch.take(most).map(|(_, number)| number).collect();
        let taken = numbers.into_iter().map(|number| self.hand_out(number, now));
        taken.collect()
    }

    /// When [`take`](Window::take) has a message; `None` if there is none to wait for.
    pub(crate) fn ready_at(&self, now: Instant) -> Option<Instant> {
        self.line.ready_at(self.behind(), self.out(), now)
    }

    /// When the next message that was put back is due, after `now`.
    pub(crate) fn due_after(&self, now: Instant) -> Option<Instant> {
        self.line.due_after(now)
    }

    /// When [`take_ordered`](Window::take_ordered) has a message; `None` if it waits for a result, or
    /// there is none.
    pub(crate) fn ordered_ready_at(&self, now: Instant) -> Option<Instant> {
        if self.draining || !self.is_quiet() {
            return None;
        }
        self.entries.front().map(|entry| match entry.state {
            Held::Waiting(until) => until,
            _ => now,
        })
    }

    fn hand_out(&mut self, number: u64, now: Instant) -> Handed<T> {
        let index = self.index(number).expect("the entry was looked up");
        let entry = &mut self.entries[index];
        let waited = match entry.state {
            Held::Waiting(at) => Some(at),
            _ => None,
        };
        self.line.taken(number, waited);
        entry.run += 1;
        entry.state = Held::Running(now);
        self.last_taken = Some(now);
        self.running += 1;
        let payload = entry.payload.clone();
        Handed {
            ticket: Ticket(TicketId {
                generation: self.generation,
                number,
                run: entry.run,
            }),
            offset: entry.offset,
            failures: entry.failures,
            payload: payload.expect("only entries with a payload are handed out"),
        }
    }

    /// The handler ended, and a copy of the message is sent. It stays in the window until that is
    /// confirmed.
    pub(crate) fn settle(&mut self, ticket: &Ticket) -> Result<(), Stale> {
        let index = self.current(ticket.0)?;
        if let Held::Running(since) = self.entries[index].state {
            self.entries[index].state = Held::Settling(since);
            self.running -= 1;
            self.settling += 1;
        }
        Ok(())
    }

    /// The message has a final outcome.
    pub(crate) fn finish(&mut self, ticket: Ticket) -> Result<Finished, Stale> {
        let index = self.current(ticket.0)?;
        self.leave(index);
        let entry = &mut self.entries[index];
        entry.state = Held::Final;
        let freed = self.forget_payload(index);
        self.line.finished(ticket.0.number);
        while self.entries.front().is_some_and(|e| e.state == Held::Final) {
            self.entries.pop_front();
            self.first += 1;
        }
        Ok(Finished {
            low_water: self.low_water(),
            freed,
        })
    }

    /// The message is handed out again, at `not_before` at the earliest, with its place and its
    /// count of failures kept. Returns the released bytes (if the queue is about to be given up).
    pub(crate) fn put_back(&mut self, ticket: Ticket, not_before: Instant) -> Result<u64, Stale> {
        let index = self.current(ticket.0)?;
        self.leave(index);
        let entry = &mut self.entries[index];
        entry.failures += 1;
        entry.state = Held::Waiting(not_before);
        if self.draining {
            return Ok(self.forget_payload(index));
        }
        self.line.put_back(ticket.0.number, not_before);
        Ok(0)
    }

    /// Another copy of a message that could not be read: it is handed out again, at `not_before` at
    /// the earliest, and counts as never handed out. Returns the released bytes.
    pub(crate) fn renew(
        &mut self,
        ticket: Ticket,
        payload: T,
        not_before: Instant,
    ) -> Result<u64, Stale> {
        let index = self.current(ticket.0)?;
        self.entries[index].payload = Some(payload);
        let freed = self.put_back(ticket, not_before)?;
        self.entries[index].failures -= 1;
        Ok(freed)
    }

    /// Takes the decision about a message away from the handler that has it: the handler's result
    /// will be refused. For a limit of the time that a handler may take.
    pub(crate) fn recall(&mut self, offset: u64) -> Option<Ticket> {
        let index = self
            .entries
            .binary_search_by_key(&offset, |e| e.offset)
            .ok()?;
        let entry = &mut self.entries[index];
        let Held::Running(since) = entry.state else {
            return None;
        };
        let mut id = TicketId {
            generation: self.generation,
            number: self.first + index as u64,
            run: entry.run,
        };
        self.strays.insert(id);
        entry.run += 1;
        id.run = entry.run;
        entry.state = Held::Settling(since);
        self.running -= 1;
        self.settling += 1;
        Some(Ticket(id))
    }

    /// The queue is about to be given up: nothing is fetched any more, and results still count. Nothing is handed
    /// out but, until this time, what others of other keys have overtaken. Returns the released bytes.
    pub(crate) fn drain(&mut self, until: Instant) -> u64 {
        self.draining = true;
        self.line.stop(until);
        let kept = self.line.fresh().saturating_sub(self.first) as usize;
        let mut freed = 0;
        for index in 0..self.entries.len() {
            match self.entries[index].state {
                Held::Fetched if index < kept => {}
                Held::Fetched | Held::Waiting(_) => freed += self.forget_payload(index),
                _ => {}
            }
        }
        freed
    }

    /// The queue is given up: nothing is handed out any more.
    pub(crate) fn close(&mut self, now: Instant) {
        self.draining = true;
        self.line.close(now);
    }

    /// Begins anew at `offset`: after a seek or reset, or when a queue is taken again. Messages that
    /// handlers have belong to the old generation. Returns the released bytes.
    pub(crate) fn restart(&mut self, generation: u64, offset: u64) -> u64 {
        for (entry, number) in self.entries.iter().zip(self.first..) {
            if matches!(entry.state, Held::Running(_)) {
                self.strays.insert(TicketId {
                    generation: self.generation,
                    number,
                    run: entry.run,
                });
            }
        }
        let freed = self.bytes;
        let fresh = Window::new(generation, offset, self.most, self.line.keys());
        let old = std::mem::replace(self, fresh);
        self.strays = old.strays;
        self.counts = old.counts;
        freed
    }

    /// The place of a ticket's entry, if its result counts.
    fn current(&mut self, id: TicketId) -> Result<usize, Stale> {
        let index = self.index(id.number);
        let index = index.filter(|index| {
            let entry = &self.entries[*index];
            let is_out = matches!(entry.state, Held::Running(_) | Held::Settling(_));
            id.generation == self.generation && entry.run == id.run && is_out
        });
        if index.is_none() {
            self.strays.remove(&id);
            self.counts.stale_results += 1;
        }
        index.ok_or(Stale)
    }

    /// The number behind the last entry.
    fn behind(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn out(&self) -> Out {
        Out {
            current: self.running + self.settling,
            strays: self.strays.len(),
        }
    }

    fn index(&self, number: u64) -> Option<usize> {
        let index = number.checked_sub(self.first)? as usize;
        (index < self.entries.len()).then_some(index)
    }

    /// The entry is no longer with a handler, and no longer settling.
    fn leave(&mut self, index: usize) {
        match self.entries[index].state {
            Held::Running(_) => self.running -= 1,
            Held::Settling(_) => self.settling -= 1,
            _ => {}
        }
    }

    fn forget_payload(&mut self, index: usize) -> u64 {
        let entry = &mut self.entries[index];
        if entry.payload.take().is_none() {
            return 0;
        }
        self.bytes -= entry.bytes;
        entry.bytes
    }
}

#[cfg(test)]
mod tests;
