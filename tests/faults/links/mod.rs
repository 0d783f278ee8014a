//! Connections that cannot be made, end, or are slow.

mod connections;
#[cfg(target_os = "linux")]
mod netns;
mod overshoot;
mod slow_links;
