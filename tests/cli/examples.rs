//! The common behaviour of all examples, and the accuracy of examples/README.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rocketmq_blocking::MessageView;
use rocketmq_blocking::embedded::Cluster;

use crate::replier;
use crate::support::*;

const README: &str = include_str!("../../examples/README.md");

/// The names of all examples, as cargo finds them.
fn examples() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.filter_map(|entry| {
        let path = entry.unwrap().path();
        let is_program = path.join("main.rs").exists() || path.extension()? == "rs";
        is_program.then(|| path.file_stem().unwrap().to_string_lossy().into_owned())
    });
    let names: Vec<String> = names.collect();
    assert!(names.len() > 10, "{names:?}");
    names
}

/// The names of all tutorials, as they list themselves.
fn tutorials() -> Vec<String> {
    let out = run("tutorials", &["--list"], "");
    assert_eq!(out.code, 0, "{out:?}");
    let names = out.stdout.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn every_example_documents_its_usage() {
    for name in examples() {
        let out = run(&name, &["--help"], "");
        assert_eq!(out.code, 0, "{out:?}");
        let usage = format!("\nUsage: {name}");
        assert!(out.stdout.contains(&usage), "{name}: {out:?}");
        let about = out.stdout.lines().next().unwrap();
        assert!(about.len() > 20, "{name} says only: {about}");
        assert_eq!(out.stderr, "", "{name}");

        let out = run(&name, &["--no-such-option"], "");
        assert_eq!(out.code, 2, "{out:?}");
        assert!(out.stderr.contains("--no-such-option"), "{name}: {out:?}");
        assert_eq!(out.stdout, "", "{name}");
    }
}

#[test]
fn every_example_sends_to_the_servers_that_it_is_given() {
    let cluster = Cluster::builder().brokers(2).sql_filters(true);
    let cluster = cluster.start().unwrap();
    let servers = cluster.name_server();
    let price = |_: &MessageView| "5 cents".to_owned();
    let _replier = replier::reply_to_all(&servers, "Prices", price).unwrap();
    for (name, more) in [
        ("quickstart", ""),
        ("errors", ""),
        ("in_flight", "--threads 2"),
        ("ordered", ""),
        ("batch", "--count 100"),
        ("delay", ""),
        ("transaction", "--patience 0"),
        ("request_reply", "--ask-only"),
        ("consume_push", ""),
        ("consume_ordered", ""),
        ("consume_pull", ""),
        ("broadcast", ""),
        ("simple_consumer", ""),
        ("retry_and_dead_letters", ""),
        ("filters", ""),
        ("lag", ""),
        ("lag", "--topic Jobs"),
        ("fault_tolerance", "--seconds 0"),
        ("hooks", ""),
        ("trace", ""),
        ("trace_context", ""),
        ("tutorials", "simple/Producer OnewayProducer"),
        ("tutorials", "quickstart/Consumer LitePullConsumerAssign"),
        ("produce", "--body a"),
        ("consume", "--from first --count 1"),
        ("bench", "--seconds 0.05 --warmup 0.01"),
    ] {
        let given = ["--name-server", &servers];
        let args: Vec<&str> = given.into_iter().chain(more.split_whitespace()).collect();
        let out = run(name, &args, "");
        assert_eq!(out.code, 0, "{name}: {out:?}");
        assert_eq!(out.stderr, "", "{name}");
    }
    // No server listens there.
    let nobody = closed_port();
    let out = run("quickstart", &["--name-server", &nobody], "");
    assert_eq!(out.code, 1, "{out:?}");
    let says = format!("quickstart: TopicTest: {nobody}: no name server answered");
    assert!(out.stderr.starts_with(&says), "{out:?}");
    assert_eq!(out.stdout, "");
}

#[test]
fn every_tutorial_runs_alone() {
    let out = run("tutorials", &["--all"], "");
    assert_eq!(out.code, 0, "{out:?}");
    let headings = out
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("# "));
    let ran: Vec<&str> = headings.filter_map(|line| line.split(':').next()).collect();
    assert_eq!(ran, tutorials());
    for says in [
        "OrderID188 finds 5 messages:",
        "100 messages stored",
        "no batch: message 1 of the batch is scheduled for later",
        "1 s later consumers see 10 messages more",
        "consumers see 3 messages",
        "RequestTopic replied after ",
        "\"TagA || TagC\" sees 6 of them",
        "a between 0 and 3\" sees 3 of them",
        "asked with namespace InstanceTest",
        "1 message(s) of RMQ_SYS_TRACE_TOPIC are about OrderID188",
        "RMQ_SYS_TRACE_TOPIC has 5 beginnings and 5 ends",
        "1 message(s) of RMQ_SYS_TRACE_TOPIC are about OrderID189",
        " has greeting 9",
        "TopicTest@broker-a:1 is committed up to 5",
        "3 messages have the tag TagA",
        " SUSPENDS its queue",
        "two has TagD",
        // How much later depends on the machine too.
        "reminder 2 came ",
        "alarm 2 rings",
        "the reply: reply message contents.",
        "a=3 TagA",
        "InstanceTest%NAMESPACE_TOPIC",
        "asked with namespace InstanceTest; 0 offsets were committed",
        #[cfg(feature = "acl")]
        "signed by RocketMQ: ",
        #[cfg(feature = "tls")]
        "does it speak TLS?",
    ] {
        assert!(out.stdout.contains(says), "{says}: {}", out.stdout);
    }
    for (feature, is_on) in [
        ("acl", cfg!(feature = "acl")),
        ("tls", cfg!(feature = "tls")),
    ] {
        let skipped = out
            .stdout
            .contains(&format!("skipped: it needs --features {feature}"));
        assert_ne!(skipped, is_on, "{feature}");
    }
}

#[test]
fn a_tutorial_is_found_by_its_class_or_its_whole_name() {
    for (name, says) in [
        (
            "Producer",
            "quickstart/Producer, simple/Producer, ordermessage/Producer",
        ),
        ("Consumer", "quickstart/Consumer, ordermessage/Consumer"),
        (
            "PushConsumer",
            "simple/PushConsumer, broadcast/PushConsumer",
        ),
        ("NoSuchProducer", "--list shows all"),
        ("producer", "--list shows all"),
        #[cfg(not(feature = "acl"))]
        (
            "AclClient",
            "cargo run --features acl --example tutorials -- AclClient",
        ),
    ] {
        let out = run("tutorials", &[name], "");
        assert_eq!(out.code, 2, "{out:?}");
        assert!(out.stderr.contains(says), "{out:?}");
        assert_eq!(out.stdout, "");
    }
    let out = run(
        "tutorials",
        &["quickstart/Producer", "SimpleBatchProducer"],
        "",
    );
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.stdout.matches("# ").count(), 2, "{out:?}");
}

#[test]
fn no_example_and_no_tutorial_is_forgotten() {
    let ci = include_str!("../../.ci/run");
    for name in examples() {
        let heading = README
            .lines()
            .any(|line| line.contains(&format!(" [{name}](")));
        assert!(heading, "examples/README.md has no heading for {name}");
        let command = format!("--example {name}");
        let mut lines = ci.lines().filter_map(|line| line.split('"').nth(1));
        let is_run = lines.any(|line| format!("{line} ").contains(&format!("{command} ")));
        assert!(is_run, ".ci/run does not run {name}");
    }
    let tutorials = tutorials();
    for name in &tutorials {
        let row = README
            .lines()
            .find(|line| line.starts_with("| ") && line.contains(name));
        assert!(row.is_some(), "examples/README.md has no row for {name}");
    }
    // Each file begins with the name of its tutorial, and all of them are listed.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tutorials");
    let files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert_eq!(files.len(), tutorials.len() + 1, "with main.rs: {files:?}");
    for name in tutorials.iter().filter(|name| !name.starts_with("tls/")) {
        let top = format!("//! `{name}`");
        let of_it = files.iter().filter(|file| {
            let text = fs::read_to_string(file).unwrap();
            text.starts_with(&top)
        });
        assert_eq!(of_it.count(), 1, "{name}");
    }
}

#[test]
fn the_readme_of_the_examples_links_to_files_that_exist() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let links = README
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let files: BTreeSet<&str> = links.filter(|link| !link.starts_with('#')).collect();
    assert!(files.len() > examples().len(), "{files:?}");
    for file in files {
        assert!(folder.join(file).is_file(), "{file}");
    }
}

#[test]
fn the_readme_of_the_examples_shows_what_they_print() {
    let mut shown = 0;
    for part in README.split("\n```sh\n").skip(1) {
        let (commands, rest) = part.split_once("\n```\n```text\n").unwrap();
        let (excerpt, _) = rest.split_once("\n```").unwrap();
        let command = commands.lines().next().unwrap();
        let (_, command) = command.split_once("--example ").unwrap();
        let mut words = command.split(' ').filter(|word| *word != "--");
        let out = run(words.next().unwrap(), &words.collect::<Vec<_>>(), "");
        assert_eq!(out.code, 0, "{command}: {out:?}");
        let printed: BTreeSet<String> = out.stdout.lines().map(without_figures).collect();
        for line in excerpt.lines().filter(|line| *line != "..") {
            let line = without_figures(line);
            assert!(
                printed.contains(&line),
                "{command} prints no {line:?}: {printed:#?}"
            );
        }
        shown += 1;
    }
    assert_eq!(shown, examples().len());
}

/// A line without the parts that differ from run to run: ids, numbers, times and the blanks between
/// them.
fn without_figures(line: &str) -> String {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '.' || c == 'µ';
    let mut kept = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = rest
            .find(|c| is_of_word(c) != is_of_word(first))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        let is_id = [16, 32].contains(&word.len()) && word.chars().all(|c| c.is_ascii_hexdigit());
        let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        match () {
            () if is_id => kept.push_str("ID"),
            () if !first.is_ascii_digit() => kept.push_str(word),
            () if ["", "ns", "µs", "ms", "s"].contains(&unit) => kept.push('#'),
            () => kept.push_str(&format!("#{unit}")),
        }
    }
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn figures_are_distinguished_from_words() {
    for (line, kept) in [
        (
            "  4 batches: 2000 in 9.3ms, 7 a second",
            "# batches: # in #, # a second",
        ),
        (
            "id=7F00000176B78B6D52AA6D0F24F5E67D queue=T@a:0",
            "id=ID queue=T@a:#",
        ),
        ("TagA Order1 127.0.0.1:80 16.1µs", "TagA Order1 #:# #"),
    ] {
        assert_eq!(without_figures(line), kept);
    }
}
