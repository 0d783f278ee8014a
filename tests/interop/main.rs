//! This crate against real RocketMQ servers, with the Java client as the independent reader and,
//! the other way round, the Java client against the embedded cluster.
//!
//! Every test needs servers (or at least their jars), so that a plain `cargo test` reports them all
//! as ignored. `tests/rocketmq/all.sh VERSION` runs them: each module next to servers of the kind
//! that it needs.

mod crash;
mod errors;
mod forgotten;
mod heartbeat;
mod java_client;
mod kills;
mod last_broker;
mod leaving;
mod ledger;
mod mortal;
mod paused;
mod sends;
mod server;
mod slow;
mod stored;
mod strict;
mod traffic;
mod wire;

/// A filter that matches nothing is no failure to cargo: a module that the script does not name
/// would never run, and nobody would notice.
#[test]
fn the_script_runs_every_module() {
    let root = env!("CARGO_MANIFEST_DIR");
    let script = std::fs::read_to_string(format!("{root}/tests/rocketmq/all.sh")).unwrap();
    let mut modules = 0;
    for file in std::fs::read_dir(format!("{root}/tests/interop")).unwrap() {
        let path = file.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        if path.ends_with("main.rs") || !source.contains("#[test]") {
            continue;
        }
        let module = path.file_stem().unwrap().to_str().unwrap();
        assert!(script.contains(&format!(" {module}::")), "{module}");
        let tests = source.matches("#[test]").count();
        let reason = "#[ignore = \"needs real servers: tests/rocketmq/all.sh VERSION\"]";
        assert_eq!(source.matches(reason).count(), tests, "{module}");
        modules += 1;
    }
    assert!(modules > 0);
}
