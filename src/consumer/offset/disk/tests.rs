use super::*;
use crate::message::MessageQueue;

/// A folder of a test, removed at the end.
pub(in crate::consumer::offset) struct TempFolder(PathBuf);

impl TempFolder {
    pub(in crate::consumer::offset) fn new(name: &str) -> TempFolder {
        let name = format!("rocketmq-blocking-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary folder");
        TempFolder(path)
    }

    pub(in crate::consumer::offset) fn path(&self) -> &Path {
        &self.0
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), text).expect("written");
    }

    fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    /// The offsets that a start finds.
    fn loaded(&self) -> (Option<u64>, Source, usize) {
        let (_, loaded) = self.open().expect("it opens");
        (
            loaded.table.get(&queue()),
            loaded.source,
            loaded.damaged.len(),
        )
    }

    fn open(&self) -> Result<(OffsetFolder, Loaded)> {
        OffsetFolder::open(self.0.clone(), &self.0.join("javas"), "us", 1_000)
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn queue() -> MessageQueue {
    MessageQueue::new("T", "broker-a", 3)
}

fn table(offset: u64) -> OffsetTable {
    let mut table = OffsetTable::default();
    table.set(&queue(), offset, 1_000);
    table
}

const OF_JAVA: &str = r#"{"offsetTable":{{"brokerName":"broker-a","queueId":3,"topic":"T"}:77}}"#;

#[test]
fn saved_offsets_are_read_after_a_restart() {
    let folder = TempFolder::new("disk-saved");
    assert_eq!(folder.loaded(), (None, Source::Nothing, 0));
    for offset in 1..4 {
        let (open, _) = folder.open().expect("it opens");
        open.save(&table(offset), 1_000).expect("saved");
        drop(open);
        assert_eq!(folder.loaded(), (Some(offset), Source::Ours, 0));
    }
    assert!(folder.has(PREVIOUS) && !folder.has(ASIDE) && !folder.has("offsets.lock"));
}

#[test]
fn a_crash_at_any_byte_leaves_the_old_or_the_new_offsets() {
    let (old, new) = (table(1).format(), table(22222).format());
    for end in 0..=new.len() {
        let folder = TempFolder::new("disk-crash");
        folder.write(CURRENT, &old);
        folder.write(PREVIOUS, table(0).format());
        folder.write(ASIDE, &new[..end]);
        assert_eq!(
            folder.loaded(),
            (Some(1), Source::Ours, 0),
            "while byte {end} was written"
        );
    }
    // Between the moves.
    let folder = TempFolder::new("disk-crash");
    folder.write(PREVIOUS, &old);
    folder.write(ASIDE, &new);
    assert_eq!(folder.loaded(), (Some(22222), Source::Ours, 0));
    // The first save of all.
    for end in 0..new.len() {
        let folder = TempFolder::new("disk-crash");
        folder.write(ASIDE, &new[..end]);
        folder.write(JAVAS[0], OF_JAVA);
        assert_eq!(
            folder.loaded(),
            (Some(77), Source::Java, 0),
            "while byte {end} was written"
        );
    }
}

#[test]
fn a_save_succeeds_after_a_crash_in_the_last_one() {
    let folder = TempFolder::new("disk-left");
    folder.write(PREVIOUS, table(1).format());
    folder.write(ASIDE, &table(2).format()[..10]);
    assert_eq!(folder.loaded(), (Some(1), Source::Previous, 0));
    let (open, _) = folder.open().expect("it opens");
    open.save(&table(3), 1_000).expect("saved");
    open.save(&table(4), 1_000).expect("saved");
    drop(open);
    assert_eq!(folder.loaded(), (Some(4), Source::Ours, 0));
}

#[test]
fn damaged_files_are_moved_aside_and_the_previous_one_is_read() {
    let (old, new) = (table(1).format(), table(2).format());
    for end in 0..new.len() {
        let folder = TempFolder::new("disk-damaged");
        folder.write(CURRENT, &new[..end]);
        folder.write(PREVIOUS, &old);
        // An old file of Java's is not used any more.
        folder.write(JAVAS[0], OF_JAVA);
        assert_eq!(
            folder.loaded(),
            (Some(1), Source::Previous, 1),
            "cut at {end}"
        );
        let kept = fs::read(folder.path().join("offsets.damaged-1000")).expect("kept");
        assert_eq!(kept, new.as_bytes()[..end]);
        assert_eq!(folder.loaded(), (Some(1), Source::Previous, 0));
    }
    let folder = TempFolder::new("disk-damaged");
    folder.write(CURRENT, "garbage");
    folder.write(PREVIOUS, "rocketmq-blocking offsets 9 later\n");
    folder.write(JAVAS[0], OF_JAVA);
    let (_, loaded) = folder.open().expect("it opens");
    assert_eq!((loaded.source, loaded.table.len()), (Source::Nothing, 0));
    let texts: Vec<&str> = loaded.damaged.iter().map(|(_, text)| &**text).collect();
    assert_eq!(
        texts,
        ["it is not an offset file", "it has version 9, 1 is known"]
    );
}

#[test]
fn javas_file_is_read_and_not_changed() {
    let folder = TempFolder::new("disk-java");
    folder.write(JAVAS[1], OF_JAVA);
    assert_eq!(folder.loaded(), (Some(77), Source::Java, 0));
    folder.write(JAVAS[0], "{\"offsetTable\":");
    assert_eq!(folder.loaded(), (Some(77), Source::Java, 1));
    folder.write(JAVAS[0], OF_JAVA.replace("77", "78"));
    assert_eq!(folder.loaded(), (Some(78), Source::Java, 0));
    let (open, loaded) = folder.open().expect("it opens");
    open.save(&loaded.table, 1_000).expect("saved");
    drop(open);
    folder.write(JAVAS[0], OF_JAVA.replace("77", "79"));
    assert_eq!(folder.loaded(), (Some(78), Source::Ours, 0));
}

#[test]
fn a_second_consumer_is_refused() {
    let folder = TempFolder::new("disk-second");
    let (_first, _) = folder.open().expect("it opens");
    let second = OffsetFolder::open(folder.path().to_owned(), folder.path(), "second", 1_000);
    let error = second.expect_err("it is in use");
    assert_eq!(error.kind(), ErrorKind::Config);
    let pid = format!("in use by process {}", std::process::id());
    assert!(error.to_string().contains(&pid), "{error}");
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let folder = TempFolder::new("disk-file");
    folder.write("file", "");
    let path = folder.path().join("file").join("group");
    let error = OffsetFolder::open(path.clone(), &path, "us", 0).expect_err("a file is in the way");
    assert_eq!(error.kind(), ErrorKind::Io);
}

/// A folder where the new file is, or a device that is always full, stand for a disk that is
/// read-only or full: root may write everywhere.
#[test]
fn a_save_that_fails_keeps_the_previous_offsets() {
    let folder = TempFolder::new("disk-full");
    let (open, _) = folder.open().expect("it opens");
    open.save(&table(1), 1_000).expect("saved");
    let aside = folder.path().join(ASIDE);
    let fails = |open: &OffsetFolder| {
        let error = open
            .save(&table(2), 1_000)
            .expect_err("it cannot be written");
        assert_eq!(error.kind(), ErrorKind::Io);
        let text = fs::read(folder.path().join(CURRENT)).expect("still there");
        assert_eq!(OffsetTable::parse(&text), Ok(table(1)));
    };
    fs::create_dir(&aside).expect("made");
    fails(&open);
    fails(&open);
    fs::remove_dir(&aside).expect("removed");
    #[cfg(target_os = "linux")]
    {
        std::os::unix::fs::symlink("/dev/full", &aside).expect("linked");
        fails(&open);
        fs::remove_file(&aside).expect("removed");
    }
    open.save(&table(3), 1_000).expect("there is space again");
    drop(open);
    assert_eq!(folder.loaded(), (Some(3), Source::Ours, 0));
}

#[test]
#[cfg(unix)]
fn a_read_only_folder_is_an_error_unless_root_may_write() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempFolder::new("disk-read-only");
    let (open, _) = folder.open().expect("it opens");
    let set = |mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder.path(), mode).expect("ours");
    };
    set(0o555);
    let is_root = fs::write(folder.path().join("probe"), "").is_ok();
    assert_eq!(open.save(&table(1), 1_000).is_ok(), is_root);
    set(0o755);
    open.save(&table(1), 1_000).expect("saved");
}

#[test]
fn names_of_folders_are_legal_everywhere() {
    let path = OffsetFolder::path_of(Path::new("base"), "my:app", "%RETRY%|ns");
    assert_eq!(path, Path::new("base/my~3aapp/~25RETRY~25~7cns"));
    assert_eq!(file_name(".."), "~2e~2e");
    assert_eq!(file_name(""), "~");
}
