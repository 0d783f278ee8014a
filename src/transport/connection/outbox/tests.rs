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

/// The runs of a batch: bytes, or none for skipped ones, and the end of each.
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
    assert_eq!(outbox.push(b"h1", Some(&body(3)), None, Due::Never), 5);
    assert_eq!(outbox.push(b"h2", None, None, Due::Never), 7);
    assert_eq!(outbox.len(), 7);
    let batch = outbox.take().unwrap();
    assert_eq!(runs(&batch), [bytes(b"h1bbbh2", 7)]);
    assert!(outbox.is_empty());
    outbox.recycle(batch);
    assert_eq!(outbox.push(b"h3", None, None, Due::Never), 9);
    assert_eq!(runs(&outbox.take().unwrap()), [bytes(b"h3", 9)]);
}

#[test]
fn a_cancelled_frame_is_skipped_and_keeps_its_place() {
    let mut outbox = Outbox::<Count>::new();
    let ends: Vec<u64> = (0..4)
        .map(|_| outbox.push(b"head", Some(&body(2)), None, Due::Never))
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

/// Any number: a peer does not read, and each sender soon gives up and sends again.
#[test]
fn of_cancelled_frames_nothing_is_kept_but_places() {
    let mut outbox = Outbox::<Count>::new();
    let later = Due::Soon(Instant::now());
    let push = |outbox: &mut Outbox<Count>| outbox.push(&[7; 1000], None, None, later);
    let mut kept = Vec::new();
    for round in 0..100 {
        let ends: Vec<u64> = (0..100).map(|_| push(&mut outbox)).collect();
        // Each tenth round one is not given up.
        let stays = usize::from(round % 10 == 0);
        kept.extend(&ends[..stays]);
        ends[stays..]
            .iter()
            .for_each(|end| assert!(outbox.cancel(*end)));
        let held: usize = outbox.batches.iter().map(|b| b.bytes.capacity()).sum();
        assert!(held <= 10 * BATCH, "{held} bytes after {round} rounds");
        assert!(outbox.batches.len() <= 2 * kept.len() + 1);
    }
    assert_eq!((outbox.len(), outbox.awaited()), (outbox.end(), kept.len()));
    let mut left = Vec::new();
    while let Some(batch) = outbox.take() {
        left.extend(
            runs(&batch)
                .into_iter()
                .filter(|(bytes, _)| bytes.is_some()),
        );
    }
    let kept: Vec<_> = kept.iter().map(|end| bytes(&[7; 1000], *end)).collect();
    assert_eq!(left, kept);
}

#[test]
fn a_batch_closes_when_it_is_full_and_later_frames_can_still_be_cancelled() {
    let mut outbox = Outbox::<Count>::new();
    let ends: Vec<u64> = (0..5)
        .map(|_| outbox.push(&[7; BATCH / 2], None, None, Due::Never))
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
    let first = outbox.push(b"one", None, None, Due::Never);
    outbox.take().unwrap();
    outbox.call_writer();
    assert!(!outbox.is_empty());
    assert!(!outbox.cancel(first), "it was taken before");
    let second = outbox.push(b"two", None, None, Due::Never);
    assert_eq!(outbox.len(), 3);
    outbox.call_writer();
    assert_eq!(runs(&outbox.take().unwrap()), [bytes(b"two", second)]);
    assert!(outbox.take().is_none());
}

#[test]
fn a_mark_is_behind_when_writers_have_got_beyond_it_and_not_when_later_frames_are_cancelled() {
    let mut outbox = Outbox::<Count>::new();
    assert!(outbox.is_behind(outbox.mark()), "there is nothing yet");
    outbox.push(b"stuck", None, None, Due::Never);
    let stuck = outbox.mark();
    assert!(!outbox.is_behind(stuck));
    let batch = outbox.take().unwrap();
    assert!(!outbox.is_behind(stuck));
    let large =
        |outbox: &mut Outbox<Count>| outbox.push(b"h", Some(&body(BATCH)), None, Due::Never);
    let ends = [0; 3].map(|_| large(&mut outbox));
    let later = outbox.mark();
    assert!(ends.into_iter().all(|end| outbox.cancel(end)));
    assert!(!outbox.is_behind(stuck), "it is still being written");
    outbox.recycle(batch);
    assert!(outbox.is_behind(stuck));
    assert!(!outbox.is_behind(later));
    while let Some(batch) = outbox.take() {
        outbox.recycle(batch);
    }
    assert!(outbox.is_behind(later));
}

#[test]
fn a_large_body_is_not_copied() {
    let mut outbox = Outbox::<Count>::new();
    let large = body(SHARE_FROM);
    outbox.push(b"s", None, None, Due::Never);
    let end = outbox.push(b"head", Some(&large), None, Due::Never);
    outbox.push(b"t", None, None, Due::Never);
    assert_eq!(Arc::strong_count(&large), 2);
    let first = [bytes(b"shead", 5), bytes(&large, end)];
    assert_eq!(runs(&outbox.take().unwrap()), first);
    // It has filled its batch.
    assert_eq!(runs(&outbox.take().unwrap()), [bytes(b"t", end + 1)]);
}

#[test]
fn where_much_waits_bodies_are_not_copied_before_they_are_written() {
    let mut outbox = Outbox::<Count>::new();
    let (early, late, tiny) = (body(1000), body(1000), body(100));
    while outbox.len() < BACKED_UP {
        outbox.push(b"head", Some(&early), None, Due::Never);
    }
    assert_eq!(Arc::strong_count(&early), 1, "there is speed in a copy");
    while outbox
        .batches
        .back()
        .is_some_and(|last| last.end() - last.start < BATCH as u64)
    {
        outbox.push(b"head", None, None, Due::Never);
    }
    let start = outbox.end();
    let ends =
        [&late, &tiny, &late, &late].map(|b| outbox.push(b"head", Some(b), None, Due::Never));
    assert_eq!((Arc::strong_count(&late), Arc::strong_count(&tiny)), (4, 1));
    assert!(outbox.cancel(ends[2]));
    assert_eq!(Arc::strong_count(&late), 3);
    outbox.push(b"head", Some(&body(SHARE_FROM)), None, Due::Never);
    outbox.batches.drain(..outbox.batches.len() - 1);
    let mut batch = outbox.take().unwrap();
    assert_eq!(batch.start, start);
    let apart = runs(&batch);
    batch.gather();
    assert_eq!(Arc::strong_count(&late), 1);
    let gathered = runs(&batch);
    let ends_of =
        |runs: &[(Option<Vec<u8>>, u64)]| -> Vec<u64> { runs.iter().map(|r| r.1).collect() };
    let large = outbox.end();
    let head = large - SHARE_FROM as u64;
    assert_eq!(ends_of(&gathered), [ends[1], ends[2], head, large]);
    // The same bytes, in fewer runs.
    let stream = |runs: &[(Option<Vec<u8>>, u64)]| -> Vec<u8> {
        runs.iter()
            .filter_map(|run| run.0.clone())
            .flatten()
            .collect()
    };
    assert!(apart.len() > gathered.len());
    assert_eq!(stream(&apart), stream(&gathered));
    outbox.recycle(batch);
    outbox.push(b"next", None, None, Due::Never);
    let mut next = outbox.take().unwrap();
    next.gather();
    assert_eq!(runs(&next), [bytes(b"next", large + 4)]);
}

#[test]
fn guards_become_one_and_the_frames_that_were_not_written_are_counted() {
    let mut outbox = Outbox::new();
    let ends = [1, 2, 4].map(|n| outbox.push(b"frame", None, Some(Count(n)), Due::Never));
    outbox.push(b"nobody's", None, None, Due::Never);
    outbox.push(b"stranger's", None, Some(Count(-1)), Due::Never);
    outbox.cancel(ends[2]);
    let mut batch = outbox.take().unwrap();
    assert_eq!(batch.guards, [Count(7), Count(-1)]);
    assert_eq!(batch.lost(ends[0] - 1), 3);
    assert_eq!(batch.lost(ends[0]), 2);
    assert_eq!(batch.lost(u64::MAX), 0);
    let _ = batch.write(|_| Ok::<(), ()>(()));
    assert_eq!(batch.guards, []);
}

#[test]
fn a_batch_ends_when_the_last_of_its_frames_is_given_up() {
    let now = Instant::now();
    let later = now + std::time::Duration::from_secs(1);
    let mut outbox = Outbox::<Count>::new();
    assert!(!outbox.next_ends_by(later));
    outbox.push(b"a", None, None, Due::Soon(later));
    outbox.push(b"b", None, None, Due::Parked(now));
    assert_eq!(outbox.awaited(), 1);
    assert!(!outbox.next_ends_by(now));
    assert!(outbox.next_ends_by(later));
    outbox.push(b"c", None, None, Due::Never);
    assert!(
        !outbox.next_ends_by(later),
        "a frame without an end may be stuck"
    );
}
