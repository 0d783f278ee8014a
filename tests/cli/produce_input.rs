//! `produce`: the sources of its messages, and its summary.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use rocketmq_blocking::embedded::Cluster;

use crate::support::*;

const FOUR_MIB: usize = 4 * 1024 * 1024;

fn bodies(cluster: &Cluster) -> Vec<String> {
    let stored = cluster.messages("TopicTest");
    let bodies = stored.iter().map(|message| message.body());
    bodies
        .map(|body| String::from_utf8_lossy(&body).into_owned())
        .collect()
}

/// A file of this test's own.
fn file(name: &str, content: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn produce_splits_its_input_by_the_delimiter() {
    let path = file("produce_cuts.txt", "in\nfile\n");
    let from_file = format!("--file {}", path.display());
    for (args, input, expected) in [
        ("", "a\nb\r\nc", &["a", "b", "c"][..]),
        ("-", "a\nb\n", &["a", "b"]),
        ("--stdin", "a", &["a"]),
        ("--file -", "a", &["a"]),
        ("- --mode batch", "a\nb\nc", &["a", "b", "c"]),
        (&from_file, "not this", &["in", "file"]),
        (r"--delimiter \0", "a\nb\0c\r\0", &["a\nb", "c\r"]),
        (r"--delimiter \r\n", "a\nb\r\nc", &["a\nb", "c"]),
        // The ends of these look like the delimiter's end.
        ("--delimiter ;;", "a;b;;;;c;;d;", &["a;b", "", "c", "d;"]),
        (r"--delimiter \x41\x42", "BABxAB", &["B", "x"]),
        ("", "", &[]),
    ] {
        let cluster = Cluster::start().unwrap();
        let out = produce(args, &cluster, input);
        let stored = expected.iter().filter(|body| !body.is_empty());
        let expected: Vec<&str> = stored.copied().collect();
        let failed = i32::from(args.contains(";;")); // an empty message cannot be sent
        assert_eq!(out.code, failed, "{args}: {out:?}");
        assert_eq!(bodies(&cluster), expected, "{args}");
        let sent = format!("sent {}, failed {failed} in ", expected.len());
        assert!(out.stdout.contains(&sent), "{args}: {out:?}");
    }
}

#[test]
fn produce_skips_blank_lines_on_request() {
    let input = "a\n\n \t\r\n b \n\n";
    for (args, expected, failed) in [
        // The contract without it: an empty line is a failed message, and white space is a body.
        ("", &["a", " \t", " b "][..], 2),
        ("--skip-blank", &["a", " b "], 0),
        ("--skip-blank --mode async", &["a", " b "], 0),
        ("--skip-blank --mode batch", &["a", " b "], 0),
        (r"--skip-blank --delimiter \n\n", &["a", " \t\r\n b "], 0),
    ] {
        let cluster = Cluster::start().unwrap();
        let out = produce(args, &cluster, input);
        assert_eq!(out.code, i32::from(failed > 0), "{args}: {out:?}");
        // Asynchronous sends may be stored in any order.
        let mut bodies = bodies(&cluster);
        bodies.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(bodies, expected, "{args}");
        let sent = format!("sent {}, failed {failed} in ", expected.len());
        assert!(out.stdout.contains(&sent), "{args}: {out:?}");
    }
    // One has no key either; and the number of a bad line counts it.
    let cluster = Cluster::start().unwrap();
    let args = "--skip-blank --key-delimiter =";
    let out = produce(args, &cluster, "k=a\n\nk=b\n\nbad\n");
    assert_eq!((out.code, bodies(&cluster).len()), (1, 2), "{out:?}");
    assert!(out.stderr.contains("line 5: no key"), "{out:?}");

    let help = run("produce", &["--help"], "").stdout;
    let says = ["an empty line is a message that fails", "--skip-blank"];
    assert!(says.iter().all(|text| help.contains(text)), "{help}");
}

#[test]
fn produce_takes_keys_from_its_lines() {
    let cluster = Cluster::start().unwrap();
    let args = "--key-delimiter :: --keys of-all";
    let out = produce(args, &cluster, "101::a:b::c\n::no key\n");
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(bodies(&cluster), ["a:b::c", "no key"]);
    let stored = cluster.messages("TopicTest");
    assert_eq!(stored[0].keys().collect::<Vec<_>>(), ["101", "of-all"]);
    assert_eq!(stored[1].keys().collect::<Vec<_>>(), ["of-all"]);
}

#[test]
fn produce_sends_the_lines_before_a_bad_one_and_names_it() {
    let long = "x".repeat(FOUR_MIB + 1);
    let too_long = format!("a\nb\n{long}\nc\n");
    // Without an end of the input too: it is not waited for.
    let endless = format!("a\nb\n{long}{long}");
    for (args, input, says) in [
        ("", &*too_long, "line 3: longer than 4194304 bytes"),
        ("", &endless, "line 3: longer than 4194304 bytes"),
        (
            "--key-delimiter =",
            "k=a\nk=b\nc\nk=d\n",
            "line 3: no key: there is no \"=\" in it",
        ),
    ] {
        for mode in ["sync", "async", "oneway", "batch", "transaction"] {
            let cluster = Cluster::start().unwrap();
            let out = produce(&format!("{args} --mode {mode}"), &cluster, input);
            assert_eq!(out.code, 1, "{mode}: {out:?}");
            let says = format!("produce: cannot read the input: {says}\n");
            assert_eq!(out.stderr, says, "{mode}");
            assert!(out.stdout.contains("sent 2, failed 0 in "), "{out:?}");
            cluster.wait_for_messages("TopicTest", 2, PATIENCE);
            assert_eq!(bodies(&cluster), ["a", "b"], "{mode}");
        }
    }
}

#[test]
fn produce_takes_no_more_of_an_endless_line_than_a_message_may_have() {
    let mut child = program("produce").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let piece = vec![b'x'; 64 * 1024];
    let taken = (0..1024).take_while(|_| stdin.write_all(&piece).is_ok());
    let bytes = taken.count() * piece.len();
    // The unread rest is in the pipe and in its buffer.
    assert!(bytes < 2 * FOUR_MIB, "it took {bytes} bytes");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn produce_sends_the_longest_line_that_a_message_may_have() {
    let line = "x".repeat(FOUR_MIB);
    for (args, end) in [("--delimiter ;;", ";;"), ("", "\n"), ("", "\r\n")] {
        let cluster = Cluster::start().unwrap();
        let out = produce(args, &cluster, &format!("{line}{end}a"));
        assert_eq!(out.code, 0, "{end:?}: {out:?}");
        assert_eq!(cluster.messages("TopicTest")[0].body().len(), FOUR_MIB);
        assert_eq!(cluster.message_count("TopicTest"), 2);
    }
}

#[test]
fn produce_reports_why_there_is_no_input() {
    let none = file("produce_none.txt", "").with_file_name("no-such-file");
    for (args, says) in [
        (&["--file", none.to_str().unwrap()][..], "no-such-file: "),
        (&["--file", "a", "--body", "b"], "--body"),
        (&["-", "--file", "a"], "--file"),
        (&["--stdin", "--body-size", "1"], "--body-size"),
        (&["a"], "'a'"),
        (&["-", "--count", "2"], "--body"),
        (&["--body", "a", "--delimiter", ";"], "--delimiter"),
        (&["--body", "a", "--key-delimiter", ";"], "--key-delimiter"),
        (&["--body", "a", "--skip-blank"], "--skip-blank"),
        (&["-", "--delimiter", ""], "must not be empty"),
        (&["-", "--delimiter", "\\q"], "knows \\n"),
        (&["-", "--delimiter", "\\x4"], "knows \\n"),
        (&["-", "--delimiter", "\\x4é"], "knows \\n"),
    ] {
        let out = run("produce", args, "");
        assert_eq!(out.code, 2, "{args:?}: {out:?}");
        assert!(out.stderr.contains(says), "{args:?}: {out:?}");
        assert_eq!(out.stdout, "", "{args:?}");
    }
}

#[test]
fn produce_ends_with_one_line_about_all() {
    for count in [0, 1, 100] {
        let count_text = count.to_string();
        let args = ["--body-size", "500", "--count", &count_text];
        let out = run("produce", &[&args[..], &["--mode", "async"]].concat(), "");
        assert_eq!(out.code, 0, "{out:?}");
        let last = out.stdout.lines().last().unwrap();
        let (sent, rest) = last.split_once(" in ").unwrap();
        assert_eq!(sent, format!("sent {count}, failed 0"));
        let words: Vec<&str> = rest.split(' ').collect();
        let units = ["msg/s,", "MB/s,", "latency", "p50", "p90", "p99", "max"];
        let all = [2, 4, 5, 6, 8, 10, 12].map(|at| *words.get(at).unwrap_or(&""));
        match count {
            0 => assert!(rest.ends_with(": 0 msg/s, 0.00 MB/s"), "{last}"),
            _ => assert_eq!(all, units, "{last}"),
        }
        // Few messages have a line each, many do not.
        let lines = if count == 1 { 2 } else { 1 };
        assert_eq!(out.stdout.lines().count(), lines, "{out:?}");
    }
}

#[test]
fn produce_ends_with_the_same_in_json() {
    let args = ["--body-size", "500", "--count", "100", "--json"];
    let (_, summary) = run("produce", &args, "").json();
    assert_eq!(summary["sent"], 100);
    let number = |name: &str| summary[name].as_f64().unwrap();
    let (messages, megabytes) = (number("msgs_per_s"), number("mb_per_s"));
    assert!(messages > 0.0, "{summary}");
    assert!((megabytes - messages * 0.0005).abs() < 0.001, "{summary}");
    let times = ["p50_us", "p90_us", "p99_us", "max_us"].map(number);
    assert!(times[0] > 0.0 && times.is_sorted(), "{summary}");
}
