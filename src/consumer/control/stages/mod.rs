//! What a queue needs in each stage of its life. In reading order:
//!
//! - `starts`: where it starts
//! - `fetching`: its messages are asked for
//! - `commits`: its progress is committed
//! - `giving_up`: it is ours no longer

pub(super) mod commits;
pub(super) mod fetching;
pub(super) mod giving_up;
pub(super) mod starts;
