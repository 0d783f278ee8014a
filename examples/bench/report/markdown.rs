//! The table as Markdown.

use crate::report::table::{Medians, Row};

const HEAD: &str = "\
| server | cell | client | msg/s | vs raw | vs java | CPU us/msg | p50 us | p99 us | p99.9 us | RSS MiB | arrived | quiet runs | errors |
|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|
";

const LEGEND: &str = "
Medians of the quiet runs, or of all if fewer than two were quiet. \"vs raw\" is to `rawrd` for sync
and batch, to `raw` for async and oneway. \"arrived\" and \"errors\" are those of all runs.
";

/// No more of an error than fits into a cell.
const MOST_ERROR: usize = 160;

pub fn markdown(rows: &[Row]) -> String {
    let lines: String = rows.iter().map(line).collect();
    format!("{HEAD}{lines}{LEGEND}")
}

fn line(row: &Row) -> String {
    let mut cells = vec![plain(&row.server), plain(&row.cell), plain(&row.client)];
    match &row.result {
        Ok(medians) => cells.extend(figures(medians)),
        Err(_) => {
            cells.push("FAILED".to_owned());
            cells.resize(12, String::new());
        }
    }
    cells.push(format!("{}/{}", row.quiet_runs, row.runs));
    let errors = match &row.result {
        Ok(medians) => &medians.errors,
        Err(why) => why,
    };
    cells.push(plain(errors).chars().take(MOST_ERROR).collect());
    format!("| {} |\n", cells.join(" | "))
}

fn figures(medians: &Medians) -> [String; 9] {
    let ratio = |ratio: Option<f64>| ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
    [
        thousands(medians.msgs_per_s),
        ratio(medians.vs_raw),
        ratio(medians.vs_java),
        format!("{:.2}", medians.cpu_us_per_msg),
        format!("{:.1}", medians.p50_us),
        format!("{:.0}", medians.p99_us),
        format!("{:.0}", medians.p999_us),
        format!("{:.0}", medians.rss_mib),
        medians
            .arrived
            .map_or(String::new(), |percent| format!("{percent:.1}%")),
    ]
}

/// Whole, with commas between groups of three digits.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// On one line, and without what would end a cell.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "/")
}
