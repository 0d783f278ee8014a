// `PushConsumer`: its handle, start and end (`consumer`), and its settings (`builder`).

mod builder;
mod consumer;

pub use builder::PushConsumerBuilder;
pub use consumer::PushConsumer;
