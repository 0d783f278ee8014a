// `SimpleConsumer`: messages that are acknowledged one by one (POP). It has no threads of its own, no queues
// and no offsets: brokers hide the messages that they hand out, and retry those that are not acknowledged.
// In reading order:
//
// - `consumer`: its handle; `builder`, `config`: its settings
// - `received`: a received message, and the ways to settle it
// - `observe`: its counts and its state
// - `shared`: the state that handles and messages share; `held`: the messages that are neither settled nor
//   dropped
// - `running`: its start and its end
// - `member`: the consumer as a member of its client

mod builder;
mod config;
mod consumer;
mod held;
mod member;
mod observe;
mod received;
mod running;
mod shared;

pub use builder::SimpleConsumerBuilder;
pub use consumer::SimpleConsumer;
pub use observe::SimpleConsumerStats;
pub use received::ReceivedMessage;
