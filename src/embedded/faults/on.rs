use std::fmt;
use std::sync::Arc;

use crate::protocol::Command;
use crate::protocol::code::request;

/// Selects requests, for a [`Fault`](super::Fault) or in the request log.
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
    /// Clients that unregister a group.
    Unregister,
    /// Ends of transactions.
    EndTransaction,
    /// Pulls, those of lite pull consumers included.
    Pull,
    /// Questions for the committed offset of a group.
    QueryOffset,
    /// Commits of offsets.
    Commit,
    /// Locks of queues, also renewed ones.
    Lock,
    /// Unlocks of queues.
    Unlock,
    /// Questions for the members of a group.
    Members,
    /// Messages that a consumer sends back.
    SendBack,
    /// Pops.
    Pop,
    /// Acknowledgements of popped messages, single ones and batches, and changes of their invisible
    /// time.
    Ack,
    /// Requests of this code.
    Code(i32),
    /// Requests that a function picks; see [`On::when`].
    When(Arc<dyn Fn(&Command) -> bool + Send + Sync>),
}

impl On {
    /// Requests for which `pick` returns `true`. It runs on the connection's thread.
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
        match self {
            On::Any => true,
            On::Code(wanted) => command.code == *wanted,
            On::When(pick) => pick(command),
            named => named.codes().contains(&command.code),
        }
    }

    /// The request codes behind a name.
    fn codes(&self) -> &'static [i32] {
        match self {
            On::Send => &[
                request::SEND_MESSAGE,
                request::SEND_MESSAGE_V2,
                request::SEND_BATCH_MESSAGE,
            ],
            On::Route => &[request::GET_ROUTEINFO_BY_TOPIC],
            On::Heartbeat => &[request::HEART_BEAT],
            On::Unregister => &[request::UNREGISTER_CLIENT],
            On::EndTransaction => &[request::END_TRANSACTION],
            On::Pull => &[11, 361],
            On::QueryOffset => &[14],
            On::Commit => &[15],
            On::Lock => &[41],
            On::Unlock => &[42],
            On::Members => &[38],
            On::SendBack => &[36],
            On::Pop => &[200_050],
            On::Ack => &[200_051, 200_151, 200_053],
            On::Any | On::Code(_) | On::When(_) => &[],
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
            On::Pull => "Pull",
            On::QueryOffset => "QueryOffset",
            On::Commit => "Commit",
            On::Lock => "Lock",
            On::Unlock => "Unlock",
            On::Members => "Members",
            On::SendBack => "SendBack",
            On::Pop => "Pop",
            On::Ack => "Ack",
            On::Code(code) => return write!(f, "Code({code})"),
            On::When(_) => "When(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_named_request_has_codes_of_its_own() {
        let all = [
            On::Send,
            On::Route,
            On::Heartbeat,
            On::Unregister,
            On::EndTransaction,
            On::Pull,
            On::QueryOffset,
            On::Commit,
            On::Lock,
            On::Unlock,
            On::Members,
            On::SendBack,
            On::Pop,
            On::Ack,
        ];
        for (index, on) in all.iter().enumerate() {
            assert!(!on.codes().is_empty(), "{on:?}");
            for code in on.codes() {
                let request = Command::request(*code);
                let matching: Vec<_> = (0..all.len())
                    .filter(|i| all[*i].matches(&request))
                    .collect();
                assert_eq!(matching, [index], "{on:?} {code}");
                assert!(On::Any.matches(&request) && On::Code(*code).matches(&request));
            }
        }
        assert!(!On::Code(11).matches(&Command::request(12)));
    }
}
