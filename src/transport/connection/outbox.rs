//! The frames of one connection that wait to be written. Pure: bytes in, batches out.
//!
//! Every frame has its place in the connection's stream of bytes. The places of frames that were
//! taken out again are skipped, so that a frame's end compares with the writer's position for as
//! long as the connection lives.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// A body at least this long is written from where it is; a shorter one is copied behind its
/// header, so that many frames leave in one write. (Copying this much takes less time than a write.)
const SHARE_FROM: usize = 64 * 1024;

/// With this much queued, the peer is slow or does not read, and copying gains nothing: shorter
/// bodies too stay in place until they are written, or they would be held twice.
const BACKED_UP: u64 = 2 * 1024 * 1024;

/// Down to this length.
const SHARE_LATE_FROM: usize = 512;

/// A batch is closed at this size: its frames can no longer be removed once a writer has it, so a
/// batch should leave in about one write.
const BATCH: usize = 64 * 1024;

/// One is written, one is filled, and while the writer is late others are full.
const MOST_FREE: usize = 3;

/// A guard that is held for frames until they are written (a permit).
pub(crate) trait Guard: Sized {
    /// Makes one of two, or gives the other one back if that cannot be.
    fn merge(&mut self, other: Self) -> Option<Self>;
}

/// The kind of answer that a frame expects, and its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// No answer; it is never given up.
    Never,
    /// An answer that the peer may park; the frame is given up at this time.
    Parked(Instant),
    /// An answer that is due soon; the frame is given up at this time.
    Soon(Instant),
}

/// The frames that wait.
pub(crate) struct Outbox<G> {
    batches: VecDeque<Batch<G>>,
    /// Emptied batches, for their buffers.
    free_list: Vec<Batch<G>>,
    /// The end of the last frame.
    end: u64,
    /// The number of frames whose answers are due soon.
    awaited: usize,
    /// Batches that there ever were, and the one that a writer has.
    opened: u64,
    writing: Option<u64>,
}

/// The frames that one writer takes and writes.
pub(crate) struct Batch<G> {
    /// Its number among all batches.
    number: u64,
    start: u64,
    /// When the last of its frames is given up if it is still not written; `None` if one never is.
    until: Option<Instant>,
    bytes: Vec<u8>,
    /// The number of bytes of removed frames.
    idle_bytes: usize,
    frames: Vec<Frame>,
    /// Those of all its frames.
    guards: Vec<G>,
    /// The bytes of bodies that must still be copied behind their headers.
    late_bytes: usize,
}

struct Frame {
    /// The number of the batch's bytes in this run.
    inline: usize,
    body: Option<Arc<Vec<u8>>>,
    end: u64,
    cancelled: bool,
    guarded: bool,
    awaited: bool,
}

/// A run of bytes to be written, and where in the stream it ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Run<'a> {
    Bytes(&'a [u8], u64),
    Skip(u64),
}

impl<G: Guard> Outbox<G> {
    pub(crate) fn new() -> Outbox<G> {
        Outbox {
            batches: VecDeque::new(),
            free_list: Vec::new(),
            end: 0,
            awaited: 0,
            opened: 0,
            writing: None,
        }
    }

    /// Adds a frame; returns where in the stream it ends.
    pub(crate) fn push(
        &mut self,
        head: &[u8],
        body: Option<&Arc<Vec<u8>>>,
        guard: Option<G>,
        due: Due,
    ) -> u64 {
        let (until, awaited) = match due {
            Due::Never => (None, false),
            Due::Parked(until) => (Some(until), false),
            Due::Soon(until) => (Some(until), true),
        };
        let body_len = body.map_or(0, |body| body.len());
        let share_from = match self.len() {
            0..BACKED_UP => SHARE_FROM,
            BACKED_UP.. => SHARE_LATE_FROM,
        };
        let shared = body.filter(|body| body.len() >= share_from).cloned();
        let start = self.end;
        self.awaited += usize::from(awaited);
        self.end += (head.len() + body_len) as u64;
        let end = self.end;
        let copied = body.filter(|_| shared.is_none());
        let inline = head.len() + copied.map_or(0, |body| body.len());
        let batch = self.open_batch(start, until, inline);
        batch.until = batch.until.zip(until).map(|(a, b)| a.max(b));
        if shared.is_some() && body_len < SHARE_FROM {
            batch.late_bytes += body_len;
        }
        batch.bytes.extend_from_slice(head);
        if let Some(body) = copied {
            batch.bytes.extend_from_slice(body);
        }
        batch.frames.push(Frame {
            inline,
            body: shared,
            end,
            cancelled: false,
            guarded: guard.is_some(),
            awaited,
        });
        let spare = match (batch.guards.last_mut(), guard) {
            (Some(last), Some(guard)) => last.merge(guard),
            (None, guard) => guard,
            (_, None) => None,
        };
        batch.guards.extend(spare);
        end
    }

    /// Removes the frame that ends at `end`; false if it has left. Its bytes are freed soon, since
    /// its sender may send again.
    pub(crate) fn cancel(&mut self, end: u64) -> bool {
        let at = self.batches.partition_point(|batch| batch.end() < end);
        let Some(batch) = self.batches.get_mut(at) else {
            return false;
        };
        let Ok(i) = batch.frames.binary_search_by_key(&end, |frame| frame.end) else {
            return false;
        };
        let frame = &mut batch.frames[i];
        if std::mem::replace(&mut frame.cancelled, true) {
            return false;
        }
        frame.body = None;
        self.awaited -= usize::from(std::mem::replace(&mut frame.awaited, false));
        batch.idle_bytes += frame.inline;
        if batch.idle_bytes > batch.bytes.len() / 2 {
            batch.compact();
            self.join_places(at);
        }
        true
    }

    /// Joins a batch of removed frames with such a batch before it. (One stays: a writer that was
    /// already called must find a batch.)
    fn join_places(&mut self, at: usize) {
        let place = |at: usize| self.batches.get(at)?.place();
        if let (Some(_), Some(end)) = (at.checked_sub(1).and_then(place), place(at)) {
            self.batches.remove(at);
            self.batches[at - 1].frames[0].end = end;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Whether writing the next batch takes no longer than to `limit`, whatever the peer does.
    pub(crate) fn next_ends_by(&self, limit: Instant) -> bool {
        let next = self.batches.front().and_then(|batch| batch.until);
        next.is_some_and(|until| until <= limit)
    }

    /// The end of the last frame.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes that wait, those of shared bodies included.
    pub(crate) fn len(&self) -> u64 {
        self.batches
            .front()
            .map_or(0, |first| self.end - first.start)
    }

    /// Sees that there is a batch to take, if only an empty one.
    pub(crate) fn call_writer(&mut self) {
        if self.is_empty() {
            self.open_batch(self.end, None, 0);
        }
    }

    /// The next batch, for one writer.
    pub(crate) fn take(&mut self) -> Option<Batch<G>> {
        let batch = self.batches.pop_front()?;
        self.writing = Some(batch.number);
        self.awaited -= batch.frames.iter().filter(|frame| frame.awaited).count();
        Some(batch)
    }

    /// A mark of the frames added so far, for [`is_behind`](Outbox::is_behind).
    pub(crate) fn mark(&self) -> u64 {
        self.opened
    }

    /// Whether writers have got beyond it.
    pub(crate) fn is_behind(&self, mark: u64) -> bool {
        let next = self.batches.front().map(|batch| batch.number);
        self.writing.or(next).is_none_or(|number| number > mark)
    }

    /// The number of queued frames whose answers are due soon.
    pub(crate) fn awaited(&self) -> usize {
        self.awaited
    }

    /// Takes a written batch back, for its buffers; says whether more wait.
    pub(crate) fn recycle(&mut self, mut batch: Batch<G>) -> bool {
        self.writing = None;
        if self.free_list.len() < MOST_FREE && batch.bytes.capacity() <= 4 * BATCH {
            batch.bytes.clear();
            batch.idle_bytes = 0;
            batch.frames.clear();
            batch.guards.clear();
            batch.late_bytes = 0;
            self.free_list.push(batch);
        }
        !self.batches.is_empty()
    }

    /// The batch for the next frame, which begins at `start` and adds this many bytes.
    fn open_batch(&mut self, start: u64, until: Option<Instant>, inline: usize) -> &mut Batch<G> {
        let open = self
            .batches
            .back()
            .is_some_and(|last| last.end() - last.start < BATCH as u64);
        if !open {
            let spare = self.free_list.pop();
            let mut batch = spare.unwrap_or(Batch {
                number: 0,
                start,
                until,
                // Behind another batch this one is likely to fill up too, with similar frames. It
                // reserves no more than that: while a peer does not read, there are many batches.
                bytes: Vec::with_capacity(match (self.batches.is_empty(), self.end - start) {
                    (false, len @ 1..) if len < BATCH as u64 => (BATCH / len as usize + 1) * inline,
                    _ => 0,
                }),
                idle_bytes: 0,
                frames: vec![],
                guards: vec![],
                late_bytes: 0,
            });
            (batch.start, batch.until) = (start, until);
            self.opened += 1;
            batch.number = self.opened;
            self.batches.push_back(batch);
        }
        let last = self.batches.len() - 1;
        &mut self.batches[last]
    }
}

impl<G> Batch<G> {
    /// Its end, if none of it must be written.
    fn place(&self) -> Option<u64> {
        let [frame] = &self.frames[..] else {
            return None;
        };
        (frame.cancelled && self.guards.is_empty()).then_some(frame.end)
    }

    /// Lets go of the bytes of frames that were taken out again; of neighbours one place is left.
    fn compact(&mut self) {
        let mut bytes = Vec::with_capacity(self.bytes.len() - self.idle_bytes);
        let mut at = 0;
        for frame in &mut self.frames {
            let own = at..at + frame.inline;
            at = own.end;
            match frame.cancelled {
                true => frame.inline = 0,
                false => bytes.extend_from_slice(&self.bytes[own]),
            }
        }
        self.frames.dedup_by(|next, frame| {
            let both = next.cancelled && frame.cancelled;
            if both {
                frame.end = next.end;
            }
            both
        });
        self.frames.shrink_to_fit();
        (self.bytes, self.idle_bytes) = (bytes, 0);
    }

    /// Hands over the bytes to be written, in as few runs as can be, until one fails. Then gives back what
    /// was kept for the frames.
    pub(crate) fn write<E>(&mut self, take: impl FnMut(Run<'_>) -> Result<(), E>) -> Result<(), E> {
        if self.late_bytes > 0 {
            self.gather();
        }
        let written = self.try_each_run(take);
        self.guards.clear();
        written
    }

    /// Copies the bodies that were not worth it when they came, so that all leaves in few writes.
    fn gather(&mut self) {
        let late = std::mem::take(&mut self.late_bytes);
        let mut bytes = Vec::with_capacity(self.bytes.len() + late);
        let mut at = 0;
        for frame in &mut self.frames {
            let own = at..at + frame.inline;
            at = own.end;
            bytes.extend_from_slice(&self.bytes[own]);
            if let Some(body) = frame.body.take_if(|body| body.len() < SHARE_FROM) {
                bytes.extend_from_slice(&body);
                frame.inline += body.len();
            }
        }
        self.bytes = bytes;
    }

    /// The end of the batch in the stream.
    fn end(&self) -> u64 {
        self.frames.last().map_or(self.start, |frame| frame.end)
    }

    fn try_each_run<E>(&self, mut take: impl FnMut(Run<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut pending: Range<usize> = 0..0;
        let mut position = self.start;
        let flush =
            |take: &mut dyn FnMut(Run<'_>) -> Result<(), E>, range: &Range<usize>, end| match range
                .is_empty()
            {
                true => Ok(()),
                false => take(Run::Bytes(&self.bytes[range.clone()], end)),
            };
        for frame in &self.frames {
            let inline = pending.end..pending.end + frame.inline;
            if frame.cancelled {
                flush(&mut take, &pending, position)?;
                take(Run::Skip(frame.end))?;
                pending = inline.end..inline.end;
            } else {
                pending.end = inline.end;
                if let Some(body) = &frame.body {
                    flush(&mut take, &pending, frame.end - body.len() as u64)?;
                    take(Run::Bytes(body, frame.end))?;
                    pending.start = pending.end;
                }
            }
            position = frame.end;
        }
        flush(&mut take, &pending, position)
    }

    /// Whether there are several frames.
    pub(crate) fn is_burst(&self) -> bool {
        const SEVERAL: usize = 4;
        self.frames.len() >= SEVERAL
    }

    /// The number of frames with a guard that do not end before `position`.
    pub(crate) fn lost(&self, position: u64) -> usize {
        let lost = |frame: &&Frame| frame.guarded && !frame.cancelled && frame.end > position;
        self.frames.iter().filter(lost).count()
    }
}

#[cfg(test)]
mod tests;
