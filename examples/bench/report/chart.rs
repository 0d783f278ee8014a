//! The ratios to Java as horizontal bars, grouped by cell, in SVG.

use crate::report::axis::Axis;
use crate::report::svg::{document, line, rect, text};
use crate::report::table::{JAVA, KNOWN, Row, distinct};

const TITLE: &str = "Messages per second, as multiples of Java's";

/// The axis; names of cells are left of it, the value of the longest bar right of it.
const AXIS: f64 = 600.0;
const LEAST_LEFT: f64 = 200.0;
const MARGIN: f64 = 60.0;
/// About the width of a character of a cell's name.
const CHARACTER: f64 = 7.0;
const BAR: f64 = 13.0;
const GAP: f64 = 14.0;

/// As `KNOWN`, then for the clients that are not in it. They stand out from white and from
/// near-black. Java itself is the line at 1.0 and has no bars, so that its colour is free.
const COLOURS: [&str; 10] = [
    "#8a8f98", "#5f7fa8", "#b07d12", "#b07d12", "#1590a0", "#8f66d6", "#e0571c", "#3c9a4b",
    "#d14b86", "#7d8f1f",
];

struct Chart<'a> {
    axis: Axis,
    /// The start of the axis.
    left: f64,
    colours: Vec<(&'a str, &'static str)>,
}

pub fn chart(rows: &[Row]) -> String {
    let widths = rows.iter().map(|row| name(row).chars().count() as f64);
    let left = widths.fold(LEAST_LEFT, |left, width| left.max(width * CHARACTER + 24.0));
    let chart = Chart {
        axis: Axis::new(rows.iter().filter_map(ratio)),
        left,
        colours: colours(rows),
    };
    let width = left + AXIS + MARGIN;
    let (legend, top) = chart.legend(width);
    let mut bottom = top + GAP;
    let mut groups = String::new();
    for cell in distinct(rows.iter().map(name)) {
        let of_cell = |row: &&Row| name(row) == cell && row.client != JAVA;
        let bars: Vec<&Row> = rows.iter().filter(of_cell).collect();
        let height = BAR * bars.len().max(1) as f64;
        groups += &text(left - 12.0, bottom + height / 2.0 + 4.0, "end", 12, &cell);
        for (i, row) in bars.into_iter().enumerate() {
            groups += &chart.bar(row, bottom + BAR * i as f64);
        }
        bottom += height + GAP;
    }
    let title = text(16.0, 28.0, "start", 16, TITLE);
    let content = title + &legend + &chart.grid(top, bottom) + &groups;
    document(width, bottom + GAP, TITLE, &content)
}

impl Chart<'_> {
    /// A square and a name for each client, and the first place below them.
    fn legend(&self, most: f64) -> (String, f64) {
        let (mut x, mut y) = (16.0, 52.0);
        let mut drawn = String::new();
        for (client, colour) in &self.colours {
            let width = 36.0 + 7.5 * client.chars().count() as f64;
            if x + width > most && x > 16.0 {
                (x, y) = (16.0, y + 18.0);
            }
            drawn += &rect(x, y - 10.0, 12.0, 12.0, colour, client);
            drawn += &text(x + 17.0, y, "start", 12, client);
            x += width;
        }
        (drawn, y + 30.0)
    }

    fn grid(&self, top: f64, bottom: f64) -> String {
        let mut drawn = String::new();
        for tick in &self.axis.ticks {
            let is_java = (tick - 1.0).abs() < 1e-9;
            let label = match is_java {
                true => format!("{JAVA} = 1"),
                // Multiples of 0.2 have rounding errors in their last digits.
                false => ((tick * 1e4).round() / 1e4).to_string(),
            };
            let x = self.x(*tick);
            drawn += &line(x, top, bottom, is_java);
            drawn += &text(x, top - 6.0, "middle", 11, &label);
        }
        drawn
    }

    fn bar(&self, row: &Row, y: f64) -> String {
        let base = self.x(self.axis.base());
        let beside = |x: f64, label: &str| text(x + 4.0, y + BAR - 3.0, "start", 10, label);
        let Some(ratio) = ratio(row) else {
            let why = match &row.result {
                Ok(_) => "no java run",
                Err(_) => "failed",
            };
            return beside(base, &format!("{}: {why}", row.client));
        };
        let end = self.x(ratio);
        let (left, right) = (base.min(end), base.max(end));
        let title = format!("{}, {}: {ratio:.2}", row.cell, row.client);
        let colour = self.colour(&row.client);
        let drawn = rect(left, y, right - left, BAR - 2.0, colour, &title);
        drawn + &beside(right, &format!("{ratio:.2}"))
    }

    fn x(&self, ratio: f64) -> f64 {
        self.left + AXIS * self.axis.place(ratio)
    }

    fn colour(&self, client: &str) -> &'static str {
        let found = self.colours.iter().find(|(name, _)| *name == client);
        found.map_or(COLOURS[0], |(_, colour)| *colour)
    }
}

fn colours(rows: &[Row]) -> Vec<(&str, &'static str)> {
    let clients = rows.iter().map(|row| row.client.as_str());
    let clients = distinct(clients.filter(|client| *client != JAVA));
    let mut more = COLOURS[KNOWN.len()..].iter().cycle();
    let mut colour = |client| match KNOWN.iter().position(|known| *known == client) {
        Some(place) => COLOURS[place],
        None => more.next().expect("a cycle has no end"),
    };
    clients
        .into_iter()
        .map(|client| (client, colour(client)))
        .collect()
}

/// The label left of a group.
fn name(row: &Row) -> String {
    format!("{} {}", row.server, row.cell).trim().to_owned()
}

fn ratio(row: &Row) -> Option<f64> {
    row.result.as_ref().ok()?.vs_java
}
