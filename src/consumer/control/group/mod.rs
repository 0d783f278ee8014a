//! The members of the group, and the share of this one. In reading order:
//!
//! - `rounds`: asks brokers for the members
//! - `divider`: takes and gives up queues, as `rebalance` says, or all, or given ones
//! - `sources`: asks what this member pops
//! - `suspicions`: faults of the group; `twins`: another client with this member's id
//! - `missing`: topics that do not exist yet; `cut`: topics whose route has lost a broker

mod cut;
mod divider;
mod missing;
mod rounds;
mod sources;
mod suspicions;
mod twins;

pub(super) use divider::Divider;
pub(super) use missing::Missing;
pub(super) use sources::Sources;
