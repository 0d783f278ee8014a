//! The start offset of a queue, and its commits.
//!
//! - `start` and `starting`: the start offset of a queue, and the questions by which it is found;
//! - `progress`: the offsets to commit, in flight, and confirmed;
//! - `past`: how far this member was in queues whose broker is away;
//! - `table` and `java`: the offset file of broadcasting, as text: our form, and that of other
//!   clients, which is read only;
//! - `disk` and `owner`: that file in its folder, and the lock that keeps a second process out;
//! - `local`: the offsets of a running broadcasting consumer, and the thread that saves them.

mod disk;
mod java;
mod local;
mod owner;
mod past;
mod progress;
mod start;
mod starting;
mod table;

pub(crate) use local::{LocalOffsets, SavedOffsets, Saver};
pub(crate) use past::Past;
pub(crate) use progress::{Commit, Progress};
pub use start::StartFrom;
pub(crate) use start::{Committed, GroupIs, Start, group_is};
pub(crate) use starting::{Next, Starting};
