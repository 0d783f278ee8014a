//! The offset file in its folder.
//!
//! A save writes a new file, makes it durable, and renames it; the previous file is kept. So at any
//! time, also after a crash, one of the files is complete.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::java;
use super::owner::{Owner, Refused};
use super::table::{Damage, MOST_BYTES, OffsetTable};
use crate::error::{Error, ErrorKind, Result};

/// Our files, in the order in which they are tried: a file is read if those before it are missing or
/// damaged.
const OURS: [&str; 3] = [CURRENT, ASIDE, PREVIOUS];
const CURRENT: &str = "offsets";
const ASIDE: &str = "offsets.new";
const PREVIOUS: &str = "offsets.old";

/// Java's file, read if none of ours exists.
const JAVAS: [&str; 2] = ["offsets.json", "offsets.json.bak"];

/// The folder of one group and one instance name.
#[derive(Debug)]
pub(crate) struct OffsetFolder {
    path: PathBuf,
    owner: Owner,
}

/// The contents of the folder.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) table: OffsetTable,
    pub(crate) source: Source,
    /// Files that could not be used, and why. Our own ones are renamed.
    pub(crate) damaged: Vec<(PathBuf, String)>,
}

/// The file that the offsets come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// No usable file: the start rule decides.
    Nothing,
    /// The last save, or one that was interrupted after its file was complete.
    Ours,
    /// The save before the last one: messages since then come again.
    Previous,
    /// A file of Java's consumers, or of another client.
    Java,
}

impl OffsetFolder {
    /// The folder of a group below `base`. Both names are encoded so that all file systems accept them.
    pub(crate) fn path_of(base: &Path, instance_name: &str, group: &str) -> PathBuf {
        base.join(file_name(instance_name)).join(file_name(group))
    }

    /// Opens the folder, and creates it if it does not exist. `javas` is the folder of a Java consumer of
    /// the same name. `token` is unique to this consumer.
    ///
    /// # Errors
    /// `Config`: another consumer has it. `Io`: it cannot be created or read.
    pub(crate) fn open(
        path: PathBuf,
        javas: &Path,
        token: &str,
        now_ms: u64,
    ) -> Result<(OffsetFolder, Loaded)> {
        fs::create_dir_all(&path).map_err(|error| failed(&path, "making", error))?;
        let lock = path.join("offsets.lock");
        let owner = Owner::acquire(lock, token, now_ms).map_err(|r| refused(&path, r))?;
        let loaded = load(&path, javas, now_ms)?;
        let folder = OffsetFolder { path, owner };
        Ok((folder, loaded))
    }

    /// Saves all offsets, durably.
    ///
    /// # Errors
    /// `Config`: another process took the folder meanwhile. `Io`: the disk is full or read-only; the
    /// previous save is still there.
    pub(crate) fn save(&self, table: &OffsetTable, now_ms: u64) -> Result<()> {
        let confirmed = self
            .owner
            .confirm(now_ms)
            .map_err(|r| refused(&self.path, r));
        confirmed.and_then(|()| {
            let saved = replace(&self.path, table.format().as_bytes());
            saved.map_err(|error| failed(&self.path, "saving the offsets in", error))
        })
    }

    /// Confirms that this consumer still has the folder.
    ///
    /// # Errors
    /// `Config`: another process took it. `Io`: it cannot be written.
    pub(crate) fn confirm(&self, now_ms: u64) -> Result<()> {
        let confirmed = self.owner.confirm(now_ms);
        confirmed.map_err(|r| refused(&self.path, r))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn replace(folder: &Path, text: &[u8]) -> io::Result<()> {
    let [current, aside, previous] = OURS.map(|name| folder.join(name));
    let mut file = File::create(&aside)?;
    file.write_all(text)?;
    file.sync_all()?;
    drop(file);
    match fs::rename(&current, &previous) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(&aside, &current)?;
    // Not all systems can sync a folder; the files are complete in any case.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

fn load(folder: &Path, javas: &Path, now_ms: u64) -> Result<Loaded> {
    let mut loaded = Loaded {
        table: OffsetTable::default(),
        source: Source::Nothing,
        damaged: Vec::new(),
    };
    let mut is_new = true;
    for name in OURS {
        let path = folder.join(name);
        let Some(text) = read(&path)? else { continue };
        // A new file that is not complete is no save.
        is_new &= name == ASIDE;
        match OffsetTable::parse(&text) {
            Ok(table) => {
                loaded.table = table;
                loaded.source = match name {
                    PREVIOUS => Source::Previous,
                    _ => Source::Ours,
                };
                return Ok(loaded);
            }
            Err(Damage::Checksum) if name == ASIDE => {}
            Err(damage) => {
                let kept = folder.join(format!("{name}.damaged-{now_ms}"));
                let moved = fs::rename(&path, &kept).is_ok();
                let place = if moved { kept } else { path };
                loaded.damaged.push((place, damage.to_string()));
            }
        }
    }
    if !is_new {
        return Ok(loaded);
    }
    let places = [folder, javas].into_iter();
    for path in places.flat_map(|place| JAVAS.map(|name| place.join(name))) {
        let Some(text) = read(&path)? else { continue };
        match java::parse(&text, now_ms) {
            Ok(table) => {
                loaded.table = table;
                loaded.source = Source::Java;
                break;
            }
            Err(damage) => loaded.damaged.push((path, damage.to_string())),
        }
    }
    Ok(loaded)
}

/// The file's bytes, at most one more than is allowed; `None` if it does not exist.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let read = || -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        File::open(path)?
            .take(MOST_BYTES as u64 + 1)
            .read_to_end(&mut text)?;
        Ok(text)
    };
    match read() {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, "reading", error)),
    }
}

fn failed(path: &Path, doing: &str, error: io::Error) -> Error {
    let text = format!("{doing} {}: {error}", path.display());
    Error::new(ErrorKind::Io, text).caused_by(error)
}

fn refused(path: &Path, refused: Refused) -> Error {
    match refused {
        Refused::Io(error) => failed(path, "locking", error),
        Refused::Held(holder) => {
            let text = format!(
                "the offsets in {} are in use by process {}: each consumer of a broadcasting group \
                 needs an instance name of its own",
                path.display(),
                holder.pid
            );
            Error::new(ErrorKind::Config, text)
        }
    }
}

/// A name that is legal everywhere: other characters than `a-zA-Z0-9_-` are written as `~` and their
/// UTF-8 bytes in hexadecimal.
fn file_name(name: &str) -> String {
    let mut safe = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => safe.push(char::from(byte)),
            _ => safe.push_str(&format!("~{byte:02x}")),
        }
    }
    if safe.is_empty() {
        "~".to_owned()
    } else {
        safe
    }
}

#[cfg(test)]
pub(super) mod tests;
