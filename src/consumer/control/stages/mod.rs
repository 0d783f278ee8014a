//! The stages of a queue. In reading order:
//!
//! - `taking`: it waits until no other member has it
//! - `starts`: it asks for its start offset
//! - `fetching`: it asks for messages
//! - `moved`: the asked offset does not exist
//! - `commits`: the low-water of its window is committed, as `offset::progress` says what is due
//! - `giving_up`: it is given up

pub(super) mod commits;
pub(super) mod fetching;
pub(super) mod giving_up;
pub(super) mod moved;
pub(super) mod starts;
pub(super) mod taking;
