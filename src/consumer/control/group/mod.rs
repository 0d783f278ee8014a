//! Who the members of the group are, and which queues of its topics are ours. In reading order:
//!
//! - `rounds`: brokers are asked for the members
//! - `divider`: what follows for our queues
//! - `missing`: topics that do not exist yet

mod divider;
mod missing;
mod rounds;

pub(super) use divider::Divider;
pub(super) use missing::Missing;
pub(super) use rounds::masters_of_topics;
