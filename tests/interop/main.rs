//! This crate against real RocketMQ servers, with the Java client as the independent reader and,
//! the other way round, the Java client against the embedded cluster.
//!
//! Every test needs servers (or at least their jars), so that a plain `cargo test` reports them all
//! as ignored. `tests/rocketmq/all.sh VERSION` runs them: each module next to servers of the kind
//! that it needs.

#[cfg(feature = "acl")]
mod acl;
mod admin_and_delays;
mod broken;
mod clients;
mod consumers;
mod damaged;
mod errors;
mod filters;
mod flow;
mod group_ledger;
mod groups;
mod heartbeat;
mod java_client;
mod java_consumers;
mod java_groups;
#[path = "../ledger/mod.rs"]
mod ledger;
mod lite;
mod named;
mod operators;
mod pop_modes;
mod pop_retries;
mod popped;
mod proxy;
mod pulls;
mod sends;
mod servers;
mod simple;
mod slave;
mod starts;
mod static_topics;
mod strict;
#[path = "../support/mod.rs"]
mod support;
mod takeover;
#[cfg(feature = "tls")]
mod tls;
mod trace;
mod transactions;
#[cfg(feature = "discovery")]
#[path = "../client/discovery/web.rs"]
mod web;

/// For cargo a filter that matches nothing is not a failure: a module that no script names would
/// silently never run.
#[test]
fn the_scripts_run_every_module() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let script = |name| std::fs::read_to_string(root.join("rocketmq").join(name)).unwrap();
    let scripts = ["all.sh", "tls.sh", "tx.sh"].map(script).join("\n");
    let folder = root.join("interop");
    let mut modules = 0;
    for (path, source) in support::files::sources(&folder) {
        if !source.contains("#[test]") || path == folder.join("main.rs") {
            continue;
        }
        let module = path.strip_prefix(&folder).unwrap().with_extension("");
        let module: Vec<_> = module.iter().map(|part| part.to_str().unwrap()).collect();
        let module = module.join("::") + "::";
        let mut words = scripts.split(|c: char| c.is_whitespace() || "()'\"".contains(c));
        assert!(words.any(|word| word.starts_with(&module)), "{module}");
        let tests = source.matches("#[test]").count();
        let reason = "#[ignore = \"needs real servers: tests/rocketmq/all.sh VERSION\"]";
        assert_eq!(source.matches(reason).count(), tests, "{module}");
        modules += 1;
    }
    assert!(modules > 10, "{modules}");
}
