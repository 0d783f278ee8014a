// `SimpleConsumer`: messages that are acknowledged one by one (POP). It has no threads of its own, no queues
// and no offsets: brokers hide the messages that they hand out, and make retries of those that are not
// acknowledged. In reading order:
//
// - `consumer`: its handle; `builder`, `config`: its settings
// - `received`: a message that was received, and what can be done with it
// - `receive`: asking brokers for messages
// - `settle`: acks, and changes of the invisible time
// - `shared`: what handles and messages share, and how requests are made
// - `running`: its start and its end
// - `member`: as its client and brokers see it

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
