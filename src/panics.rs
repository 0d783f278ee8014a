//! Panics that go no further: of user code, and of our own where others depend on a thread.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic was raised with. It is never dropped: its end is code of whoever raised it, and could
/// panic again where nobody catches that.
pub(crate) type Payload = ManuallyDrop<Box<dyn Any + Send>>;

/// What `run` returns, or its panic.
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
