//! The groups that live in a client, and their registration at brokers. In reading order:
//!
//! - `member`: [`Member`], what a producer or consumer is to its client: its part of heartbeats, the topics it
//!   needs, brokers' requests, the client's end; [`BrokerRequest`], what brokers ask of it
//! - `registry`: the members, by kind and group; the one place that a heartbeat is made from
//! - `heartbeat`: which brokers get the members, and when
//! - `registered`: waiting until a broker has confirmed that it knows a member
//! - `membership`: a member's place in its client, by which it also asks for heartbeats
//! - `inbound`: events of connections, handed to the above
//! - `replies`: the table of requests that wait for replies; a pushed reply finds its waiter by its
//!   correlation id

mod heartbeat;
mod inbound;
mod member;
mod membership;
mod registered;
mod registry;
mod replies;

pub(super) use heartbeat::{Heartbeats, Surroundings};
pub(super) use inbound::Dispatcher;
pub(crate) use member::{BrokerRequest, Member, MemberKind};
pub(crate) use membership::{Membership, Registered};
pub(super) use registry::Registry;
pub(crate) use replies::{Answer, PackedReply, Replies, Waiting};

#[cfg(all(test, feature = "embedded"))]
mod tests;
