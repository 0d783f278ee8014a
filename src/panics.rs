//! Caught panics: of user code, and of the library's own code on threads that others depend on.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The payload of a panic. It is never dropped: its `Drop` is user code, and could panic again
/// outside of any catch.
pub(crate) type Payload = ManuallyDrop<Box<dyn Any + Send>>;

/// The result of `run`, or its panic.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Payload> {
    catch_unwind(AssertUnwindSafe(run)).map_err(ManuallyDrop::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_whose_end_panics_goes_no_further() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("a payload's own panic");
            }
        }
        assert!(caught(|| std::panic::panic_any(Bomb)).is_err());
        assert_eq!(caught(|| 1).ok(), Some(1));
    }
}
