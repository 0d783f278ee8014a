//! `bench` as it measures.

use std::collections::BTreeSet;

use rocketmq_blocking::embedded::{Cluster, On};
use serde_json::Value;

use crate::support::*;

#[test]
fn bench_prints_the_line_that_all_bench_programs_print() {
    for (mode, inflight, batch) in [
        ("sync", 0, 1),
        ("async", 64, 1),
        ("oneway", 0, 1),
        ("batch", 0, 8),
    ] {
        let args = "--embedded --warmup 0.01 --threads 2 --inflight 64 --batch 8 --body 100 --mode";
        let args: Vec<_> = args.split_whitespace().chain([mode, "--seconds"]).collect();
        let run = |seconds| bench(&[&args[..], &[seconds]].concat());
        // A busy machine may have no processor for it just then.
        let in_turn = ["0.1", "1", "5"].into_iter().map(run);
        let lines = in_turn.skip_while(|line| line["msgs"] == 0).take(1);
        let line = lines.last().expect("some messages are sent in 5 s");
        let expected = "client mode threads inflight body batch topics producers msgs secs \
                        msgs_per_s p50_us p99_us p999_us cpu_s rss_mb errors sent_total first_error";
        assert_eq!(fields(&line), set(expected), "{line}");
        assert_eq!(line["client"], "ours");
        assert_eq!(line["mode"], mode);
        assert_eq!(line["threads"], 2);
        assert_eq!(line["inflight"], inflight);
        assert_eq!(line["batch"], batch);
        assert_eq!(line["body"], 100);
        assert_eq!(line["topics"], 1);
        assert_eq!(line["producers"], 1);
        assert_eq!(line["errors"], 0, "{line}");
        assert_eq!(line["first_error"], Value::Null);
        assert!(line["sent_total"].as_u64() >= line["msgs"].as_u64());
        assert!(line["p50_us"].as_f64() > Some(0.0), "{line}");
        assert!(line["p50_us"].as_f64() <= line["p999_us"].as_f64());
        assert!(line["secs"].as_f64() >= Some(0.1), "{line}");
    }
}

#[test]
fn bench_sends_the_given_count_to_the_target() {
    let cluster = Cluster::start().unwrap();
    let target = cluster.name_server();
    for (mode, header) in [
        ("sync", "json"),
        ("async", "binary"),
        ("oneway", "json"),
        ("batch", "binary"),
    ] {
        let topic = format!("Bench-{mode}");
        let line = bench(&[
            "--target", &target, "--warmup", "0", "--count", "64", "--mode", mode, "--topic",
            &topic, "--header", header,
        ]);
        assert_eq!(line["msgs"], 64, "{line}");
        assert_eq!(line["sent_total"], 64, "{line}");
        // One send comes before everything, and one ends each run, the warm-up too, in oneway mode.
        let others = if mode == "oneway" { 3 } else { 1 };
        assert_eq!(cluster.message_count(&topic), 64 + others, "{mode}");
    }
}

#[test]
fn bench_sends_to_its_topics_in_turn() {
    let cluster = Cluster::start().unwrap();
    let target = cluster.name_server();
    for mode in ["sync", "async", "oneway", "batch"] {
        let topic = format!("Turns-{mode}");
        let line = bench(&[
            "--target",
            &target,
            "--warmup",
            "0",
            "--count",
            "24",
            "--mode",
            mode,
            "--topic",
            &topic,
            "--topics",
            "3",
            "--threads",
            "2",
            "--batch",
            "4",
        ]);
        assert_eq!(line["topics"], 3, "{line}");
        assert_eq!(line["msgs"], 24, "{line}");
        // The sends that end the two runs of oneway mode take their turns like all others.
        let ends = if mode == "oneway" {
            [1, 1, 0]
        } else {
            [0, 0, 0]
        };
        let (mut counts, mut expected) = (Vec::new(), Vec::new());
        for (i, end) in ends.into_iter().enumerate() {
            counts.push(cluster.message_count(&format!("{topic}-{i}")));
            expected.push(1 + 24 / 3 + end);
        }
        assert_eq!(counts, expected, "{mode}");
        assert_eq!(cluster.message_count(&topic), 0, "{mode}");
    }
}

#[test]
fn producers_of_a_bench_share_one_connection() {
    let cluster = Cluster::start().unwrap();
    let target = cluster.name_server();
    let args = "--warmup 0 --count 30 --threads 3 --producers 3 --topic Shared --target";
    let args: Vec<_> = args.split_whitespace().chain([&target[..]]).collect();
    for mode in ["sync", "async", "oneway", "batch"] {
        cluster.clear_requests();
        let line = bench(&[&args[..], &["--batch", "5", "--mode", mode]].concat());
        assert_eq!(line["producers"], 3, "{line}");
        assert_eq!(line["msgs"], 30, "{line}");
        let sends = cluster.requests(&On::send_to("Shared"));
        let connections: BTreeSet<_> = sends.iter().map(|send| send.connection()).collect();
        assert_eq!(connections.len(), 1, "{mode}");
    }
    let stored = cluster.messages("Shared");
    let groups: BTreeSet<_> = stored
        .iter()
        .map(|message| message.producer_group())
        .collect();
    let expected = [0, 1, 2].map(|i| format!("PeerBenchGroup-{i}"));
    assert!(groups.into_iter().eq(&expected), "{stored:?}");
}

#[test]
fn bench_refuses_flags_that_make_no_sense_together() {
    for (args, named) in [
        ("--embedded --threads 2 --producers 3", "--producers"),
        ("--embedded --topics 0", "--topics"),
        ("--report runs.jsonl --topics 2", "--topics"),
        ("--report runs.jsonl --embedded", "--embedded"),
        ("--svg chart.svg", "--report"),
        ("--report", "--report"),
    ] {
        let out = run("bench", &args.split_whitespace().collect::<Vec<_>>(), "");
        assert_eq!(out.code, 2, "{args}: {out:?}");
        assert!(out.stderr.contains(named), "{args}: {out:?}");
        assert_eq!(out.stdout, "");
    }
}

fn bench(args: &[&str]) -> Value {
    let out = run("bench", args, "");
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.stdout.lines().count(), 1, "{out:?}");
    serde_json::from_str(&out.stdout).unwrap()
}
