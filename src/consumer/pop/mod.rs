// Messages by POP: brokers hide those that they hand out until these are acknowledged, and hand out again
// those that are not. It has no threads of its own. In reading order:
//
// - `shared`: the state that all threads of a consumer share, and their requests
// - `receive`: asks brokers for messages
// - `settle`: acks, and changes of the invisible time
// - `lag`: messages that no member has received yet

mod lag;
mod receive;
mod settle;
mod shared;

pub(in crate::consumer) use lag::{LagQuestions, ask_lag};
pub(in crate::consumer) use receive::{
    ANY_QUEUE, Known, Receive, Received, Refusal, Source, no_pop, receive,
};
pub use settle::AckStatus;
#[cfg(test)]
pub(in crate::consumer) use settle::delivery;
pub(in crate::consumer) use settle::{Delivery, ack_all, dead_letter, hide, hide_all};
pub(in crate::consumer) use shared::{INVISIBLE, MOST_MESSAGES, PopSettings, PopShared};
