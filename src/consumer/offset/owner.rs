//! The file that keeps a second process out of a folder.
//!
//! In the oldest supported Rust the standard library has no file locks that end with their process. So
//! the file names the process that has the folder. A process that can be looked up (Linux, in the same
//! pid namespace) has it until it ends; any other process has it until 30 s after its last confirmation.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// How long a holder that cannot be looked up counts after its last confirmation.
const ALIVE_MS: u64 = 30_000;

/// A folder that this consumer has; released by `Drop`.
#[derive(Debug)]
pub(super) struct Owner {
    file: PathBuf,
    token: String,
}

/// The holder of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    /// Unique in the world, without white space.
    token: String,
    pub(super) pid: u32,
    /// The pid namespace, and when the process started; `-` if it is not known.
    space: String,
    started: String,
    alive_ms: u64,
}

/// Why a folder cannot be taken.
#[derive(Debug)]
pub(super) enum Refused {
    Held(Holder),
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::Io(error)
    }
}

impl Owner {
    /// Takes the folder whose lock is `file`. `token` is unique to this consumer.
    pub(super) fn acquire(file: PathBuf, token: &str, now_ms: u64) -> Result<Owner, Refused> {
        let token: String = token.split_whitespace().collect();
        let owner = Owner { file, token };
        let ours = Holder::us(&owner.token, now_ms);
        for _ in 0..3 {
            match owner.create(&ours) {
                Ok(()) => return Ok(owner),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(owner.without_file(error.into())),
            }
            match read(&owner.file) {
                Ok(Some(holder)) if holder.lives(now_ms) => {
                    return Err(owner.without_file(Refused::Held(holder)));
                }
                Ok(stale) => {
                    if let Err(refused) = owner.remove(stale) {
                        return Err(owner.without_file(refused));
                    }
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(owner.without_file(error.into())),
            }
        }
        let lost = io::Error::new(ErrorKind::AlreadyExists, "others take it at the same time");
        Err(owner.without_file(lost.into()))
    }

    /// Confirms that this process is alive.
    ///
    /// # Errors
    /// The file cannot be written, or another process took the folder (this one was suspended for long).
    pub(super) fn confirm(&self, now_ms: u64) -> Result<(), Refused> {
        match read(&self.file) {
            Ok(Some(holder)) if holder.token != self.token => return Err(Refused::Held(holder)),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let aside = self.aside();
        fs::write(&aside, Holder::us(&self.token, now_ms).format())?;
        fs::rename(&aside, &self.file)?;
        Ok(())
    }

    /// Creates the file, with its whole text at once, if it does not exist.
    fn create(&self, ours: &Holder) -> io::Result<()> {
        let aside = self.aside();
        fs::write(&aside, ours.format())?;
        let made = match fs::hard_link(&aside, &self.file) {
            // A file system without hard links.
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                let made = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(&self.file);
                made.and_then(|mut file| io::Write::write_all(&mut file, ours.format().as_bytes()))
            }
            made => made,
        };
        let _ = fs::remove_file(&aside);
        made
    }

    /// Removes the file of a holder that is gone. If another process was faster, the removed file may be
    /// its file, which is then restored.
    fn remove(&self, stale: Option<Holder>) -> Result<(), Refused> {
        let aside = self.aside();
        match fs::rename(&self.file, &aside) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let removed = read(&aside)?;
        let is_other = removed != stale;
        if is_other {
            let _ = fs::hard_link(&aside, &self.file);
        }
        let _ = fs::remove_file(&aside);
        match removed {
            Some(holder) if is_other => Err(Refused::Held(holder)),
            _ => Ok(()),
        }
    }

    fn aside(&self) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        name.push(format!("-{}", self.token));
        name.into()
    }

    /// On failure there is no file of ours that `Drop` would remove.
    fn without_file(mut self, refused: Refused) -> Refused {
        self.token.clear();
        refused
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let is_ours = |holder: Holder| !self.token.is_empty() && holder.token == self.token;
        if read(&self.file).ok().flatten().is_some_and(is_ours) {
            let _ = fs::remove_file(&self.file);
        }
    }
}

impl Holder {
    fn us(token: &str, now_ms: u64) -> Holder {
        let pid = std::process::id();
        Holder {
            token: token.to_owned(),
            pid,
            space: pid_space(),
            started: started(pid).unwrap_or_else(|| "-".to_owned()),
            alive_ms: now_ms,
        }
    }

    fn lives(&self, now_ms: u64) -> bool {
        if self.space != "-" && self.space == pid_space() {
            return started(self.pid).as_ref() == Some(&self.started);
        }
        now_ms.abs_diff(self.alive_ms) < ALIVE_MS
    }

    fn format(&self) -> String {
        let Holder {
            token,
            pid,
            space,
            started,
            alive_ms,
        } = self;
        format!("{token} {pid} {space} {started} {alive_ms}\n")
    }

    fn parse(text: &str) -> Option<Holder> {
        let mut words = text.strip_suffix('\n')?.split(' ');
        let holder = Holder {
            token: words.next()?.to_owned(),
            pid: words.next()?.parse().ok()?,
            space: words.next()?.to_owned(),
            started: words.next()?.to_owned(),
            alive_ms: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(holder)
    }
}

/// `None`: the file does not name a holder.
fn read(file: &Path) -> io::Result<Option<Holder>> {
    let text = fs::read(file)?;
    Ok(std::str::from_utf8(&text).ok().and_then(Holder::parse))
}

/// The boot and the pid namespace: only in the same one does a pid mean the same process.
fn pid_space() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let space = fs::read_link("/proc/self/ns/pid");
    match (boot, space) {
        (Ok(boot), Ok(space)) => {
            let text = format!("{}/{}", boot.trim(), space.display());
            text.replace(char::is_whitespace, "")
        }
        _ => "-".to_owned(),
    }
}

/// When a process started, in ticks of the system.
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program may contain any character.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::disk::tests::TempFolder;
    use super::*;

    fn holder(token: &str, alive_ms: u64) -> Holder {
        Holder {
            token: token.into(),
            pid: 1,
            space: "elsewhere".into(),
            started: "5".into(),
            alive_ms,
        }
    }

    #[track_caller]
    fn assert_held(owner: Result<Owner, Refused>, token: &str) {
        match owner {
            Err(Refused::Held(holder)) => assert_eq!(holder.token, token),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_at_a_time_until_it_is_given_back() {
        let folder = TempFolder::new("owner-one");
        let file = folder.path().join("lock");
        let first = Owner::acquire(file.clone(), "a b", 0).expect("free");
        assert_held(Owner::acquire(file.clone(), "second", 0), "ab");
        // This process can be looked up, so confirmations do not count.
        if cfg!(target_os = "linux") {
            assert_held(Owner::acquire(file.clone(), "second", ALIVE_MS * 10), "ab");
        }
        first.confirm(5).expect("ours");
        drop(first);
        assert!(!file.exists());
        let third = Owner::acquire(file.clone(), "third", 0).expect("free again");
        drop(third);
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0);
    }

    #[test]
    fn a_process_elsewhere_has_the_folder_while_it_confirms_that() {
        let folder = TempFolder::new("owner-elsewhere");
        let file = folder.path().join("lock");
        fs::write(&file, holder("other", 100_000).format()).expect("written");
        for now_ms in [100_000, 100_000 + ALIVE_MS - 1, 100_001 - ALIVE_MS] {
            assert_held(Owner::acquire(file.clone(), "us", now_ms), "other");
        }
        let owner = Owner::acquire(file.clone(), "us", 100_000 + ALIVE_MS).expect("silent");
        // It wakes up: the process that lost the folder gets an error, and does not touch the file.
        fs::write(&file, holder("thief", 1).format()).expect("written");
        assert!(matches!(owner.confirm(5), Err(Refused::Held(h)) if h.token == "thief"));
        drop(owner);
        assert_eq!(read(&file).expect("there"), Some(holder("thief", 1)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_is_gone_has_no_folder() {
        let folder = TempFolder::new("owner-gone");
        let file = folder.path().join("lock");
        for (pid, started) in [(u32::MAX - 1, "5"), (std::process::id(), "earlier")] {
            let gone = Holder {
                pid,
                started: started.into(),
                space: pid_space(),
                ..holder("gone", 0)
            };
            fs::write(&file, gone.format()).expect("written");
            let owner = Owner::acquire(file.clone(), "us", 0).expect("its process is gone");
            owner.confirm(1).expect("ours");
        }
        for garbage in ["", "a b", "\u{1F600}\n", "t x s 5 0\n"] {
            fs::write(&file, garbage).expect("written");
            Owner::acquire(file.clone(), "us", 0).expect("it says nothing");
        }
    }

    #[test]
    fn a_fresh_lock_that_was_removed_is_restored() {
        let folder = TempFolder::new("owner-race");
        let file = folder.path().join("lock");
        let owner = Owner {
            file: file.clone(),
            token: "us".into(),
        };
        fs::write(&file, holder("faster", 9).format()).expect("written");
        let refused = owner.remove(Some(holder("stale", 0)));
        assert!(matches!(refused, Err(Refused::Held(h)) if h.token == "faster"));
        assert_eq!(read(&file).expect("there"), Some(holder("faster", 9)));
    }

    #[test]
    fn a_path_that_is_no_folder_is_an_error() {
        let folder = TempFolder::new("owner-none");
        let file = folder.path().join("missing").join("lock");
        assert!(matches!(Owner::acquire(file, "us", 0), Err(Refused::Io(_))));
    }
}
