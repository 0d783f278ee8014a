// The state that the members of one client share: name servers, routes, heartbeats, identity, start
// and shutdown. In reading order:
//
// - `config`: the settings of a client (`ClientOptions`), names and identity
// - `api`: one function per request
// - `routes`: which brokers hold a topic, and where they are
// - `members`: the groups that live in a client: heartbeats and requests of brokers
// - `background`: starts the threads of `routes::refresh` and of discovery
// - `core`: `Client`, its start and its shutdown (`shutdown`: the report); `ClientCore::join`, by which a
//   producer or a consumer becomes a member
// - `source`: the client of a builder: a given one, or its own
// - `gather`: requests to several brokers at once
// - `admin`: topics, offsets, stored messages and consumer groups
// - `describe`: snapshots of a client

mod admin;
mod api;
mod background;
mod config;
mod core;
mod describe;
mod gather;
mod members;
mod routes;
mod shutdown;
mod source;

pub use admin::{
    Admin, DeadLetters, GroupAdmin, GroupMember, GroupMembers, GroupProgress, GroupSubscription,
    QueueProgress, ResetTo,
};
pub use config::ClientOptions;
pub use core::Client;
pub(crate) use core::ClientCore;
pub use describe::{ClientState, ConnectionState, DialFailure, NameServerState, TopicState};
pub(crate) use gather::Gathering;
pub use shutdown::ShutdownReport;

pub(crate) use crate::transport::{Throttle, Ticker};
pub(crate) use config::{Identity, Names};
pub(crate) use members::{
    Answer, BrokerRequest, Member, MemberKind, Membership, PackedReply, Registered, Replies,
    Waiting,
};
pub(crate) use routes::{DefaultTopic, NeededTopic, PublishInfo};
pub(crate) use routes::{PullAddress, Route, RouteListener};
pub(crate) use source::ClientSource;

/// The target of what is logged here: a name to filter by, which stays when files move.
pub(crate) const LOG: &str = "rocketmq_blocking::client";
