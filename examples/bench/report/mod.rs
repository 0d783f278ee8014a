//! Compares the runs that were recorded in files: a Markdown table, and a bar chart as SVG.

mod axis;
mod chart;
mod markdown;
mod read;
mod svg;
mod table;

use std::error::Error;
use std::fs;
use std::path::Path;

use crate::args::Cli;

pub fn run(cli: &Cli) -> Result<(), Box<dyn Error>> {
    let (runs, skipped) = read::read(&cli.report)?;
    if skipped > 0 {
        eprintln!("bench: skipped {skipped} malformed lines");
    }
    if runs.is_empty() {
        return Err("no runs to compare".into());
    }
    let rows = table::table(&runs);
    let text = markdown::markdown(&rows);
    match &cli.markdown {
        Some(path) => write(path, &text)?,
        None => print!("{text}"),
    }
    match &cli.svg {
        Some(path) => write(path, &chart::chart(&rows)),
        None => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}
