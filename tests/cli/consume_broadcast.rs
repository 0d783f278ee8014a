//! `consume --broadcast`: every run gets every message, and keeps its own offsets.

use std::fs;
use std::path::{Path, PathBuf};

use rocketmq_blocking::MessageQueue;
use rocketmq_blocking::embedded::{Cluster, On};

use crate::consume::{body, consume, send, texts};
use crate::support::*;

const KINDS: [&str; 3] = ["push", "pull", "push --orderly"];

/// An empty folder of one test.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn every_run_without_a_name_gets_every_message() {
    let cluster = Cluster::builder().topic("T", 2).start().unwrap();
    send(&cluster, "T", &["1", "2", "3"]);
    for kind in KINDS {
        let args = format!("--kind {kind} --broadcast --topic T --from first --count 3");
        let out = consume(&args, &cluster);
        assert_eq!(out.code, 0, "{kind}: {out:?}");
        assert_eq!(out.bodies(), texts(["1", "2", "3"]), "{kind}");
        assert_eq!(out.events("assigned")[0]["queues"][1], "T@broker-a:1");
    }
    assert!(cluster.requests(&On::Commit).is_empty());
    // People are told; whoever reads JSON lines is not.
    let servers = cluster.name_server();
    let args = ["--broadcast", "--topic", "T", "--seconds", "0"];
    let args = [&args[..], &["--name-server", &servers]].concat();
    let out = run("consume", &args, "");
    assert_eq!(out.code, 0, "{out:?}");
    let says = "consume: without --instance-name the offsets of --broadcast are lost at the end\n";
    assert_eq!(out.stderr, says);
}

#[test]
fn a_run_with_a_name_goes_on_where_the_last_one_ended() {
    let dir = folder("broadcast-named");
    for (group, kind) in ["a", "b", "c"].into_iter().zip(KINDS) {
        let cluster = Cluster::builder().topic("T", 1).start().unwrap();
        send(&cluster, "T", &["1", "2"]);
        let args = format!(
            "--kind {kind} --broadcast --topic T --from first --group {group} --offset-dir {} \
             --instance-name here",
            dir.display()
        );
        let out = consume(&format!("{args} --count 2"), &cluster);
        assert_eq!(out.code, 0, "{kind}: {out:?}");
        assert_eq!(out.bodies(), texts(["1", "2"]));
        assert!(dir.join("here").join(group).is_dir(), "{kind}");
        send(&cluster, "T", &["3"]);
        let out = consume(&format!("{args} --count 1"), &cluster);
        assert_eq!(out.bodies(), texts(["3"]), "{kind}");
        // Another name, other offsets.
        let args = args.replace("--instance-name here", "--instance-name there");
        let out = consume(&format!("{args} --count 3"), &cluster);
        assert_eq!(out.bodies(), texts(["1", "2", "3"]), "{kind}");
        let queue = MessageQueue::new("T", "broker-a", 0);
        assert_eq!(cluster.group(group).committed(&queue), None);
    }
}

#[cfg(unix)]
#[test]
fn offsets_are_in_the_temporary_folder_where_no_other_is_given() {
    let dir = folder("broadcast-temporary");
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    send(&cluster, "T", &["1"]);
    let mut command = program("consume");
    let args = "--json --broadcast --topic T --from first --group g --count 1 --instance-name here";
    command.args(args.split(' '));
    command.args(["--name-server", &cluster.name_server()]);
    command.env("TMPDIR", &dir);
    let out = finish(command, "");
    assert_eq!(out.code, 0, "{out:?}");
    assert!(dir.join("rocketmq-consume/here/g").is_dir());
}

#[test]
fn what_is_refused_comes_again_only_where_the_order_is_kept() {
    let dir = folder("broadcast-refused");
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    send(&cluster, "T", &["1", "2", "3"]);
    let run = |args: &str| -> Vec<(String, bool)> {
        let args = format!(
            "--broadcast --topic T --from first --offset-dir {} {args}",
            dir.display()
        );
        let out = consume(&args, &cluster);
        assert_eq!(out.code, 0, "{out:?}");
        let lines = out.events("message").into_iter();
        lines
            .map(|line| (body(line), line["outcome"] == "ok"))
            .collect()
    };
    let ok = |text: &str| (text.to_owned(), true);
    let refused = |text: &str| (text.to_owned(), false);
    let args = "--instance-name in-order --orderly --fail-first 1 --retry-level 1 --count 2";
    let expected = [refused("1"), ok("1"), refused("2"), ok("2")];
    assert_eq!(run(args), expected);
    let args = "--instance-name at-once --threads 1 --count";
    let expected = [refused("1"), ok("2"), ok("3")];
    assert_eq!(run(&format!("{args} 2 --fail-body 1")), expected);
    send(&cluster, "T", &["4"]);
    assert_eq!(run(&format!("{args} 1")), [ok("4")]);
}
