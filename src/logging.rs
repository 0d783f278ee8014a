//! All log lines of this crate go through here. A logger is the program's own code, called on
//! threads that many sends depend on: its panic is caught and dropped. Text from a peer cannot
//! break a line.

use crate::panics::caught;

#[collapse_debuginfo(yes)]
macro_rules! log_at {
    (target: $target:expr, $level:expr, $($text:tt)+) => {{
        let level = $level;
        if level <= ::log::STATIC_MAX_LEVEL && level <= ::log::max_level() {
            $crate::logging::guarded(|| {
                ::log::log!(
                    target: $target, level, "{}",
                    $crate::error::OneLine(::core::format_args!($($text)+))
                )
            });
        }
    }};
}

#[collapse_debuginfo(yes)]
macro_rules! log_error {
    (target: $target:expr, $($text:tt)+) => {
        $crate::logging::log!(target: $target, ::log::Level::Error, $($text)+)
    };
}

#[collapse_debuginfo(yes)]
macro_rules! log_warn {
    (target: $target:expr, $($text:tt)+) => {
        $crate::logging::log!(target: $target, ::log::Level::Warn, $($text)+)
    };
}

#[collapse_debuginfo(yes)]
macro_rules! log_info {
    (target: $target:expr, $($text:tt)+) => {
        $crate::logging::log!(target: $target, ::log::Level::Info, $($text)+)
    };
}

#[collapse_debuginfo(yes)]
macro_rules! log_debug {
    (target: $target:expr, $($text:tt)+) => {
        $crate::logging::log!(target: $target, ::log::Level::Debug, $($text)+)
    };
}

// Macros of this name alone would be taken for attributes of the language.
pub(crate) use {
    log_at as log, log_debug as debug, log_error as error, log_info as info, log_warn as warn,
};

/// Out of line, so that a disabled line costs little.
#[cold]
#[inline(never)]
pub(crate) fn guarded(log: impl FnOnce()) {
    // The panic hook has reported it.
    let _ = caught(log);
}
