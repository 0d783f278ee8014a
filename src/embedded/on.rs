use std::fmt;
use std::sync::Arc;

use crate::protocol::Command;
use crate::protocol::code::request;

/// Which requests a [`Fault`](super::Fault) or a look at the request log is about.
///
/// ```
/// use rocketmq_blocking::embedded::{Cluster, Fault, On};
/// use rocketmq_blocking::{Message, Producer};
///
/// let cluster = Cluster::start()?;
/// let producer = Producer::builder("orders").name_server(cluster.name_server()).start()?;
/// cluster.broker("broker-a").inject(Fault::busy().on(On::send_to("Orders")));
/// let _ = producer.send(&Message::new("Invoices", "one"))?;
/// assert!(producer.send(&Message::new("Orders", "one")).is_err());
///
/// let large = On::when(|request| request.body.len() > 1000);
/// assert!(cluster.requests(&large).is_empty());
/// assert_eq!(cluster.requests(&On::Send).len(), 1 + 3); // three attempts found the broker busy
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum On {
    /// Every request.
    #[default]
    Any,
    /// Sends: V1, V2 and batches.
    Send,
    /// Route queries.
    Route,
    /// Heartbeats.
    Heartbeat,
    /// A group that goes away.
    Unregister,
    /// Ends of transactions.
    EndTransaction,
    /// Requests of this code.
    Code(i32),
    /// Requests that a function picks; see [`On::when`].
    When(Arc<dyn Fn(&Command) -> bool + Send + Sync>),
}

impl On {
    /// Requests that `pick` says yes to. It runs on the connection's thread.
    pub fn when(pick: impl Fn(&Command) -> bool + Send + Sync + 'static) -> On {
        On::When(Arc::new(pick))
    }

    /// Sends to this topic.
    pub fn send_to(topic: impl Into<String>) -> On {
        let topic = topic.into();
        On::when(move |command| {
            // V2 and V1 name of the field.
            let field = match command.code {
                request::SEND_MESSAGE => "topic",
                _ => "b",
            };
            On::Send.matches(command) && command.ext.get(field) == Some(&topic)
        })
    }

    /// Whether this request is one of them.
    pub fn matches(&self, command: &Command) -> bool {
        let code = command.code;
        match self {
            On::Any => true,
            On::Send => [
                request::SEND_MESSAGE,
                request::SEND_MESSAGE_V2,
                request::SEND_BATCH_MESSAGE,
            ]
            .contains(&code),
            On::Route => code == request::GET_ROUTEINFO_BY_TOPIC,
            On::Heartbeat => code == request::HEART_BEAT,
            On::Unregister => code == request::UNREGISTER_CLIENT,
            On::EndTransaction => code == request::END_TRANSACTION,
            On::Code(wanted) => code == *wanted,
            On::When(pick) => pick(command),
        }
    }
}

impl fmt::Debug for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            On::Any => "Any",
            On::Send => "Send",
            On::Route => "Route",
            On::Heartbeat => "Heartbeat",
            On::Unregister => "Unregister",
            On::EndTransaction => "EndTransaction",
            On::Code(code) => return write!(f, "Code({code})"),
            On::When(_) => "When(..)",
        })
    }
}
