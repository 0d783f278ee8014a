//! `consume`: the options of its client, and those that do not go together.

use rocketmq_blocking::embedded::{Cluster, On};
use rocketmq_blocking::{ClientOptions, Message, Producer};

use crate::consume::consume;
use crate::support::*;

#[test]
fn consume_sets_up_its_client_as_it_is_told() {
    let cluster = Cluster::start().unwrap();
    let options = ClientOptions::new()
        .name_server(cluster.name_server())
        .namespace("ns1");
    let producer = Producer::builder("sends").options(options).start();
    let sent = producer.unwrap().send(&Message::new("T", "1"));
    assert!(sent.is_ok(), "{sent:?}");
    let args = "--topic T --group g --from first --count 1 --namespace ns1 --namespace-v2 ns2 \
                --instance-name here --unit-name unit";
    let out = consume(args, &cluster);
    assert_eq!(out.code, 0, "{out:?}");
    let message = out.events("message")[0];
    assert_eq!(message["topic"], "T");
    assert_eq!(out.lines[0]["client_id"], "127.0.0.1@here@unit");
    let leaves = On::when(|command| {
        On::Unregister.matches(command) && command.ext.get("consumerGroup") == Some("ns1%g")
    });
    let leaving = cluster.wait_for_requests(&leaves, 1, PATIENCE);
    let leaving = leaving.iter().map(|request| &request.command().ext);
    let ids: Vec<_> = leaving.map(|ext| ext.get("clientID")).collect();
    assert_eq!(ids, [Some("127.0.0.1@here@unit")]);
    let pulls = cluster.requests(&On::Pull);
    assert_eq!(pulls[0].command().ext.get("ns"), Some("ns2"));
    // The group's offsets are found under its name too.
    let lag = consume("--lag --topic T --group g --namespace ns1", &cluster);
    let committed = lag.events("lag").into_iter().map(|line| &line["committed"]);
    assert_eq!(
        committed.filter(|offset| **offset == 1).count(),
        1,
        "{lag:?}"
    );
}

#[test]
fn consume_traces_what_it_consumes_in_every_way() {
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    let producer = Producer::builder("sends").name_server(cluster.name_server());
    let sent = producer.start().unwrap().send(&Message::new("T", "1"));
    let id = sent.unwrap().message_id().to_owned();
    let mut before = 0;
    for kind in ["push", "pull", "simple"] {
        let args = format!("--trace --kind {kind} --group {kind} --topic T --from first --count 1");
        let out = consume(&args, &cluster);
        assert_eq!(out.code, 0, "{out:?}");
        // The two records may be sent together, or not.
        let traces = cluster.messages("RMQ_SYS_TRACE_TOPIC");
        let bodies = traces[before..].iter().map(|trace| trace.text());
        let text: String = bodies.collect();
        before = traces.len();
        let records: Vec<&str> = text.split_terminator('\u{2}').collect();
        assert_eq!(records.len(), 2, "{kind}: {text}");
        assert!(records.iter().all(|record| record.contains(&id)), "{text}");
        assert!(records[0].starts_with("SubBefore\u{1}"), "{text}");
        assert!(records[1].ends_with(&format!("\u{1}{kind}")), "{text}");
    }
}

#[test]
fn consume_takes_the_name_servers_from_the_environment() {
    let cluster = Cluster::builder().topic("TopicTest", 1).start().unwrap();
    let mut command = program("consume");
    command
        .args(["--seconds", "0"])
        .env("NAMESRV_ADDR", cluster.name_server());
    let out = finish(command, "");
    assert_eq!(out.code, 0, "{out:?}");
    let leaving = cluster.wait_for_requests(&On::Unregister, 1, PATIENCE);
    assert!(!leaving.is_empty());
}

#[test]
fn consume_names_the_feature_that_an_option_needs() {
    for (is_on, args, feature) in [
        (cfg!(feature = "tls"), "--tls", "tls"),
        (
            cfg!(feature = "acl"),
            "--access-key k --secret-key s",
            "acl",
        ),
        (
            cfg!(feature = "discovery"),
            "--name-server-url http://h:1/l",
            "discovery",
        ),
    ] {
        if is_on {
            continue;
        }
        let name = args.split(' ').next().unwrap();
        let out = run("consume", &args.split(' ').collect::<Vec<_>>(), "");
        assert_eq!(out.code, 2, "{out:?}");
        let says = format!(
            "consume: {name} needs the feature {feature}: cargo run --features {feature} --example \
             consume -- ...\n"
        );
        assert_eq!(out.stderr, says);
        assert_eq!(out.stdout, "");
    }
}

#[cfg(feature = "acl")]
#[test]
fn consume_signs_its_requests() {
    let cluster = Cluster::builder().topic("TopicTest", 1).start().unwrap();
    let args = "--seconds 0.2 --access-key key --secret-key hush --security-token token";
    assert_eq!(consume(args, &cluster).code, 0);
    let asked = cluster.requests(&On::Members);
    assert!(!asked.is_empty());
    for request in asked {
        let ext = &request.command().ext;
        assert_eq!(ext.get("AccessKey"), Some("key"));
        assert_eq!(ext.get("SecurityToken"), Some("token"));
        assert!(ext.get("Signature").is_some());
    }
}

#[test]
fn consume_says_which_filter_a_broker_refuses() {
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    for kind in ["push", "pull", "pull --assign broker-a:0"] {
        let args = format!("--topic T --sql a>5 --kind {kind}");
        let out = consume(&args, &cluster);
        assert_eq!(out.code, 2, "{kind}: {out:?}");
        let error = out.events("error")[0];
        assert_eq!(error["kind"], "config", "{kind}: {error}");
        assert_eq!(error["code"], 1, "{kind}: {error}");
        let says = error["message"].as_str().unwrap();
        assert!(says.contains("SQL92"), "{kind}: {says}");
        assert_eq!(out.summary["clean"], false);
    }
}

#[test]
fn consume_refuses_options_that_do_not_go_together() {
    for (args, says) in [
        ("--tags A --sql a>5", "--sql"),
        ("--kind poll", "poll"),
        ("--kind pull --orderly", "--orderly needs --kind push"),
        ("--kind simple --orderly", "--orderly needs --kind push"),
        (
            "--broadcast --retry-level 1",
            "--retry-level does not go with --broadcast",
        ),
        (
            "--broadcast --max-reconsume 1",
            "--max-reconsume does not go with --broadcast",
        ),
        (
            "--kind pull --broadcast --assign broker-a:0",
            "--assign does not go with --broadcast",
        ),
        ("--kind simple --broadcast", "--kind simple"),
        ("--orderly --batch 2", "--batch does not go with --orderly"),
        ("--offset-dir d", "--broadcast"),
        (
            "--from middle",
            "expected last, first, or epoch milliseconds",
        ),
        ("--from -1", "-1"),
        ("--assign broker-a:0", "--assign needs --kind pull"),
        ("--kind pull --assign broker-a", "expected BROKER:ID"),
        (
            "--kind pull --topic T --topic U --assign broker-a:0",
            "--assign needs exactly one --topic",
        ),
        (
            "--kind pull --allocate circle --assign broker-a:0",
            "--allocate does not go with --assign",
        ),
        ("--kind pull --threads 2", "--threads needs --kind push"),
        ("--threads 0", "--threads"),
        ("--threads 1001", "--threads"),
        ("--batch 0", "--batch"),
        ("--allocate fair", "fair"),
        ("--kind simple --allocate circle", "--allocate"),
        (
            "--kind pull --broker-assignment",
            "--broker-assignment needs --kind push",
        ),
        ("--count 0", "--count"),
        ("--seconds -1", "-1"),
        ("--seconds long", "expected seconds"),
        ("--idle-ms 0", "--idle-ms"),
        ("--retry-level -2", "--retry-level"),
        (
            "--kind pull --retry-level 1",
            "--retry-level does not go with --kind pull",
        ),
        (
            "--kind pull --max-reconsume 1",
            "--max-reconsume does not go with --kind pull",
        ),
        ("--kind simple --retry-level 1", "only 0 and -1"),
        ("--kind simple --batch 33", "--batch is at most 32"),
        ("--kind simple --from 5", "start_from"),
        ("--kind simple --invisible-ms 999", "--invisible-ms"),
        ("--invisible-ms 1000", "--invisible-ms needs --kind simple"),
        ("--no-ack", "--no-ack needs --kind simple"),
        ("--no-commit", "--no-commit needs --kind pull"),
        (
            "--broker-assignment --kind simple",
            "--broker-assignment needs --kind push",
        ),
        (
            "--broker-assignment --orderly",
            "--broker-assignment does not go with --orderly and --broadcast",
        ),
        (
            "--broker-assignment --broadcast",
            "--broker-assignment does not go with --orderly and --broadcast",
        ),
        ("--broker-assignment --from 5", "StartFrom::Time"),
        ("--secret-key s", "--access-key"),
        ("--access-key k", "--secret-key"),
        ("--security-token t", "--access-key"),
        ("--tls-ca ca.pem", "--tls"),
        ("--tls-insecure", "--tls"),
        ("--tls --tls-insecure --tls-ca ca.pem", "--tls-ca"),
        (
            "--name-server localhost:1 --name-server-url http://localhost:1/list",
            "--name-server-url",
        ),
        ("--group no%percent?", "group"),
        ("--topic %RETRY%g", "retry topic"),
        ("--tags ||", "no tag"),
        ("--namespace no%percent", "namespace"),
        ("--instance-name a@b", "instance_name"),
        ("--unit-name a@b", "unit_name"),
        #[cfg(feature = "tls")]
        ("--tls", "--tls needs --name-server"),
        #[cfg(feature = "tls")]
        (
            "--name-server localhost:1 --tls --tls-ca no-such-file.pem",
            "no-such-file.pem",
        ),
    ] {
        let out = run("consume", &args.split(' ').collect::<Vec<_>>(), "");
        assert_eq!(out.code, 2, "{args}: {out:?}");
        assert!(out.stderr.contains(says), "{args}: {out:?}");
        assert_eq!(out.stdout, "", "{args}");
    }
}
