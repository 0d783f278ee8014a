// `PullConsumer`: messages that the program asks for. In reading order:
//
// - `consumer`: its handle: poll, commit, seek, pause, and its end
// - `builder`: its settings; `listeners`: several as one
// - `pulled`: a message that was polled, and its mark
// - `poller`: what polls
// - `messages`: an iterator over what is polled
// - `seek`: where a queue goes on
// - `open`: which threads have messages that are not marked

mod builder;
mod consumer;
mod listeners;
mod messages;
mod open;
mod poller;
mod pulled;
mod seek;

pub use builder::PullConsumerBuilder;
pub use consumer::PullConsumer;
pub use messages::Messages;
pub use pulled::PulledMessage;
pub use seek::Seek;
