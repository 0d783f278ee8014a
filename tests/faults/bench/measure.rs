//! Sizes from the environment, and the printing of figures.

use std::time::Duration;

use super::SEED;

/// The size of a figure, from an environment variable.
pub fn asked(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}

/// The seed of a figure: `FIGURE_SEED`, or that of all cases.
pub fn seed() -> u64 {
    asked("FIGURE_SEED", SEED as usize) as u64
}

pub fn print(figure: &str, seen: &str) {
    // The library's: that of the package may be the benchmarks'.
    let manifest = include_str!("../../../Cargo.toml");
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("version = "));
    let version = version.unwrap_or_default().trim_matches('"');
    println!("{figure} | {seen} | seed {:#x}, version {version}", seed());
}

/// The median, the 99th percentile and the largest.
pub fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    let (half, most) = (at(50), at(99));
    let last = times.last().expect("at least one");
    format!(
        "p50 {half:.1?}, p99 {most:.1?}, max {last:.1?} of {}",
        times.len()
    )
}
