//! Medians and ratios per cell and client.

use crate::report::read::{Figures, Run};

/// The clients of the usual comparison, in the order in which they are shown; others come behind.
pub const KNOWN: [&str; 7] = ["raw", "rawrd", "java", "javabin", "go", "mxsm", "ours"];

/// The others' ratios are taken to this one.
pub const JAVA: &str = "java";

/// Runs during which other work took fewer cores than this count as quiet.
const QUIET: f64 = 0.5;

/// The results of a client in a cell.
pub struct Row {
    pub server: String,
    pub cell: String,
    pub client: String,
    pub runs: usize,
    pub quiet_runs: usize,
    /// Or why all its runs failed.
    pub result: Result<Medians, String>,
}

/// Medians of the quiet runs.
pub struct Medians {
    pub msgs_per_s: f64,
    /// To `raw` or `rawrd`: the limit of the socket for this kind of sending.
    pub vs_raw: Option<f64>,
    pub vs_java: Option<f64>,
    pub cpu_us_per_msg: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub rss_mib: f64,
    /// Of all runs: percent of what was sent.
    pub arrived: Option<f64>,
    /// Of all runs: failed sends and failed runs, or nothing.
    pub errors: String,
}

/// Cells in the order of the runs, and each cell's clients in the order of `KNOWN`.
pub fn table(runs: &[Run]) -> Vec<Row> {
    let cells = distinct(runs.iter().map(|run| (&run.server, &run.cell)));
    let mut clients = distinct(runs.iter().map(|run| &run.client));
    let place = |client: &str| KNOWN.iter().position(|known| *known == client);
    clients.sort_by_key(|client| place(client).unwrap_or(KNOWN.len()));
    let rows_of = |(server, cell)| {
        let in_cell = |run: &&Run| (&run.server, &run.cell) == (server, cell);
        let runs: Vec<&Run> = runs.iter().filter(in_cell).collect();
        let rows = clients.iter().filter_map(|client| Row::new(client, &runs));
        with_ratios(rows.collect())
    };
    cells.into_iter().flat_map(rows_of).collect()
}

/// Each value once, in the order of first appearance.
pub fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

impl Row {
    /// `runs` are those of all clients in one cell.
    fn new(client: &str, runs: &[&Run]) -> Option<Row> {
        let of_client = |run: &&&Run| run.client == client;
        let runs: Vec<&Run> = runs.iter().filter(of_client).copied().collect();
        let first = runs.first()?;
        Some(Row {
            server: first.server.clone(),
            cell: first.cell.clone(),
            client: first.client.clone(),
            runs: runs.len(),
            quiet_runs: runs.iter().filter(|run| run.others < QUIET).count(),
            result: Medians::new(&runs),
        })
    }

    fn msgs_per_s(&self) -> Option<f64> {
        self.result.as_ref().ok().map(|medians| medians.msgs_per_s)
    }
}

impl Medians {
    fn new(runs: &[&Run]) -> Result<Medians, String> {
        let good = runs
            .iter()
            .filter_map(|run| Some((*run, run.figures.as_ref().ok()?)));
        let good: Vec<(&Run, &Figures)> = good.collect();
        if good.is_empty() {
            let why = runs.iter().find_map(|run| run.figures.as_ref().err());
            return Err(why.cloned().unwrap_or_default());
        }
        let quiet: Vec<_> = good.iter().filter(|(run, _)| run.others < QUIET).collect();
        // One quiet run is no better a median than several disturbed ones.
        let used = if quiet.len() >= 2 {
            quiet
        } else {
            good.iter().collect()
        };
        let of =
            |figure: fn(&Figures) -> f64| median(used.iter().map(|(_, f)| figure(f)).collect());
        Ok(Medians {
            msgs_per_s: of(|f| f.msgs_per_s),
            vs_raw: None,
            vs_java: None,
            cpu_us_per_msg: of(|f| f.cpu_s * 1e6 / f.msgs as f64),
            p50_us: of(|f| f.p50_us),
            p99_us: of(|f| f.p99_us),
            p999_us: of(|f| f.p999_us),
            rss_mib: of(|f| f.rss_mb),
            arrived: arrived(&good),
            errors: errors(&good, runs.len()),
        })
    }
}

/// `rows` are those of one cell.
fn with_ratios(mut rows: Vec<Row>) -> Vec<Row> {
    let mode = rows.first().and_then(|row| row.cell.split(' ').next());
    let limit = match mode {
        // Callers that wait for answers on a shared connection need a reader thread.
        Some("sync" | "batch") => "rawrd",
        _ => "raw",
    };
    let speed_of = |client| rows.iter().find(|row| row.client == client)?.msgs_per_s();
    let (raw, java) = (speed_of(limit), speed_of(JAVA));
    for medians in rows.iter_mut().filter_map(|row| row.result.as_mut().ok()) {
        let to = |other: f64| (other > 0.0).then(|| medians.msgs_per_s / other);
        (medians.vs_raw, medians.vs_java) = (raw.and_then(to), java.and_then(to));
    }
    rows
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

fn arrived(good: &[(&Run, &Figures)]) -> Option<f64> {
    let sent: u64 = good.iter().map(|(run, _)| run.sent_total).sum();
    let seen: Option<i64> = good.iter().map(|(run, _)| run.seen).sum();
    seen.filter(|_| sent > 0)
        .map(|seen| 100.0 * seen as f64 / sent as f64)
}

fn errors(good: &[(&Run, &Figures)], runs: usize) -> String {
    let mut parts = Vec::new();
    let errors: u64 = good.iter().map(|(run, _)| run.errors).sum();
    if errors > 0 {
        let first = good.iter().find_map(|(run, _)| run.first_error.as_deref());
        parts.push(format!("{errors}: {}", first.unwrap_or("unknown")));
    }
    if good.len() < runs {
        parts.push(format!("({} of {runs} runs failed)", runs - good.len()));
    }
    parts.join(" ")
}
