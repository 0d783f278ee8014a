// Receiving messages. In reading order:
//
// - `flow`: one receive
// - `sources`: which topic of which broker is asked next; `look`: the state of one, for people
// - `pop`: a pop, and what its answer means
// - `notice`: whether there is a message
// - `unpack`: the messages of an answer
// - `clock`: when a broker answered, by our clock

mod clock;
mod flow;
mod look;
mod notice;
mod pop;
mod sources;
mod unpack;

pub(in crate::consumer) use flow::{Known, Receive, receive};
pub(in crate::consumer) use look::Look;
pub(in crate::consumer) use pop::{Refusal, no_pop};
pub(in crate::consumer) use sources::{ANY_QUEUE, Source, Sources};
pub(in crate::consumer) use unpack::Received;
