//! Routes: which brokers hold a topic, with which queues, at which addresses. In reading order:
//!
//! - `table`: the known routes ([`Route`]), and the listeners of changes (`Routes::listen`; a member is none by
//!   joining)
//! - `logical`: the queues of a static topic, and the brokers that host them
//! - `publish`, `subscribe`: the views of a route: where to write, and what can be read
//! - `brokers`: the addresses of all brokers, by name and id, and by queue
//! - `finder`: [`Routes`]; finds a route that is not known, one lookup for all that need it
//! - `name_server`: the name servers, asked in the order of `choice`; their list may come from the web
//!   (`discovery`, or `no_discovery` without that feature)
//! - `refresh`: the thread that refreshes known routes, at intervals and when one is suspected. (A send whose
//!   queue was refused looks the route up itself: `Routes::look_up_after`.) The rest of the crate asks for it by
//!   `ClientCore::refresh_soon` (a route is suspected) and `learn_soon` (a needed one is not known)

mod brokers;
mod choice;
#[cfg_attr(not(feature = "discovery"), path = "no_discovery.rs")]
mod discovery;
mod finder;
mod logical;
mod name_server;
mod publish;
mod refresh;
mod subscribe;
mod table;

pub(super) use brokers::Brokers;
pub(crate) use brokers::PullAddress;
pub(super) use discovery::Discovery;
pub(super) use finder::Routes;
pub(super) use name_server::{NameServers, Observed};
pub(crate) use publish::PublishInfo;
pub(super) use publish::no_master;
pub(super) use refresh::Refresher;
pub(crate) use refresh::{NeededTopic, RouteNeeds};
pub(super) use subscribe::subscribe_queues;
pub(super) use table::Known;
pub(crate) use table::{DefaultTopic, Route, RouteListener};
