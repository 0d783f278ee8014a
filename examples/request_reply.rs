//! Questions to a consumer, and its replies.
//!
//! ```text
//! cargo run --example request_reply
//! cargo run --example request_reply -- --name-server 127.0.0.1:9876 --topic RequestTopic
//! ```
//!
//! It prints four prices, the last three in any order, and the error of an unanswered question. The
//! consumer that replies is in `common/replier.rs`. With `--ask-only` another program must consume
//! the topic and reply: in Java, `MessageUtil.createReplyMessage` creates the reply.

#[path = "common/example.rs"]
mod example;
#[path = "common/replier.rs"]
mod replier;

use std::error::Error;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser;
use rocketmq_blocking::embedded::Cluster;
use rocketmq_blocking::{Message, MessageView, Producer};

/// Asks for prices: one at a time, several at a time, and one that is never answered
#[derive(Parser)]
#[command(name = "request_reply")]
struct Args {
    #[command(flatten)]
    servers: example::Servers,

    /// The topic whose consumer replies
    #[arg(long, value_name = "NAME", default_value = "Prices")]
    topic: String,

    /// Start no replying consumer: another program replies
    #[arg(long, requires = "name_server")]
    ask_only: bool,
}

const PATIENCE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    example::main(run)
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let Args {
        servers,
        topic,
        ask_only,
    } = args;
    let (name_server, _cluster) = servers.given_or(Cluster::builder())?;
    let price = |question: &MessageView| format!("{} cents", 10 * question.body().len());
    let replier = match ask_only {
        true => None,
        false => Some(replier::reply_to_all(&name_server, &topic, price)?),
    };
    let producer = Producer::builder("askers")
        .name_server(&name_server)
        .start()?;

    // Waiting: the timeout is for all of it, and is the time that the reply has.
    let question = Message::new(topic.as_str(), "apples");
    let reply = producer.request(&question, PATIENCE)?;
    println!("apples   {}", String::from_utf8_lossy(reply.body()));

    // Many at a time; each callback gets the reply to its own question, once.
    let (tell, told) = mpsc::channel();
    for fruit in ["pears", "plums", "cherries"] {
        let tell = tell.clone();
        let question = Message::new(topic.as_str(), fruit);
        producer.request_async(question, PATIENCE, move |reply| {
            let _ = tell.send((fruit, reply));
        });
    }
    drop(tell);
    for (fruit, reply) in told {
        println!("{fruit:8} {}", String::from_utf8_lossy(reply?.body()));
    }

    // This topic has no consumer: the error says that the question may still be stored.
    let question = Message::new("NobodyIsHere", "hello?");
    match producer.request(&question, Duration::from_secs(2)) {
        Ok(reply) => println!("unexpected reply: {reply:?}"),
        Err(error) => println!("{error}"),
    }
    producer.shutdown();
    drop(replier);
    Ok(())
}
