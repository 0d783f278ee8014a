//! Runs the example programs and reads what they print.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;
use std::{env, fs};

use rocketmq_blocking::embedded::Cluster;
use serde_json::Value;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// The fields of a stored message's line.
pub const STORED: &str = "index status msg_id offset_msg_id topic broker queue_id queue_offset attempts \
                      elapsed_us";

/// The fields of the summary.
const SUMMARY: &str = "sent failed seconds msgs_per_s mb_per_s p50_us p90_us p99_us max_us";

/// The result of a program.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The lines of all messages, and the summary that comes last.
    pub fn json(&self) -> (Vec<Value>, Value) {
        let lines = self.stdout.lines().map(serde_json::from_str);
        let mut lines: Vec<Value> = lines.collect::<Result<_, _>>().expect("JSON lines");
        let last = lines.pop().expect("a summary");
        assert_eq!(fields(&last), set("summary"));
        assert_eq!(fields(&last["summary"]), set(SUMMARY));
        (lines, last["summary"].clone())
    }
}

/// An example program. `cargo test --test cli` does not build examples, and other features may have been
/// on when they were built: then they are built now.
pub fn program(name: &str) -> Command {
    let test = env::current_exe().expect("the path of this test");
    let profile = test.parent().and_then(|deps| deps.parent());
    let profile = profile.expect("target/PROFILE/deps");
    let path = profile.join("examples");
    let path = path.join(format!("{name}{}", env::consts::EXE_SUFFIX));
    static BUILT: LazyLock<()> = LazyLock::new(build_examples);
    // Under cargo, cargo knows whether they are up to date and have the features of this test.
    if env::var_os("CARGO").is_some() || !is_up_to_date(&path) {
        LazyLock::force(&BUILT);
        assert!(
            path.exists(),
            "{path:?} was not built: run the whole of cargo test, or cargo build --examples"
        );
    }
    let mut command = Command::new(path);
    command
        .env_remove("NAMESRV_ADDR")
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Builds all examples as this test was built: with its features, its profile, and where it is.
fn build_examples() {
    let test = env::current_exe().expect("the path of this test");
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps");
    let mut target = profile.parent().expect("target/PROFILE");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    // Some crates are built again when these change, and cargo sets them for this test.
    let of_test =
        |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in env::vars().filter(|(name, _)| of_test(name)) {
        cargo.env_remove(name);
    }
    cargo.args(["build", "--examples", "--locked", "--offline", "--quiet"]);
    match name(profile).as_deref() {
        Some("debug") => cargo.args(["--profile", "dev"]),
        profile => cargo.arg("--profile").args(profile),
    };
    // With `--target`, its name is in between. Cargo's note about the compiler is at the top.
    if !target.join(".rustc_info.json").exists() {
        cargo.arg("--target").args(name(target));
        target = target.parent().expect("target/TRIPLE");
    }
    cargo.arg("--target-dir").arg(target);
    let features = [
        ("acl", cfg!(feature = "acl")),
        ("discovery", cfg!(feature = "discovery")),
        ("embedded", cfg!(feature = "embedded")),
        ("internals", cfg!(feature = "internals")),
        ("lz4", cfg!(feature = "lz4")),
        ("tls", cfg!(feature = "tls")),
        ("zstd", cfg!(feature = "zstd")),
    ];
    let on = features.iter().filter(|(_, on)| *on).map(|(name, _)| *name);
    cargo.args(["--features", &on.collect::<Vec<_>>().join(",")]);
    let output = cargo.output();
    let built = output.as_ref().is_ok_and(|output| output.status.success());
    assert!(
        built,
        "run cargo build --examples first, or the whole of cargo test: they are missing or older than \
         their sources, and this failed: {cargo:?}\n{}",
        output.map_or_else(
            |error| error.to_string(),
            |output| { String::from_utf8_lossy(&output.stderr).into_owned() }
        )
    );
}

/// Whether a program is newer than the sources that cargo lists beside it: an old one must not pass for
/// the new.
fn is_up_to_date(program: &Path) -> bool {
    let modified = |path: &Path| path.metadata()?.modified();
    let Ok(built) = modified(program) else {
        return false;
    };
    let list = fs::read_to_string(program.with_extension("d")).expect("cargo's list of sources");
    let (_, sources) = list.split_once(": ").expect("PROGRAM: SOURCES");
    let mut sources = sources.split_whitespace().map(Path::new);
    !sources.any(|source| modified(source).is_ok_and(|changed| changed > built))
}

pub fn run(name: &str, args: &[&str], input: &str) -> Finished {
    let mut command = program(name);
    command.args(args);
    finish(command, input)
}

/// Runs `produce` towards this cluster.
pub fn produce(args: &str, cluster: &Cluster, input: &str) -> Finished {
    let servers = cluster.name_server();
    let args = args.split_whitespace().chain(["--name-server", &servers]);
    run("produce", &args.collect::<Vec<_>>(), input)
}

pub fn finish(mut command: Command, input: &str) -> Finished {
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that does not read its input may have ended before.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().expect("the program ends");
    Finished {
        code: status.code().expect("an exit code"),
        stdout: String::from_utf8(stdout).expect("UTF-8"),
        stderr: String::from_utf8(stderr).expect("UTF-8"),
    }
}

/// A running `embedded_server`.
pub struct Server {
    pub child: Child,
    pub stdout: BufReader<ChildStdout>,
    pub address: String,
}

impl Server {
    pub fn start(args: &[&str]) -> Server {
        let mut child = program("embedded_server").args(args).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        let address = ready
            .trim_end()
            .strip_prefix("ready ")
            .expect(&ready)
            .to_owned();
        Server {
            child,
            stdout,
            address,
        }
    }

    pub fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect(&line)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until no member of a group is left: brokers may hear of the end of the last one a moment after it.
#[track_caller]
pub fn wait_until_left(cluster: &Cluster, group: &str) {
    let members = || cluster.group(group).members();
    let left = cluster.wait_until(PATIENCE, || members().is_empty());
    assert!(left, "{group}: {:?}", members());
}

/// An address without a listener.
pub fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

pub fn indexes(lines: &[Value]) -> BTreeSet<u64> {
    let indexes: Vec<_> = lines
        .iter()
        .map(|line| line["index"].as_u64().unwrap())
        .collect();
    let set: BTreeSet<_> = indexes.iter().copied().collect();
    assert_eq!(set.len(), indexes.len(), "an index came twice");
    set
}

pub fn fields(value: &Value) -> BTreeSet<&str> {
    let object = value
        .as_object()
        .unwrap_or_else(|| panic!("not an object: {value}"));
    object.keys().map(String::as_str).collect()
}

pub fn set(words: &str) -> BTreeSet<&str> {
    words.split_whitespace().collect()
}
