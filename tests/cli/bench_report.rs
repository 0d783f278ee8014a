//! `bench --report`: the comparison of recorded runs.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::*;

/// The text around the lines of every table.
const HEAD: &str = "\
| server | cell | client | msg/s | vs raw | vs java | CPU us/msg | p50 us | p99 us | p99.9 us | RSS MiB | arrived | quiet runs | errors |
|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|
";
const LEGEND: &str = "
Medians of the quiet runs, or of all if fewer than two were quiet. \"vs raw\" is to `rawrd` for sync
and batch, to `raw` for async and oneway. \"arrived\" and \"errors\" are those of all runs.
";

/// A file of lines, which goes when the test ends.
struct Results(PathBuf);

impl Results {
    fn new(name: &str, lines: &[String]) -> Results {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.jsonl"));
        fs::write(&path, lines.join("\n")).unwrap();
        Results(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn report(&self) -> Finished {
        run("bench", &["--report", self.path()], "")
    }

    /// The chart; the table goes to a file too.
    fn chart(&self) -> String {
        let [table, chart] = ["md", "svg"].map(|kind| self.0.with_extension(kind));
        let (table_path, chart_path) = (table.to_str().unwrap(), chart.to_str().unwrap());
        let args = [
            "--report",
            self.path(),
            "--markdown",
            table_path,
            "--svg",
            chart_path,
        ];
        let out = run("bench", &args, "");
        assert_eq!(out.code, 0, "{out:?}");
        assert_eq!(out.stdout, "", "{out:?}");
        assert!(fs::read_to_string(&table).unwrap().starts_with(HEAD));
        let text = fs::read_to_string(&chart).unwrap();
        fs::remove_file(table).unwrap();
        fs::remove_file(chart).unwrap();
        text
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A good run of 1000 messages, of which a percent more have arrived.
fn line(cell: &str, who: &str, msgs_per_s: f64) -> Value {
    json!({
        "client": "not this one", "cell": cell, "who": who, "kind": "stub", "others": 0.1,
        "msgs": 1000, "msgs_per_s": msgs_per_s, "cpu_s": 0.02, "rss_mb": 4.4, "p50_us": 60.25,
        "p99_us": 99.4, "p999_us": 301.0, "errors": 0, "first_error": null, "sent_total": 2000,
        "seen": 2020, "round": 0,
    })
}

fn with(mut line: Value, more: Value) -> String {
    let more = more.as_object().unwrap().clone();
    line.as_object_mut().unwrap().extend(more);
    line.to_string()
}

#[test]
fn the_table_has_medians_of_quiet_runs_and_ratios_to_the_limit_of_the_mode() {
    let sync = |who, speed| line("sync T=1 1024B", who, speed);
    let oneway = |who, speed| line("oneway 1024B", who, speed);
    let lost = json!({"errors": 2, "first_error": "no | route", "seen": 1000, "others": 0.9});
    let results = Results::new(
        "table",
        &[
            // Clients have their usual order, whatever the order of the lines.
            sync("ours", 3_000_000.0).to_string(),
            sync("ours", 1_000_000.0).to_string(),
            with(sync("ours", 9.0), json!({"others": 0.5})),
            sync("java", 1_000_000.0).to_string(),
            sync("raw", 8_000_000.0).to_string(),
            sync("rawrd", 4_000_000.0).to_string(),
            // One quiet run alone is not enough, so that all three count.
            oneway("java", 500.0).to_string(),
            with(oneway("java", 300.0), lost),
            with(oneway("java", 100.0), json!({"others": 2})),
            json!({"cell": "oneway 1024B", "who": "java", "kind": "stub", "failed": "timeout"})
                .to_string(),
            oneway("raw", 600.0).to_string(),
            json!({"cell": "oneway 1024B", "who": "go", "kind": "stub", "failed": "rc 1:\na | b"})
                .to_string(),
            with(
                oneway("other", 1.0),
                json!({"msgs": 0, "first_error": "refused"}),
            ),
        ],
    );
    let out = results.report();
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.stderr, "");
    let rows = "\
| stub | sync T=1 1024B | raw | 8,000,000 | 2.00 | 8.00 | 20.00 | 60.2 | 99 | 301 | 4 | 101.0% | 1/1 |  |
| stub | sync T=1 1024B | rawrd | 4,000,000 | 1.00 | 4.00 | 20.00 | 60.2 | 99 | 301 | 4 | 101.0% | 1/1 |  |
| stub | sync T=1 1024B | java | 1,000,000 | 0.25 | 1.00 | 20.00 | 60.2 | 99 | 301 | 4 | 101.0% | 1/1 |  |
| stub | sync T=1 1024B | ours | 2,000,000 | 0.50 | 2.00 | 20.00 | 60.2 | 99 | 301 | 4 | 101.0% | 2/3 |  |
| stub | oneway 1024B | raw | 600 | 1.00 | 2.00 | 20.00 | 60.2 | 99 | 301 | 4 | 101.0% | 1/1 |  |
| stub | oneway 1024B | java | 300 | 0.50 | 1.00 | 20.00 | 60.2 | 99 | 301 | 4 | 84.0% | 2/4 | 2: no / route (1 of 4 runs failed) |
| stub | oneway 1024B | go | FAILED |  |  |  |  |  |  |  |  | 1/1 | rc 1: a / b |
| stub | oneway 1024B | other | FAILED |  |  |  |  |  |  |  |  | 1/1 | refused |
";
    assert_eq!(out.stdout, format!("{HEAD}{rows}{LEGEND}"));
}

#[test]
fn output_of_bench_can_be_reported_unchanged() {
    let args = "--embedded --count 8 --warmup 0 --mode async --inflight 4 --threads 2 --producers 2 \
                --topics 2 --body 10";
    let out = run("bench", &args.split_whitespace().collect::<Vec<_>>(), "");
    let out = Results::new("printed", &[out.stdout]).report();
    assert_eq!(out.code, 0, "{out:?}");
    let row = "|  | async T=2 W=4 10B 2 topics 2 producers | ours | ";
    assert!(out.stdout.contains(row), "{out:?}");
}

#[test]
fn malformed_lines_are_skipped_and_counted() {
    let good = line("sync T=1 1024B", "ours", 10.0);
    let cut = good.to_string()[..40].to_owned();
    let no_client = with(good.clone(), json!({"who": null, "client": null}));
    let no_figure = with(good.clone(), json!({"p50_us": "fast"}));
    let nan = good.to_string().replace("60.25", "NaN");
    let lines = [
        cut,
        no_client,
        no_figure,
        nan,
        "[]".to_owned(),
        String::new(),
    ];
    let results = Results::new("malformed", &[&lines[..], &[good.to_string()]].concat());
    let out = results.report();
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.stderr, "bench: skipped 5 malformed lines\n");
    assert_eq!(out.stdout.matches("| ours | 10 |").count(), 1, "{out:?}");

    let out = Results::new("nothing", &lines).report();
    assert_eq!(out.code, 1, "{out:?}");
    assert!(out.stderr.contains("no runs"), "{out:?}");
}

#[test]
fn a_file_that_cannot_be_read_or_written_is_named() {
    let results = Results::new("named", &[line("sync T=1 1B", "ours", 1.0).to_string()]);
    let nowhere = format!("{}/no/such/place", env!("CARGO_TARGET_TMPDIR"));
    for args in [
        &["--report", results.path(), &nowhere][..],
        &["--report", results.path(), "--markdown", &nowhere],
        &["--report", results.path(), "--svg", &nowhere],
    ] {
        let out = run("bench", args, "");
        assert_eq!(out.code, 1, "{out:?}");
        assert!(
            out.stderr.starts_with(&format!("bench: {nowhere}: ")),
            "{out:?}"
        );
    }
}

#[test]
fn bars_start_at_zero_and_end_at_their_ratio() {
    let cell = "sync T=1 1024B";
    let lines = [("raw", 40.0), ("java", 20.0), ("ours", 30.0), ("<&>", 10.0)];
    let lines = lines.map(|(who, speed)| line(cell, who, speed).to_string());
    let chart = Results::new("linear", &lines).chart();
    check_svg(
        &chart,
        &[
            "stub sync T=1 1024B",
            "raw",
            "java = 1",
            "ours",
            "&lt;&amp;&gt;",
        ],
    );
    // The axis is 600 wide and ends at 2.
    for (width, label) in [
        ("600.0", "raw: 2.00"),
        ("450.0", "ours: 1.50"),
        ("150.0", "0.50"),
    ] {
        let bar = "x=\"200.0\" y=";
        let found = chart.lines().any(|line| {
            line.contains(bar)
                && line.contains(&format!("width=\"{width}\""))
                && line.contains(label)
        });
        assert!(found, "{label}: {chart}");
    }
    let colour = |label: &str| {
        let bar = chart.lines().find(|line| line.contains(label)).unwrap();
        bar.split("fill=").nth(1).unwrap()[..9].to_owned()
    };
    assert_ne!(colour("raw: 2.00"), colour("ours: 1.50"));
}

#[test]
fn a_wide_spread_is_drawn_logarithmically_around_one() {
    let cell = "oneway 1024B";
    let lines = [
        ("raw", 1000.0),
        ("java", 10.0),
        ("ours", 100.0),
        ("go", 1.0),
    ];
    let mut lines = lines
        .map(|(who, speed)| line(cell, who, speed).to_string())
        .to_vec();
    // A client without a ratio has no bar, and does not affect the others.
    lines.push(line("batch T=1 1024B", "ours", 5.0).to_string());
    lines.push(
        json!({"cell": cell, "who": "mxsm", "kind": "stub", "failed": "timeout"}).to_string(),
    );
    lines.push(line("sync T=1 1024B", "java", 0.0).to_string());
    lines.push(line("sync T=1 1024B", "ours", 5.0).to_string());
    let chart = Results::new("log", &lines).chart();
    let labels = [
        "stub oneway 1024B",
        "stub batch T=1 1024B",
        "mxsm: failed",
        "ours: no java run",
    ];
    check_svg(&chart, &labels);
    // 0.1 to 100 are three decades of 200; 1.0 is at 400.
    for (x, width, label) in [
        ("400.0", "400.0", "raw: 100.00"),
        ("400.0", "200.0", "ours: 10.00"),
        ("200.0", "200.0", "go: 0.10"),
    ] {
        let bar = chart
            .lines()
            .find(|line| line.contains(label))
            .expect(label);
        assert!(bar.contains(&format!("<rect x=\"{x}\"")), "{bar}");
        assert!(bar.contains(&format!("width=\"{width}\"")), "{bar}");
    }
}

fn check_svg(chart: &str, labels: &[&str]) {
    assert!(
        chart.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" "),
        "{chart}"
    );
    assert!(chart.ends_with("</svg>\n"), "{chart}");
    for element in ["svg", "style", "title", "text"] {
        let opened = chart.matches(&format!("<{element}>")).count()
            + chart.matches(&format!("<{element} ")).count();
        let closed = chart.matches(&format!("</{element}>")).count();
        assert_eq!(opened, closed, "{element}: {chart}");
    }
    for bad in ["NaN", "inf", "<script", "url(", "=\"-"] {
        assert!(!chart.contains(bad), "{bad}: {chart}");
    }
    for label in labels {
        assert!(
            chart.contains(&format!(">{label}</text>")),
            "{label}: {chart}"
        );
    }
}
