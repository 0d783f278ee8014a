//! The control thread of a consumer, an actor: it makes all decisions. It never waits for the network,
//! and reads the clock once a turn. The only user code on it is the closure of an `Allocation`, and RPC hooks
//! before its requests. In reading order:
//!
//! - `inbox`: its inputs: answers, results, flags, orders
//! - `wire`: its requests to brokers
//! - `owned`: its part of each queue, and when each is looked at next
//! - `tools`: its other state; `leave` is the last step: closes the dispatcher and unregisters
//! - `locks`: the locks of queues at their brokers; `links`: the connections that they depend on, and the
//!   brokers, which change for queues of static topics
//! - `group`: the members, and which queues belong to this one
//! - `stages`: what a queue needs in each stage of its life
//! - `backs`: messages that go back: the broker is asked for a copy (request code 36), else one is sent by
//!   `crate::send`; `corrupt`: those that cannot be read
//! - `watch`: faults that no event reports; takes messages of stuck handlers back, if set
//! - `asked`: orders of callers and questions of brokers; its state, for people
//! - `life`: its beginning and its end: gives up all queues
//! - `controller`: the thread itself; in the end it unregisters
//! - `start`: what is looked up before it starts

mod asked;
mod backs;
mod controller;
mod corrupt;
mod group;
mod inbox;
mod life;
mod links;
mod locks;
mod owned;
mod stages;
mod start;
mod tools;
mod watch;
mod wire;

pub(crate) use asked::{Reply, closed};
pub(crate) use inbox::{Event, GivenBack, Inbox, Order, Question, Unread, What};
pub(crate) use life::Beginning;
pub(crate) use start::{Parts, spawn};
