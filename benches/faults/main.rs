//! Figures of sends that meet faults, on the cluster and the proxies of `tests/faults`: measured on
//! demand and printed. `src/docs/contributing/faults.md` has the reference values,
//! `benches/README.md` the commands. No figure fails because a machine is slow, only for a broken
//! invariant.

#[allow(dead_code, reason = "the tests need more of it")]
#[path = "../../tests/faults/bench/mod.rs"]
mod bench;
mod figures;
mod java;

use std::process::ExitCode;

use bench::MODES;
use bench::sender::Ours;
use java::Java;

/// Nothing where a client has no such figure.
type Measure = Option<fn()>;

/// The name of a figure, and how it is measured with this client and with Java's.
const FIGURES: &[(&str, Measure, Measure)] = &[
    (
        "callbacks",
        Some(|| assert_eq!(figures::callbacks_of(&mut Ours::default()), [0, 0, 0])),
        Some(|| {
            figures::callbacks_of(&mut Java::start());
        }),
    ),
    (
        "ends",
        Some(|| figures::ends_of(&mut Ours::default())),
        Some(|| figures::ends_of(&mut Java::start())),
    ),
    (
        "back",
        Some(|| figures::back_of(&mut Ours::default())),
        Some(|| figures::back_of(&mut Java::start())),
    ),
    (
        "cycles",
        Some(|| assert_eq!(figures::cycles_of(&mut Ours::default()), [0, 0])),
        Some(|| {
            figures::cycles_of(&mut Java::start());
        }),
    ),
    (
        "shutdowns",
        Some(|| figures::shutdowns_of(&mut Ours::default())),
        Some(|| figures::shutdowns_of(&mut Java::start())),
    ),
    (
        "overshoot",
        Some(|| figures::overshoot_of(&mut Ours::default(), &MODES)),
        Some(java::overshoot),
    ),
    ("flood", None, Some(java::flood)),
    ("bodies_alone", Some(figures::bodies_alone), None),
];

fn main() -> ExitCode {
    bench::watch::one_by_one();
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    // The argument that cargo gives to every benchmark.
    names.retain(|name| name != "--bench");
    let java = names.iter().any(|name| name == "--java");
    names.retain(|name| name != "--java");
    let all: Vec<&str> = FIGURES.iter().map(|(name, ..)| *name).collect();
    let unknown = |name: &&String| *name != "all" && !all.contains(&name.as_str());
    if let Some(name) = names.iter().find(unknown) {
        eprintln!("no figure {name}: all, or {}", all.join(", "));
        return ExitCode::from(2);
    }
    if names.is_empty() {
        println!(
            "figures of faults: name some: `-- all`, or {}",
            all.join(", ")
        );
    }
    for (name, ours, javas) in FIGURES {
        let measure = if java { javas } else { ours };
        if names.iter().any(|asked| asked == "all" || asked == name) {
            match measure {
                Some(measure) => measure(),
                None => println!("{name}: not measured for this client"),
            }
        }
    }
    ExitCode::SUCCESS
}
