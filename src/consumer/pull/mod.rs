// `PullConsumer`: messages that the program polls. In reading order:
//
// - `consumer`: its handle: poll, commit, seek, pause, and its end
// - `builder`: its settings; `listeners`: combines several listeners
// - `pulled`: a message that was polled, and its mark
// - `poller`: polls, for the handle and for iterators
// - `messages`: an iterator over polled messages
// - `seek`: the target of a seek
// - `open`: which threads have unmarked messages

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
