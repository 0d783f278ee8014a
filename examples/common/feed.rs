//! What tutorials of consumers need besides: messages to consume, and a print of what handlers tell.

use std::error::Error;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rocketmq_blocking::{Message, Producer};

const PATIENCE: Duration = Duration::from_secs(30);

/// Sends messages, as another program would.
pub fn send(
    name_server: &str,
    messages: impl IntoIterator<Item = Message>,
) -> rocketmq_blocking::Result<()> {
    let producer = Producer::builder("feed").name_server(name_server).start()?;
    for message in messages {
        let _receipt = producer.send(&message)?;
    }
    Ok(())
}

/// Prints so many lines as they come.
pub fn print(lines: &Receiver<String>, count: usize) -> Result<(), Box<dyn Error>> {
    for _ in 0..count {
        println!("{}", lines.recv_timeout(PATIENCE)?);
    }
    Ok(())
}
