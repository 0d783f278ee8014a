//! The place of a ratio on the chart's horizontal axis.

/// A spread over more than this factor would make the small ones invisible.
const MOST_LINEAR: f64 = 10.0;

/// A ratio beyond these is drawn at the limit; its label has the true value.
const LOWEST: f64 = 1e-3;
const HIGHEST: f64 = 1e3;

/// An axis that always holds 1.0.
pub struct Axis {
    log: bool,
    low: f64,
    high: f64,
    pub ticks: Vec<f64>,
}

impl Axis {
    pub fn new(ratios: impl Iterator<Item = f64>) -> Axis {
        let (least, most) = ratios.fold((1.0_f64, 1.0_f64), |(least, most), ratio| {
            let ratio = ratio.clamp(LOWEST, HIGHEST);
            (least.min(ratio), most.max(ratio))
        });
        let log = most / least > MOST_LINEAR;
        let ticks = match log {
            true => log_ticks(least, most),
            false => linear_ticks(most),
        };
        let (low, high) = (ticks[0], ticks[ticks.len() - 1]);
        Axis {
            log,
            low,
            high,
            ticks,
        }
    }

    /// The start of the bars. A logarithmic axis has no zero, so they start at 1.0.
    pub fn base(&self) -> f64 {
        if self.log { 1.0 } else { 0.0 }
    }

    /// From 0.0 at the left end to 1.0 at the right one.
    pub fn place(&self, ratio: f64) -> f64 {
        let ratio = ratio.clamp(self.low, self.high);
        match self.log {
            true => (ratio / self.low).ln() / (self.high / self.low).ln(),
            false => (ratio - self.low) / (self.high - self.low),
        }
    }
}

fn linear_ticks(most: f64) -> Vec<f64> {
    // Each of these steps meets 1.0.
    let steps = [0.2, 0.5, 1.0];
    let step = steps.into_iter().find(|step| most / step <= 8.0);
    let step = step.unwrap_or(1.0);
    let count = (most / step).ceil() as u32;
    (0..=count).map(|i| f64::from(i) * step).collect()
}

/// 1, 2 and 5 times powers of ten: the last that is not above `least` to the first not below `most`.
fn log_ticks(least: f64, most: f64) -> Vec<f64> {
    let decades = LOWEST.log10() as i32 - 1..=HIGHEST.log10() as i32 + 1;
    let all = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(decade)));
    let all: Vec<f64> = all.collect();
    let first = all.iter().rposition(|tick| *tick <= least).unwrap_or(0);
    let last = all
        .iter()
        .position(|tick| *tick >= most)
        .unwrap_or(all.len() - 1);
    all[first..=last].to_vec()
}
