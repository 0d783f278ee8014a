//! Reads recorded runs, one JSON object a line.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

/// One run of one client.
pub struct Run {
    /// The server; runs against different servers are not compared.
    pub server: String,
    /// The cell, such as `sync T=16 1024B`; its first word is the mode.
    pub cell: String,
    pub client: String,
    /// The number of cores that other work took.
    pub others: f64,
    pub errors: u64,
    pub first_error: Option<String>,
    /// Messages that the client calls sent, the warm-up included.
    pub sent_total: u64,
    /// Messages that the server has seen, if counted.
    pub seen: Option<i64>,
    /// Or the reason why there are none.
    pub figures: Result<Figures, String>,
}

#[derive(Deserialize)]
pub struct Figures {
    pub msgs: u64,
    pub msgs_per_s: f64,
    pub cpu_s: f64,
    pub rss_mb: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
}

/// The line of a bench program, and what a comparison's runner may have added to it.
#[derive(Deserialize)]
struct Line {
    client: Option<String>,
    mode: Option<String>,
    threads: Option<u64>,
    inflight: Option<u64>,
    body: Option<u64>,
    topics: Option<u64>,
    producers: Option<u64>,
    #[serde(default)]
    errors: u64,
    first_error: Option<String>,
    #[serde(default)]
    sent_total: u64,

    who: Option<String>,
    cell: Option<String>,
    kind: Option<String>,
    #[serde(default)]
    others: f64,
    seen: Option<i64>,
    failed: Option<String>,

    // All of them or none: a run that failed has none.
    #[serde(flatten)]
    figures: Option<Figures>,
}

/// The runs of all files, and how many lines could not be understood.
pub fn read(paths: &[PathBuf]) -> Result<(Vec<Run>, usize), String> {
    let mut runs = Vec::new();
    let mut skipped = 0;
    for path in paths {
        // A file that was cut off within a character is still good but for that line.
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match parse(line) {
                Some(run) => runs.push(run),
                None => skipped += 1,
            }
        }
    }
    Ok((runs, skipped))
}

fn parse(line: &str) -> Option<Run> {
    let line: Line = serde_json::from_str(line).ok()?;
    let cell = line.cell.clone().or_else(|| line.cell_name())?;
    Some(Run {
        server: line.kind.unwrap_or_default(),
        cell,
        client: line.who.or(line.client)?,
        others: line.others,
        errors: line.errors,
        figures: match line.failed {
            Some(why) => Err(why),
            None => match line.figures? {
                figures if figures.msgs > 0 => Ok(figures),
                _ => Err(line.first_error.clone().unwrap_or("no messages".to_owned())),
            },
        },
        first_error: line.first_error,
        sent_total: line.sent_total,
        seen: line.seen,
    })
}

impl Line {
    /// The name of the cell as a runner gives it, for the line of a program that ran alone.
    fn cell_name(&self) -> Option<String> {
        let mode = self.mode.as_deref()?;
        let (threads, body) = (self.threads?, self.body?);
        let mut name = mode.to_owned();
        if matches!(mode, "sync" | "batch") || threads > 1 {
            name += &format!(" T={threads}");
        }
        if mode == "async" {
            name += &format!(" W={}", self.inflight?);
        }
        name += &format!(" {body}B");
        for (what, count) in [("topics", self.topics), ("producers", self.producers)] {
            if let Some(count) = count.filter(|count| *count > 1) {
                name += &format!(" {count} {what}");
            }
        }
        Some(name)
    }
}
