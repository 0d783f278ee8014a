//! The offset file of broadcasting in our own form: lines of text, with a version and a checksum.
//!
//! ```text
//! rocketmq-blocking offsets 1 aefc2286
//! ["Orders","broker-a",0,1234,1763700000000]
//! ```
//! A line has topic, broker, number of the queue, offset, and when this consumer last had the queue
//! (epoch milliseconds). The checksum is the CRC-32 of all bytes after the first line.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write;

use crate::message::MessageQueue;

/// How long offsets of queues that do not exist (a broker is down, a topic has fewer queues) are kept.
const KEPT_MS: u64 = 7 * 24 * 3600 * 1000;

/// Larger files are not read. A queue has about 100 bytes.
pub(super) const MOST_BYTES: usize = 64 * 1024 * 1024;

const NAME: &str = "rocketmq-blocking offsets";
const VERSION: u32 = 1;

/// The offsets of one group on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct OffsetTable(BTreeMap<MessageQueue, Entry>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    offset: u64,
    seen_ms: u64,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Its first line is another one.
    OtherFile,
    /// A later version of this library wrote it.
    Newer(u32),
    /// It is truncated, or its bytes changed.
    Checksum,
    TooLarge,
    /// What was expected where, for forms without a checksum.
    Syntax(&'static str, usize),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::OtherFile => write!(f, "it is not an offset file"),
            Damage::Newer(version) => write!(f, "it has version {version}, {VERSION} is known"),
            Damage::Checksum => write!(f, "it is truncated, or its bytes changed"),
            Damage::TooLarge => write!(f, "it is larger than {MOST_BYTES} bytes"),
            Damage::Syntax(what, at) => write!(f, "{what} expected at byte {at}"),
        }
    }
}

impl OffsetTable {
    pub(crate) fn get(&self, queue: &MessageQueue) -> Option<u64> {
        self.0.get(queue).map(|entry| entry.offset)
    }

    /// Sets the offset of a queue of this consumer.
    pub(crate) fn set(&mut self, queue: &MessageQueue, offset: u64, now_ms: u64) {
        let entry = Entry {
            offset,
            seen_ms: now_ms,
        };
        self.0.insert(queue.clone(), entry);
    }

    /// Notes that this consumer has these queues now. Offsets of other queues are dropped after a week.
    pub(crate) fn seen<'a>(
        &mut self,
        queues: impl IntoIterator<Item = &'a MessageQueue>,
        now_ms: u64,
    ) {
        for queue in queues {
            if let Some(entry) = self.0.get_mut(queue) {
                entry.seen_ms = now_ms;
            }
        }
        self.0
            .retain(|_, entry| now_ms.saturating_sub(entry.seen_ms) <= KEPT_MS);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// As text.
    pub(crate) fn format(&self) -> String {
        let mut lines = String::new();
        for (queue, entry) in &self.0 {
            let (topic, broker, id) = (queue.topic(), queue.broker(), queue.id());
            let line = (topic, broker, id, entry.offset, entry.seen_ms);
            let line = serde_json::to_string(&line).expect("texts and numbers");
            let _ = writeln!(lines, "{line}");
        }
        let checksum = checksum(lines.as_bytes());
        format!("{NAME} {VERSION} {checksum:08x}\n{lines}")
    }

    /// Reads our own form.
    ///
    /// # Errors
    /// The file is truncated, changed, too large, or another file. It is never read in part.
    pub(crate) fn parse(text: &[u8]) -> Result<OffsetTable, Damage> {
        if text.len() > MOST_BYTES {
            return Err(Damage::TooLarge);
        }
        let rest = text.strip_prefix(NAME.as_bytes());
        let rest = rest.ok_or(match NAME.as_bytes().starts_with(text) {
            true => Damage::Checksum,
            false => Damage::OtherFile,
        })?;
        let end = rest.iter().position(|b| *b == b'\n');
        let (first, lines) = rest.split_at(end.ok_or(Damage::Checksum)?);
        let first = std::str::from_utf8(first).map_err(|_| Damage::Checksum)?;
        let mut words = first.split(' ').skip(1);
        let version = words.next().and_then(|word| word.parse().ok());
        let version: u32 = version.ok_or(Damage::Checksum)?;
        if version > VERSION {
            return Err(Damage::Newer(version));
        }
        if version != VERSION {
            return Err(Damage::Checksum);
        }
        let expected = words.next().filter(|word| word.len() == 8);
        let expected = expected.and_then(|word| u32::from_str_radix(word, 16).ok());
        let lines = &lines[1..];
        if expected != Some(checksum(lines)) || words.next().is_some() {
            return Err(Damage::Checksum);
        }
        let mut table = OffsetTable::default();
        for line in lines.split_inclusive(|b| *b == b'\n') {
            let line = serde_json::from_slice(line);
            let (topic, broker, id, offset, seen_ms): (String, String, i32, u64, u64) =
                line.map_err(|_| Damage::Checksum)?;
            let entry = Entry { offset, seen_ms };
            table.0.insert(MessageQueue::new(topic, broker, id), entry);
        }
        Ok(table)
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn queue(id: i32) -> MessageQueue {
        MessageQueue::new("Orders", "broker-a", id)
    }

    fn table() -> OffsetTable {
        let mut table = OffsetTable::default();
        table.set(&queue(0), 1234, 1_763_700_000_000);
        table.set(&MessageQueue::new("a\"\n\u{1F600}", "\\", -1), u64::MAX, 0);
        table
    }

    #[test]
    fn the_form_is_stable() {
        let mut table = OffsetTable::default();
        let empty = "rocketmq-blocking offsets 1 00000000\n";
        assert_eq!(table.format(), empty);
        table.set(&queue(0), 1234, 1_763_700_000_000);
        let text = "rocketmq-blocking offsets 1 aefc2286\n[\"Orders\",\"broker-a\",0,1234,1763700000000]\n";
        assert_eq!(table.format(), text);
        assert_eq!(OffsetTable::parse(text.as_bytes()), Ok(table));
        assert_eq!(
            OffsetTable::parse(empty.as_bytes()),
            Ok(OffsetTable::default())
        );
    }

    #[test]
    fn a_part_of_a_file_is_refused() {
        let text = table().format();
        for end in 0..text.len() {
            let part = OffsetTable::parse(&text.as_bytes()[..end]);
            assert_eq!(part, Err(Damage::Checksum), "cut at {end}");
        }
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            assert!(OffsetTable::parse(&changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn other_files_are_named() {
        let parse = |text: &str| OffsetTable::parse(text.as_bytes()).expect_err("not ours");
        assert_eq!(parse("{\"offsetTable\":{}}"), Damage::OtherFile);
        assert_eq!(
            parse("rocketmq-blocking offsets 2 anything\n"),
            Damage::Newer(2)
        );
        let text = parse("rocketmq-blocking offsets 2 anything\n").to_string();
        assert_eq!(text, "it has version 2, 1 is known");
        let large = vec![b' '; MOST_BYTES + 1];
        assert_eq!(OffsetTable::parse(&large), Err(Damage::TooLarge));
    }

    #[test]
    fn offsets_of_absent_queues_stay_for_a_week() {
        const DAY: u64 = 24 * 3600 * 1000;
        let mut table = OffsetTable::default();
        (0..3).for_each(|id| table.set(&queue(id), 5, DAY));
        table.seen(&[queue(0), queue(9)], 8 * DAY);
        assert_eq!(table.len(), 3);
        table.seen(&[queue(0)], 8 * DAY + 1);
        assert_eq!(
            (table.len(), table.get(&queue(0)), table.get(&queue(1))),
            (1, Some(5), None)
        );
        // A clock that goes back drops nothing.
        table.seen(&[], 0);
        assert_eq!(table.len(), 1);
    }

    proptest! {
        #![proptest_config(crate::consumer::cases(50, 5_000))]
        #[test]
        fn any_table_comes_back(
            entries in prop::collection::vec((any::<String>(), any::<String>(), any::<i32>(), any::<u64>(), any::<u64>()), 0..20)
        ) {
            let mut table = OffsetTable::default();
            for (topic, broker, id, offset, seen) in entries {
                table.set(&MessageQueue::new(topic, broker, id), offset, seen);
            }
            prop_assert_eq!(OffsetTable::parse(table.format().as_bytes()), Ok(table));
        }

        #[test]
        fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..60) {
            let text = table().format();
            let mixed = [&text.as_bytes()[..cut], &bytes].concat();
            prop_assert!(OffsetTable::parse(&mixed).is_err());
        }
    }
}
