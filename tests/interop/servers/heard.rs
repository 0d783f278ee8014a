//! The messages of consumers that tell of them.

use std::time::Duration;

use crossbeam_channel::Receiver;
use rocketmq_blocking::MessageView;

/// For messages that come again: after the brokers' first delay, which is 10 s, or when their time is over, which
/// brokers look at once a second before they copy them a while later.
pub const AGAIN: Duration = Duration::from_secs(60);

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
