// `SimpleConsumer`: messages that are acknowledged one by one (POP). It has no threads of its own, no queues
// and no offsets: brokers hide the messages that they hand out, and retry those that are not acknowledged.
// In reading order:
//
// - `consumer`: its handle; `builder`, `config`: its settings
// - `received`: a received message, and the ways to settle it
// - `receive`: asks brokers for messages
// - `settle`: acks, and changes of the invisible time
// - `shared`: the state that handles and messages share, and their requests
// - `running`: its start and its end
// - `member`: the consumer as a member of its client

mod builder;
mod config;
mod consumer;
mod member;
mod receive;
mod received;
mod running;
mod settle;
mod shared;

pub use builder::SimpleConsumerBuilder;
pub use consumer::SimpleConsumer;
pub use received::ReceivedMessage;
pub use settle::AckStatus;
