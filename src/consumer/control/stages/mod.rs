//! What a queue needs in each stage of its life. In reading order:
//!
//! - `taking`: it is ours alone
//! - `starts`: where it starts
//! - `fetching`: its messages are asked for
//! - `moved`: the offset that was asked for is not there
//! - `commits`: its progress is committed
//! - `giving_up`: it is ours no longer

pub(super) mod commits;
pub(super) mod fetching;
pub(super) mod giving_up;
pub(super) mod moved;
pub(super) mod starts;
pub(super) mod taking;
