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

/// A batch is closed when it holds this much: what is in a batch can no longer be taken out once a
/// writer has it, so a batch should leave in about one write.
const BATCH: usize = 64 * 1024;

/// One is written, one is filled, and while the writer is late others are full.
const SPARES: usize = 3;

/// What is kept for frames until they are written (a permit).
pub(crate) trait Guard: Sized {
    /// Makes one of two, or gives the other one back if that cannot be.
    fn merge(&mut self, other: Self) -> Option<Self>;
}

/// The frames that wait.
pub(crate) struct Outbox<G> {
    batches: VecDeque<Batch<G>>,
    /// Emptied batches, for their buffers.
    spares: Vec<Batch<G>>,
    /// Where the last frame ends.
    end: u64,
    /// How many of the frames have an end of their own: somebody waits for their answers.
    awaited: usize,
}

/// What one writer takes and writes before anyone else.
pub(crate) struct Batch<G> {
    start: u64,
    /// When the last of its frames is given up if it is still not written; `None` if one never is.
    until: Option<Instant>,
    bytes: Vec<u8>,
    frames: Vec<Frame>,
    /// Those of all its frames.
    guards: Vec<G>,
}

struct Frame {
    /// How many of the batch's bytes belong to it.
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
            spares: Vec::new(),
            end: 0,
            awaited: 0,
        }
    }

    /// Adds a frame that is given up at `until`; returns where in the stream it ends.
    pub(crate) fn push(
        &mut self,
        head: &[u8],
        body: Option<&Arc<Vec<u8>>>,
        guard: Option<G>,
        until: Option<Instant>,
    ) -> u64 {
        let body_len = body.map_or(0, |body| body.len());
        let shared = body.filter(|body| body.len() >= SHARE_FROM).cloned();
        let start = self.end;
        self.awaited += usize::from(until.is_some());
        self.end += (head.len() + body_len) as u64;
        let end = self.end;
        let batch = self.open_batch(start, until);
        batch.until = batch.until.zip(until).map(|(a, b)| a.max(b));
        batch.bytes.extend_from_slice(head);
        let mut inline = head.len();
        if let (Some(body), None) = (body, &shared) {
            batch.bytes.extend_from_slice(body);
            inline += body_len;
        }
        batch.frames.push(Frame {
            inline,
            body: shared,
            end,
            cancelled: false,
            guarded: guard.is_some(),
            awaited: until.is_some(),
        });
        let spare = match (batch.guards.last_mut(), guard) {
            (Some(last), Some(guard)) => last.merge(guard),
            (None, guard) => guard,
            (_, None) => None,
        };
        batch.guards.extend(spare);
        end
    }

    /// Takes the frame that ends at `end` out again; false if it is not here any more.
    pub(crate) fn cancel(&mut self, end: u64) -> bool {
        let batch = self.batches.iter_mut().find(|batch| batch.end() >= end);
        let Some(batch) = batch else { return false };
        match batch.frames.binary_search_by_key(&end, |frame| frame.end) {
            Ok(i) => {
                let frame = &mut batch.frames[i];
                frame.body = None;
                !std::mem::replace(&mut frame.cancelled, true)
            }
            Err(_) => false,
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

    /// Where the last frame ends.
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
    #[cfg(feature = "tls")]
    pub(crate) fn call_writer(&mut self) {
        if self.is_empty() {
            self.open_batch(self.end, None);
        }
    }

    /// The next batch, for one writer.
    pub(crate) fn take(&mut self) -> Option<Batch<G>> {
        let batch = self.batches.pop_front()?;
        self.awaited -= batch.frames.iter().filter(|frame| frame.awaited).count();
        Some(batch)
    }

    /// How many frames wait whose answers somebody waits for.
    pub(crate) fn awaited(&self) -> usize {
        self.awaited
    }

    /// Gives a written batch's buffers back for reuse.
    pub(crate) fn recycle(&mut self, mut batch: Batch<G>) {
        if self.spares.len() < SPARES && batch.bytes.capacity() <= 4 * BATCH {
            batch.bytes.clear();
            batch.frames.clear();
            batch.guards.clear();
            self.spares.push(batch);
        }
    }

    /// The batch that takes the next frame, which begins at `start`.
    fn open_batch(&mut self, start: u64, until: Option<Instant>) -> &mut Batch<G> {
        let open = self
            .batches
            .back()
            .is_some_and(|last| last.end() - last.start < BATCH as u64);
        if !open {
            let spare = self.spares.pop();
            let mut batch = spare.unwrap_or(Batch {
                start,
                until,
                // Behind another batch this one is likely to become full too.
                bytes: Vec::with_capacity(if self.batches.is_empty() {
                    0
                } else {
                    2 * BATCH
                }),
                frames: vec![],
                guards: vec![],
            });
            (batch.start, batch.until) = (start, until);
            self.batches.push_back(batch);
        }
        let last = self.batches.len() - 1;
        &mut self.batches[last]
    }
}

impl<G> Batch<G> {
    /// Where in the stream the batch ends.
    fn end(&self) -> u64 {
        self.frames.last().map_or(self.start, |frame| frame.end)
    }

    /// Hands over the bytes to be written, in as few runs as can be, until one fails.
    pub(crate) fn try_each_run<E>(
        &self,
        mut take: impl FnMut(Run<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
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

    /// How many frames with a guard do not lie wholly before `position`.
    pub(crate) fn lost(&self, position: u64) -> usize {
        let lost = |frame: &&Frame| frame.guarded && !frame.cancelled && frame.end > position;
        self.frames.iter().filter(lost).count()
    }

    /// Gives back what was kept for the frames.
    pub(crate) fn release(&mut self) {
        self.guards.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts of one sign can be added.
    #[derive(Debug, PartialEq)]
    struct Count(i32);

    impl Guard for Count {
        fn merge(&mut self, other: Count) -> Option<Count> {
            if self.0.signum() != other.0.signum() {
                return Some(other);
            }
            self.0 += other.0;
            None
        }
    }

    /// The runs of a batch: bytes, or none for what is skipped, and where each ends.
    fn runs(batch: &Batch<Count>) -> Vec<(Option<Vec<u8>>, u64)> {
        let mut runs = Vec::new();
        let collected = batch.try_each_run(|run| {
            runs.push(match run {
                Run::Bytes(bytes, end) => (Some(bytes.to_vec()), end),
                Run::Skip(end) => (None, end),
            });
            Ok::<(), ()>(())
        });
        collected.unwrap();
        runs
    }

    fn bytes(bytes: &[u8], end: u64) -> (Option<Vec<u8>>, u64) {
        (Some(bytes.to_vec()), end)
    }

    fn skip(end: u64) -> (Option<Vec<u8>>, u64) {
        (None, end)
    }

    fn body(len: usize) -> Arc<Vec<u8>> {
        Arc::new(vec![b'b'; len])
    }

    #[test]
    fn small_frames_leave_in_one_run() {
        let mut outbox = Outbox::<Count>::new();
        assert_eq!(outbox.push(b"h1", Some(&body(3)), None, None), 5);
        assert_eq!(outbox.push(b"h2", None, None, None), 7);
        assert_eq!(outbox.len(), 7);
        let batch = outbox.take().unwrap();
        assert_eq!(runs(&batch), [bytes(b"h1bbbh2", 7)]);
        assert!(outbox.is_empty());
        outbox.recycle(batch);
        assert_eq!(outbox.push(b"h3", None, None, None), 9);
        assert_eq!(runs(&outbox.take().unwrap()), [bytes(b"h3", 9)]);
    }

    #[test]
    fn a_cancelled_frame_is_skipped_and_keeps_its_place() {
        let mut outbox = Outbox::<Count>::new();
        let ends: Vec<u64> = (0..4)
            .map(|_| outbox.push(b"head", Some(&body(2)), None, None))
            .collect();
        assert!(outbox.cancel(ends[1]));
        assert!(!outbox.cancel(ends[1]));
        assert!(!outbox.cancel(3));
        let batch = outbox.take().unwrap();
        assert!(
            !outbox.cancel(ends[2]),
            "a frame that was taken cannot be cancelled"
        );
        let runs = runs(&batch);
        assert_eq!(
            runs,
            [bytes(b"headbb", 6), skip(12), bytes(b"headbbheadbb", 24)]
        );
    }

    #[test]
    fn a_batch_closes_when_it_is_full_and_later_frames_can_still_be_cancelled() {
        let mut outbox = Outbox::<Count>::new();
        let ends: Vec<u64> = (0..5)
            .map(|_| outbox.push(&[7; BATCH / 2], None, None, None))
            .collect();
        let first = outbox.take().unwrap();
        assert_eq!(runs(&first), [bytes(&[7; BATCH], BATCH as u64)]);
        assert!(!outbox.cancel(ends[1]));
        assert!(outbox.cancel(ends[2]));
        assert!(outbox.cancel(ends[4]));
        assert_eq!(outbox.len(), 3 * BATCH as u64 / 2);
        assert!(outbox.take().is_some());
        assert_eq!(runs(&outbox.take().unwrap()), [skip(ends[4])]);
        assert!(outbox.take().is_none());
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_writer_can_be_called_without_a_frame() {
        let mut outbox = Outbox::<Count>::new();
        let first = outbox.push(b"one", None, None, None);
        outbox.take().unwrap();
        outbox.call_writer();
        assert!(!outbox.is_empty());
        assert!(!outbox.cancel(first), "it was taken before");
        let second = outbox.push(b"two", None, None, None);
        assert_eq!(outbox.len(), 3);
        outbox.call_writer();
        assert_eq!(runs(&outbox.take().unwrap()), [bytes(b"two", second)]);
        assert!(outbox.take().is_none());
    }

    #[test]
    fn a_large_body_is_not_copied() {
        let mut outbox = Outbox::<Count>::new();
        let large = body(SHARE_FROM);
        outbox.push(b"s", None, None, None);
        let end = outbox.push(b"head", Some(&large), None, None);
        outbox.push(b"t", None, None, None);
        assert_eq!(Arc::strong_count(&large), 2);
        let first = [bytes(b"shead", 5), bytes(&large, end)];
        assert_eq!(runs(&outbox.take().unwrap()), first);
        // It has filled its batch.
        assert_eq!(runs(&outbox.take().unwrap()), [bytes(b"t", end + 1)]);
    }

    #[test]
    fn guards_become_one_and_the_frames_that_were_not_written_are_counted() {
        let mut outbox = Outbox::new();
        let ends = [1, 2, 4].map(|n| outbox.push(b"frame", None, Some(Count(n)), None));
        outbox.push(b"nobody's", None, None, None);
        outbox.push(b"stranger's", None, Some(Count(-1)), None);
        outbox.cancel(ends[2]);
        let mut batch = outbox.take().unwrap();
        assert_eq!(batch.guards, [Count(7), Count(-1)]);
        assert_eq!(batch.lost(ends[0] - 1), 3);
        assert_eq!(batch.lost(ends[0]), 2);
        assert_eq!(batch.lost(u64::MAX), 0);
        batch.release();
        assert_eq!(batch.guards, []);
    }

    #[test]
    fn a_batch_ends_when_the_last_of_its_frames_is_given_up() {
        let now = Instant::now();
        let later = now + std::time::Duration::from_secs(1);
        let mut outbox = Outbox::<Count>::new();
        assert!(!outbox.next_ends_by(later));
        outbox.push(b"a", None, None, Some(later));
        outbox.push(b"b", None, None, Some(now));
        assert!(!outbox.next_ends_by(now));
        assert!(outbox.next_ends_by(later));
        outbox.push(b"c", None, None, None);
        assert!(
            !outbox.next_ends_by(later),
            "a frame without an end may be stuck"
        );
    }
}
