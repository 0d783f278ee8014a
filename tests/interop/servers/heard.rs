//! Push consumers that tell of their messages.

use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use rocketmq_blocking::consumer::PushConsumerBuilder;
use rocketmq_blocking::{MessageView, PushConsumer, Retry};

/// For messages that come again: after the brokers' first delay, which is 10 s, or when their time is over, which
/// brokers look at once a second before they copy them a while later.
pub const AGAIN: Duration = Duration::from_secs(60);

/// Starts a consumer whose handler decides. It tells of each message before that.
pub fn start(
    builder: PushConsumerBuilder,
    decide: impl Fn(&MessageView) -> Result<(), Retry> + Send + Sync + 'static,
) -> (PushConsumer, Receiver<MessageView>) {
    let (seen, messages) = unbounded();
    let started = builder.start(move |message| {
        seen.send(message.clone()).ok();
        decide(message)
    });
    (started.expect("a consumer"), messages)
}

#[track_caller]
pub fn next(messages: &Receiver<MessageView>) -> MessageView {
    messages.recv_timeout(AGAIN).expect("a message in time")
}

/// The texts of the next messages, sorted.
#[track_caller]
pub fn take(messages: &Receiver<MessageView>, count: usize) -> Vec<String> {
    let text = |message: MessageView| message.text().expect("text").to_owned();
    let mut taken: Vec<String> = (0..count).map(|_| text(next(messages))).collect();
    taken.sort();
    taken
}
