//! The offsets of a broadcasting consumer, which no broker keeps: in a file if it has an instance name and
//! an `offset_dir`, otherwise in memory only.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::disk::{OffsetFolder, Source};
use super::progress::Commit;
use super::start::Committed;
use super::table::OffsetTable;
use crate::consumer::LOG;
use crate::error::Result;
use crate::logging;
use crate::message::MessageQueue;
use crate::sync::Mutex;
use crate::sync::channel::{self, Receiver, RecvTimeoutError, Sender};
use crate::transport::epoch_millis;

/// How often the folder is confirmed as taken while nothing is saved. Other processes may take it after
/// 30 s without a confirmation.
const CONFIRM_EVERY: Duration = Duration::from_secs(10);

/// The saved offsets: in the file, or, without one, in memory.
#[derive(Debug, Default)]
pub(crate) struct SavedOffsets(Mutex<OffsetTable>);

/// The offsets, for the control thread. It never waits for the disk: another thread saves.
pub(crate) struct LocalOffsets {
    saved: Arc<SavedOffsets>,
    /// The channel to the thread that saves; `None` without a file.
    saver: Option<Sender<Vec<(MessageQueue, u64)>>>,
    /// The commits of the next save.
    waiting: Vec<Commit>,
    /// The commits of the save in progress.
    saving: Vec<Commit>,
    failures: u32,
}

/// The state of the thread that saves.
pub(crate) struct Saver {
    folder: OffsetFolder,
    saved: Arc<SavedOffsets>,
    changes: Receiver<Vec<(MessageQueue, u64)>>,
}

impl SavedOffsets {
    pub(crate) fn get(&self, queue: &MessageQueue) -> Option<u64> {
        self.0.lock().get(queue)
    }

    fn set(&self, table: OffsetTable) {
        *self.0.lock() = table;
    }
}

impl LocalOffsets {
    /// Without a file: the offsets are lost at the end of the consumer.
    pub(crate) fn in_memory() -> LocalOffsets {
        LocalOffsets {
            saved: Arc::default(),
            saver: None,
            waiting: Vec::new(),
            saving: Vec::new(),
            failures: 0,
        }
    }

    /// The offsets of a group in its folder. `client_id` identifies this consumer, and the folder of Java's
    /// file, which is read if none of ours exists.
    ///
    /// # Errors
    /// `Config`: another consumer has the folder. `Io`: it cannot be created or read.
    pub(crate) fn open(
        base: &Path,
        instance_name: &str,
        client_id: &str,
        group: &str,
    ) -> Result<(LocalOffsets, Saver)> {
        let now_ms = now_ms();
        let path = OffsetFolder::path_of(base, instance_name, group);
        let javas = base.join(client_id).join(group);
        let token = format!("{client_id}-{:x}", unique());
        let (folder, loaded) = OffsetFolder::open(path, &javas, &token, now_ms)?;
        let shown = folder.path().display();
        for (path, damage) in &loaded.damaged {
            let path = path.display();
            logging::warn!(target: LOG, "{path}: an offset file that cannot be used: {damage}");
        }
        let count = loaded.table.len();
        match loaded.source {
            Source::Nothing => logging::info!(target: LOG, "{shown}: no offsets yet"),
            Source::Ours => logging::info!(target: LOG, "{shown}: {count} offsets"),
            Source::Previous => logging::warn!(
                target: LOG,
                "{shown}: {count} offsets of the save before the last one: some messages come again"
            ),
            Source::Java => logging::info!(target: LOG, "{shown}: {count} offsets of Java's"),
        }
        let mut local = LocalOffsets::in_memory();
        local.saved.set(loaded.table);
        // One save at a time, and possibly an earlier one that was just answered.
        let (sender, changes) = channel::bounded(2);
        local.saver = Some(sender);
        let saver = Saver {
            folder,
            saved: local.saved.clone(),
            changes,
        };
        Ok((local, saver))
    }

    pub(crate) fn saved(&self) -> &Arc<SavedOffsets> {
        &self.saved
    }

    pub(crate) fn committed(&self, queue: &MessageQueue) -> Committed {
        match self.saved.get(queue) {
            Some(offset) => Committed::Known(offset),
            None => Committed::NotFound,
        }
    }

    /// Adds a commit to the next [`save`](LocalOffsets::save).
    pub(crate) fn put(&mut self, commit: Commit) {
        self.waiting.push(commit);
    }

    /// Saves the waiting commits, unless a save is in progress. Returns the commits that are saved already
    /// (without a file).
    pub(crate) fn save(&mut self) -> Vec<Commit> {
        if !self.saving.is_empty() || self.waiting.is_empty() {
            return Vec::new();
        }
        let commits = std::mem::take(&mut self.waiting);
        let changes = commits.iter().map(|c| (c.queue.clone(), c.offset));
        let changes: Vec<_> = changes.collect();
        match &self.saver {
            Some(saver) => {
                self.saving = commits;
                // The thread lives as long as this channel.
                let _ = saver.try_send(changes);
                Vec::new()
            }
            None => {
                let mut table = self.saved.0.lock();
                let now_ms = now_ms();
                changes.iter().for_each(|(q, o)| table.set(q, *o, now_ms));
                commits
            }
        }
    }

    /// The save has ended. Returns whether it was the second failure in a row, and the commits of the save.
    pub(crate) fn ended(&mut self, is_saved: bool) -> (bool, Vec<Commit>) {
        self.failures = match is_saved {
            true => 0,
            false => self.failures.saturating_add(1),
        };
        (self.failures == 2, std::mem::take(&mut self.saving))
    }
}

impl Saver {
    /// The loop of its thread, which ends with the [`LocalOffsets`]. `told` gets the result of each save.
    pub(crate) fn run(self, told: impl Fn(Result<()>)) {
        let mut table = self.saved.0.lock().clone();
        let mut ours: Vec<MessageQueue> = Vec::new();
        loop {
            let until = Instant::now() + CONFIRM_EVERY;
            match self.changes.recv_deadline(until) {
                Ok(changes) => {
                    let now_ms = now_ms();
                    for (queue, offset) in changes {
                        table.set(&queue, offset, now_ms);
                        if !ours.contains(&queue) {
                            ours.push(queue);
                        }
                    }
                    table.seen(&ours, now_ms);
                    let saved = self.folder.save(&table, now_ms);
                    if saved.is_ok() {
                        self.saved.set(table.clone());
                    }
                    told(saved);
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.folder.confirm(now_ms()) {
                        logging::warn!(target: LOG, "{error}");
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

fn now_ms() -> u64 {
    epoch_millis().try_into().unwrap_or(0)
}

/// Distinguishes two consumers of a process that have the same client id.
fn unique() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
