//! The producers that the threads send with.

use std::time::Duration;

use rocketmq_blocking::producer::ProducerBuilder;
use rocketmq_blocking::{Client, ClientOptions, Error, Producer};

use crate::args::Args;

pub struct Producers {
    all: Vec<Producer>,
    /// Stands behind its producers, so that it is closed after them.
    _shared: Option<Client>,
}

impl Producers {
    /// One producer creates its own client, as in most programs; several share one.
    pub fn start(args: &Args, name_server: &str) -> Result<Producers, Error> {
        if args.producers.get() == 1 {
            let producer = settings("PeerBenchGroup".to_owned())
                .name_server(name_server)
                .options(ClientOptions::new().header_format(args.header_format()))
                .start()?;
            return Ok(Producers {
                all: vec![producer],
                _shared: None,
            });
        }
        let client = Client::start(
            ClientOptions::new()
                .name_server(name_server)
                .header_format(args.header_format()),
        )?;
        // A client refuses a second producer of the same group.
        let groups = (0..args.producers.get()).map(|i| format!("PeerBenchGroup-{i}"));
        let producers = groups.map(|group| settings(group).client(&client).start());
        Ok(Producers {
            all: producers.collect::<Result<_, _>>()?,
            _shared: Some(client),
        })
    }

    /// The producer of the thread with this number.
    pub fn of_thread(&self, thread: usize) -> &Producer {
        &self.all[thread % self.all.len()]
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Waits until all that was accepted is written and answered.
    pub fn flush(&self, most: Duration) -> Result<(), Error> {
        self.all
            .iter()
            .try_for_each(|producer| producer.flush(most))
    }
}

fn settings(group: String) -> ProducerBuilder {
    Producer::builder(group)
        .send_timeout(Duration::from_secs(10))
        .retries(0)
        .async_retries(0)
        .compress_over(usize::MAX)
}
