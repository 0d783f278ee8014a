//! A short run of every target, the same each time; and inputs that are long on purpose.

use hostile::engine;
use hostile::targets::Target;

/// Of each target: a few seconds for all, without optimisation.
const EXECUTIONS: u64 = 5_000;

#[test]
fn damaged_inputs_are_read_without_panic_in_little_memory_and_time() {
    for target in Target::all() {
        if let Err(failure) = engine::run(&target, 1, 0..EXECUTIONS) {
            panic!("{failure}");
        }
    }
}

#[test]
fn inputs_before_any_damage_are_read_too() {
    for target in Target::all() {
        for input in &target.corpus {
            let result = engine::check(&target, input);
            assert_eq!(result, Ok(()), "{} {input:02x?}", target.name);
        }
    }
}
