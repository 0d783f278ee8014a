//! smoke
use rocketmq_blocking::{Message, Producer, embedded::Cluster};
fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init();
    let cluster = Cluster::start()?;
    let ns = std::env::args().nth(1).unwrap_or(cluster.name_server());
    let producer = Producer::builder("orders").name_server(ns).start()?;
    let receipt = producer.send(
        &Message::new("TopicTest", "hello")
            .tag("TagA")
            .key("OrderID188"),
    )?;
    println!("{receipt}");
    let (tx, rx) = std::sync::mpsc::channel();
    producer.send_async(Message::new("TopicTest", "async"), move |r| {
        tx.send(r).unwrap()
    });
    println!("{}", rx.recv()??);
    producer.send_oneway(&Message::new("TopicTest", "oneway"))?;
    let h = producer.submit(Message::new("TopicTest", "submit"));
    println!("{}", h.wait()?);
    producer.flush(std::time::Duration::from_secs(1))?;
    for m in cluster.messages("TopicTest") {
        println!("{m:?}");
    }
    println!(
        "{:?}",
        producer.shutdown_within(std::time::Duration::from_secs(1))
    );
    Ok(())
}
